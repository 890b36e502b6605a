// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
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

// nobodyElse is a user who has no other process than the test's.
const nobodyElse = 64_123

// A user may send a signal to all processes: the call succeeds even though the kernel refuses it for each
// of another user. The collector says of none that it was struck, and of none that it survived.
func TestSignalToAllThatReachesNobody(t *testing.T) {
	for _, source := range liveSources {
		t.Run(source.name, func(t *testing.T) {
			s := newStage(t, source, "outcome: {timeout: 10s}")
			target := process.StartTarget(t, exec.Command("sh", "-c", "echo; exec sleep 600"), true)
			user := process.NewSender(t, s.program, func(command *exec.Cmd) {
				command.SysProcAttr.Credential = &syscall.Credential{Uid: nobodyElse, Gid: nobodyElse}
			})
			user.Order(orders.Order{Call: "kill", PID: -1, Signal: int(unix.SIGKILL)})
			if !s.source.traced() {
				harness.Eventually(t, func() bool { return len(s.records(target.PID, "kill.signal")) == 1 }, "the attempt is reported")
				r := s.records(target.PID, "kill.signal")[0]
				assert.Equal(t, "unknown", r.Attributes["kill.result"])
				assert.Equal(t, int64(nobodyElse), r.Attributes["process.user.id"])
				assert.Equal(t, plog.SeverityNumberInfo, r.Severity)
				// What has begun it stands in between.
				assert.Contains(t, r.Body, " sent SIGKILL to all processes")
				assert.Contains(t, r.Body, fmt.Sprintf("; whether it reached sleep[%d] is not recorded", target.PID))
			}
			s.signal(s.soft, target, 15)
			outcome := s.awaitOutcome(target.PID)
			assert.Equal(t, int64(s.soft.PID), outcome.Attributes["process.pid"], "it ended because of the signal that reached it")
			assert.Equal(t, "killed", outcome.Attributes["kill.outcome"])
			assert.Equal(t, false, outcome.Attributes["kill.escalated"])
			s.c.Stop()
			for _, r := range s.sink.Records() {
				if r.Event == "kill.outcome" {
					assert.NotEqual(t, int64(nobodyElse), r.Attributes["process.user.id"], "%s", r.Body)
				}
			}
			if s.source.traced() {
				assert.Len(t, s.records(target.PID, "kill.signal"), 1, "the kernel generates no signal that it refuses")
			}
		})
	}
}
