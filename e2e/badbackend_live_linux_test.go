// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A live source cannot wait for a queue to have room: it drops and counts, and everything else arrives.
func TestLiveBeforeFullQueue(t *testing.T) {
	useAudit(t)
	backend := newBadBackend(t)
	backend.behaves(answers(http.StatusServiceUnavailable))
	c := startConfigured(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": backend.server.URL}, overlay(t, quickOTLP),
		overlay(t, `{receivers: {audit_kill: {ebpf: {}, outcome: {enabled: false}}}, `+
			`exporters: {otlp_http: {sending_queue: {queue_size: 1_000_000}}}}`))
	senders, victims := twoSenders(t)
	until(t, func() bool { return c.metric("audit_kill_queue_dropped") > 0 }, func() {
		burst(t, senders, victims, flood, "while the queue is full")
	}, "what does not fit is dropped and counted")
	c.says("the next consumer did not take log records, trying again")
	c.says("sending queue is full")
	c.running()
	backend.behaves(nil)
	eventually(t, func() bool { return c.exporterMetric("exporter_queue_size") == 0 }, "the queue is sent")
	assert.Zero(t, c.exporterMetric("exporter_send_failed_log_records"), "nothing of the queue is given up")
	c.stop()
}
