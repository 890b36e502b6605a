// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Any user can have a process die of a signal without a known sender, and then send it the same signal,
// which the kernel refuses. The collector reports both, names no process as the killer, and goes on.
func TestDiesAndIsRefusedASignal(t *testing.T) {
	for _, source := range liveSources {
		t.Run(source.name, func(t *testing.T) {
			s := newStage(t, source, "outcome: {timeout: 30s}")
			pid, sender := process.DieRefused(t)
			var abend, refused []otlp.Record
			harness.Eventually(t, func() bool {
				abend, refused = s.records(pid, "kill.abend"), refusedBy(s, sender)
				return len(abend) > 0 && len(refused) > 0
			}, "the death and the refused signal are reported")
			assert.Equal(t, int64(6), abend[0].Attributes["kill.signal.number"])
			assert.Nil(t, abend[0].Attributes["process.pid"], "the sender of the fatal signal is unknown")
			assert.Len(t, refused, 1)
			outcome := s.awaitOutcome(pid)
			assert.Contains(t, []any{"killed", "core_dumped"}, outcome.Attributes["kill.outcome"])
			assert.Nil(t, outcome.Attributes["process.pid"], "the refused sender has not killed it")

			target := process.StartTarget(t, exec.Command("sh", "-c", "echo; exec sleep 600"), true)
			s.signal(s.hard, target, 9)
			assert.Equal(t, "killed", s.awaitOutcome(target.PID).Attributes["kill.outcome"], "the collector goes on")
			s.c.Running()
			assert.Zero(t, s.c.Metric("audit_kill_panics"))
			s.c.Stop()
		})
	}
}

// refusedBy returns the SIGABRTs of a sender that the kernel refused. The audit system does not record
// the target of a signal that pretends to come from the kernel.
func refusedBy(s *stage, sender int) []otlp.Record {
	var found []otlp.Record
	for _, r := range s.sink.Records() {
		if r.Attributes["process.pid"] == int64(sender) && r.Attributes["kill.signal.number"] == int64(6) &&
			r.Attributes["kill.result"] == "failure" {
			found = append(found, r)
		}
	}
	return found
}
