// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"sync/atomic"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// handler passes what was captured to the goroutine that prints it: even if the output is
// stuck, the watch has to clean up in the kernel.
type handler struct {
	watch *Watch
	// batch gathers events, batches are on their way to the printer. givenUp is closed once
	// nothing prints any more.
	batch   []*kill.Event
	batches chan []*kill.Event
	givenUp chan struct{}
	// showing is the number of what is being shown right now; 0 if nothing is.
	showing atomic.Int64
}

var _ capture.Handler = (*handler)(nil)

// Wants implements capture.Handler. Tampering with the monitor is always wanted.
func (h *handler) Wants(e *kill.Event) bool {
	return e.Kind == kill.KindTamper || h.watch.selection.Apply(e)
}

// WantsEnd implements capture.Handler.
func (h *handler) WantsEnd(e *kill.Event) bool { return h.Wants(e) }

// Signal implements capture.Handler.
func (h *handler) Signal(e *kill.Event) error {
	if e.Kind == kill.KindTamper {
		h.watch.tampered(e)
		return nil
	}
	if h.watch.selection.ApplyBehind(e) { // which was not known in Wants
		h.batch = append(h.batch, e)
	}
	return nil
}

// Outcome implements capture.Handler. A call with several targets has one outcome for each, so
// the one for all is not shown; neither are processes that are still alive at the end, which
// the user has not waited for.
func (h *handler) Outcome(e *kill.Event) error {
	if e.Kind == kill.KindOutcome && e.Outcome.Verdict != kill.VerdictUnknown && h.watch.selection.ApplyBehind(e) {
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

// Settled implements capture.Handler. Nothing is kept for a next run.
func (h *handler) Settled() bool { return false }

// showAll shows batches until there are no more, and calls finish.
func (h *handler) showAll(show func(*kill.Event) error, finish func() error) (err error) {
	number := int64(0)
	during := func(do func() error) {
		number++
		h.showing.Store(number)
		err = errors.Join(err, do())
		h.showing.Store(0)
	}
	for batch := range h.batches {
		for _, e := range batch {
			during(func() error { return show(e) })
			if err != nil {
				during(finish)
				return err
			}
		}
	}
	during(finish)
	return err
}

// tampered reports who blinds the monitor.
func (w *Watch) tampered(e *kill.Event) {
	if w.capture.ManagesRules() && e.Tamper.Action == kill.TamperRuleRemoved && e.Sender.PID == 0 {
		// The kernel does not name the process if it is the audit daemon. That may be another
		// watch that removes its own rules; the guard reports it if a rule was ours.
		return
	}
	if w.capture.ManagesRules() && !e.Audit.Recorded && e.Tamper.Action == kill.TamperRuleShadowed {
		return // the capture has warned of that rule, with what removes it
	}
	w.config.Say(telemetry.Sentence(e, nil, w.config.CommandLine))
}
