// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"sync"
	"testing"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// statusHost is a collector that remembers what is reported to it.
type statusHost struct {
	component.Host
	mutex  sync.Mutex
	events []*componentstatus.Event
}

// Report implements componentstatus.Reporter.
func (h *statusHost) Report(event *componentstatus.Event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.events = append(h.events, event)
}

// statuses returns what was reported so far.
func (h *statusHost) statuses() []componentstatus.Status {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var statuses []componentstatus.Status
	for _, event := range h.events {
		statuses = append(statuses, event.Status())
	}
	return statuses
}

// TestStatus lets the consumer fail, recover and fail again, and shuts down while it fails.
func TestStatus(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newFixture(t, log.path)
	host := &statusHost{Host: f.host}
	f.host = host
	next := stub.Answering(errNotNow, errNotNow, errNotNow, nil, errNotNow)
	f.next = next
	stop := f.start(t)

	log.kill(1)
	troubled := []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}
	require.Eventually(t, func() bool { return len(host.statuses()) >= 2 }, soon, often)
	assert.Equal(t, troubled, host.statuses())
	log.kill(1)
	require.Eventually(t, func() bool { return len(next.Attempts()) > 6 }, soon, often)
	stop()
	assert.Equal(t, append(troubled, componentstatus.StatusRecoverableError), host.statuses())
	assert.ErrorIs(t, host.events[0].Err(), errNotNow)
}
