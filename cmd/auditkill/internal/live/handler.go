// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// handler hands what was captured to the goroutine that shows it: the output may be stuck, and
// the kernel has to be left as it was found all the same.
type handler struct {
	watch *Watch
	// batch is what will be shown, batches are those that can be. givenUp is closed once
	// nobody shows anything.
	batch   []*kill.Event
	batches chan []*kill.Event
	givenUp chan struct{}
}

var _ capture.Handler = (*handler)(nil)

// Wants implements capture.Handler. Whoever blinds the monitor is of interest in any case.
func (h *handler) Wants(e *kill.Event) bool {
	return e.Kind == kill.KindTamper || h.watch.selection.Apply(e)
}

// Signal implements capture.Handler.
func (h *handler) Signal(e *kill.Event) error {
	if e.Kind == kill.KindTamper {
		h.watch.tampered(e)
		return nil
	}
	h.batch = append(h.batch, e)
	return nil
}

// Outcome implements capture.Handler. Of a call that struck many, each target has one. Those
// that live at the end are not worth a line to somebody who does not wait for them.
func (h *handler) Outcome(e *kill.Event) error {
	if e.Kind == kill.KindOutcome && e.Outcome.Verdict != kill.VerdictUnknown {
		h.batch = append(h.batch, e)
	}
	return nil
}

// Flush implements capture.Handler.
func (h *handler) Flush() error {
	if len(h.batch) == 0 {
		return nil
	}
	batch := h.batch
	h.batch = nil
	select {
	case h.batches <- batch:
		return nil
	case <-h.givenUp:
		return errGivenUp
	}
}

// showAll shows what comes until there is no more.
func (h *handler) showAll(show func(*kill.Event) error) error {
	for batch := range h.batches {
		for _, e := range batch {
			if err := show(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// tampered says who blinds the monitor.
func (w *Watch) tampered(e *kill.Event) {
	if w.capture.ManagesRules() && e.Tamper.Action == kill.TamperRuleRemoved && e.Sender.PID == 0 {
		// Of what the audit daemon does the kernel does not say who it was, and that may be
		// another watch, which takes its own rules along. The guard says if it was one of ours.
		return
	}
	w.config.Say(telemetry.Sentence(e, nil))
}
