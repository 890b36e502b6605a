// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"sync"

	"go.opentelemetry.io/collector/component/componentstatus"
)

// health tells the collector how the receiver is. It reports only changes, and
// nothing once the receiver is being shut down.
type health struct {
	report func(*componentstatus.Event)

	mutex   sync.Mutex
	trouble trouble
	stopped bool
}

// trouble is what there may be.
type trouble struct{ source, logs, traces bool }

// source says that the source has trouble that may pass, or with nil that it
// has passed.
func (h *health) source(err error) { h.change(&h.trouble.source, err) }

// delivery says the same of the next consumer of log records, traces of that of spans.
func (h *health) delivery(err error) { h.change(&h.trouble.logs, err) }
func (h *health) traces(err error)   { h.change(&h.trouble.traces, err) }

func (h *health) change(what *bool, err error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	was := h.trouble != trouble{}
	*what = err != nil
	is := h.trouble != trouble{}
	switch {
	case h.stopped || was == is:
	case is:
		h.report(componentstatus.NewRecoverableErrorEvent(err))
	default:
		h.report(componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

func (h *health) stop() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopped = true
}
