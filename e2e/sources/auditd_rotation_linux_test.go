// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// The collector follows the log of a real auditd that rotates under load, up to the last event.
//
// The tests are not parallel: there is only one audit system, and while it records, everything
// else is slower.

// TestFollowsAuditd writes without waiting for the collector. auditd keeps all files; it rotates
// them by size, and when the test asks for it.
func TestFollowsAuditd(t *testing.T) {
	daemon := startAuditd(t, "log_format = RAW\nnum_logs = 99")
	follow(t, daemon, func(load *load, _ *keeper, _ *otlp.Sink) {
		for range 30 {
			load.run(200 + rand.IntN(1200)) //nolint:gosec // not secret
			daemon.Rotate()
		}
	})
}

// TestFollowsAuditdThatKeepsFewFiles never writes more than auditd keeps before the collector has
// read it, so that only the collector can be the cause of a loss.
func TestFollowsAuditdThatKeepsFewFiles(t *testing.T) {
	daemon := startAuditd(t, "log_format = ENRICHED\nnum_logs = 5")
	follow(t, daemon, func(load *load, keeper *keeper, sink *otlp.Sink) {
		for range 8 {
			load.run(2000)
			keeper.awaitQuiet()
			otlp.AwaitAll(t, sink, keeper.all())
		}
	})
}

// follow starts the collector, runs what writes the log, and compares.
func follow(t *testing.T, daemon *audit.Daemon, busy func(*load, *keeper, *otlp.Sink)) {
	t.Helper()
	sink := otlp.NewSink(t, "grpc")
	c := collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf(`{file: {path: %q, start_at: beginning}, signals: [0, CONT]}`, daemon.Log),
		Exporter: sink.Exporter,
	})
	c.Ready()
	keeper := newKeeper(t, daemon.Log)
	load := newLoad(t)
	busy(load, keeper, sink)
	load.stop()

	keeper.awaitQuiet()
	want := keeper.all()
	otlp.AwaitAll(t, sink, want)
	c.Running()
	assert.Zero(t, c.Metric("audit_kill_file_lost"))
	c.Stop()
	otlp.AssertConsistent(t, sink.Records(), want)
	assert.Len(t, otlp.KeysOf(sink.Records()), len(want), "no log record is delivered twice")
	// The kernel drops records if auditd gets too little time to run.
	recorded := keeper.written(load.pid)
	assert.Greater(t, recorded, 1000, "calls in auditd's log")
	t.Logf("%d calls, %d of them recorded, %d log records, %d files", load.sent, recorded, len(want), len(keeper.files))
}

func init() { harness.Roles["load"] = runLoad }
