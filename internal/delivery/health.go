// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"

	"go.opentelemetry.io/collector/component/componentstatus"
)

// Health reports the status of the receiver to the collector. It reports only changes, and
// nothing once the receiver is shutting down.
type Health struct {
	report func(*componentstatus.Event)

	mutex   sync.Mutex
	failing failing
	stopped bool
}

// failing are the parts that are failing.
type failing struct{ source, logs, traces bool }

// NewHealth returns a Health in which nothing is failing.
func NewHealth(report func(*componentstatus.Event)) *Health { return &Health{report: report} }

// Source reports a failure of the source that may pass, or nil once it has passed.
func (h *Health) Source(err error) { h.change(&h.failing.source, err) }

// Logs does the same for the next consumer of log records.
func (h *Health) Logs(err error) { h.change(&h.failing.logs, err) }

// Traces does the same for the next consumer of spans.
func (h *Health) Traces(err error) { h.change(&h.failing.traces, err) }

func (h *Health) change(part *bool, err error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	before := h.failing != failing{}
	*part = err != nil
	after := h.failing != failing{}
	switch {
	case h.stopped || before == after:
	case after:
		h.report(componentstatus.NewRecoverableErrorEvent(err))
	default:
		h.report(componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// Stop ends all reports.
func (h *Health) Stop() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopped = true
}
