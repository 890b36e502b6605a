// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// reading is a receiver that reads a log of its own, beside others in the same collector.
type reading struct {
	id         string
	log        *auditlog.Log
	size, rows int
}

// newReading writes a log with events.
func newReading(t *testing.T, id string, events int) *reading {
	t.Helper()
	r := &reading{id: id, log: auditlog.New(t)}
	kill := auditlog.SingleKill(t)
	for range events {
		r.log.Add(kill)
	}
	text, err := os.ReadFile(r.log.Path)
	require.NoError(t, err)
	r.size, r.rows = len(text), bytes.Count(text, []byte("\n"))
	return r
}

// label is what the receiver's series have in common.
func (r *reading) label() string { return fmt.Sprintf("receiver=%q", r.id) }

// Two receivers in one collector, each in logs and traces pipelines: each has its own series of
// every metric.
func TestMetricsOfTwoReceivers(t *testing.T) {
	t.Parallel()
	sink := otlp.NewSink(t, "grpc")
	sink.Answers(otlp.Always(otlp.Answer{Err: errBusy}))
	large, small := newReading(t, "audit_kill", 10_000), newReading(t, "audit_kill/small", 20)
	const settings = "{file: {path: %q, start_at: beginning}, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}}"
	c := collector.Start(t, collector.Config{
		Receivers: fmt.Sprintf("{%s: "+settings+", %s: "+settings+"}", large.id, large.log.Path, small.id, small.log.Path),
		Exporter:  sink.Exporter, Pipelines: []string{"logs", "traces"},
	})
	metric := func(name string, r *reading) int { return c.MetricOf("audit_kill_"+name, r.label()) }

	// The large log does not fit into the batches before the sink, the small one does.
	harness.Eventually(t, func() bool { return sink.Requests() >= 5 && metric("file_bytes_read", small) == small.size }, "the sink has refused")
	c.AwaitIdle()
	assert.Zero(t, metric("file_bytes_behind", small))
	assert.Positive(t, metric("file_bytes_behind", large))
	assert.Equal(t, large.size, metric("file_bytes_read", large)+metric("file_bytes_behind", large))

	sink.Answers(otlp.Always(otlp.Answer{}))
	for _, r := range []*reading{large, small} {
		harness.Eventually(t, func() bool { return c.MetricOf("accepted_log_records", r.label()) == len(r.log.Want) }, "everything is delivered")
		assert.Zero(t, metric("file_bytes_behind", r), r.id)
		assert.Equal(t, r.size, metric("file_bytes_read", r), r.id)
		assert.Equal(t, r.rows, metric("records_read", r), r.id)
		assert.Equal(t, len(r.log.Want), metric("events", r), r.id)
	}
	for series := range c.Series() {
		assert.Regexp(t, `receiver="audit_kill(/small)?"`, series)
	}
	c.Stop()
}
