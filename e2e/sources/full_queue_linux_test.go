// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// A live source cannot wait for room in a queue: it joins equal signals that do not fit and counts them, and all arrive.
func TestLiveBeforeFullQueue(t *testing.T) {
	audit.Use(t)
	backend := faulty.New(t)
	backend.Behaves(faulty.Answers(http.StatusServiceUnavailable))
	c := shipped.Start(t, "configs/agent-loki.yaml", map[string]string{"LOKI_ENDPOINT": backend.Server.URL},
		shipped.Overlay(t, shipped.QuickOTLP),
		shipped.Overlay(t, `{receivers: {audit_kill: {ebpf: {}, outcome: {enabled: false}}}, `+
			`exporters: {otlp_http: {sending_queue: {queue_size: 1_000_000}}}}`))
	senders, victims := twoSenders(t)
	harness.Until(t, func() bool { return c.Metric("audit_kill_joined") > 0 }, func() {
		burst(t, senders, victims, flood, "while the queue is full")
	}, "what does not fit is joined and counted")
	c.Says("the next consumer did not take log records, trying again")
	c.Says("sending queue is full")
	c.Running()
	backend.Behaves(nil)
	harness.Eventually(t, func() bool { return c.ExporterMetric("exporter_queue_size") == 0 }, "the queue is sent")
	assert.Zero(t, c.ExporterMetric("exporter_send_failed_log_records"), "the exporter drops nothing of its queue")
	c.Stop()
}
