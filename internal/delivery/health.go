// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"

	"go.opentelemetry.io/collector/component/componentstatus"
)

// Health tells the collector how the receiver is. It reports only changes, and
// nothing once the receiver is being shut down.
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

// Source reports that the source has trouble that may pass, or with nil that it has passed.
func (h *Health) Source(err error) { h.change(&h.failing.source, err) }

// Logs reports the same of the next consumer of log records, Traces of that of spans.
func (h *Health) Logs(err error)   { h.change(&h.failing.logs, err) }
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
