// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The outcomes of targets that outlive the collector.

const exitsOnInput = "trap 'read -r line; exit 3' TERM; " + keepsWaiting

// TestOutcomesOverARestart restarts the collector between the first signal to a target and the end
// of the target.
func TestOutcomesOverARestart(t *testing.T) {
	ways := map[string]func(s *stage, storage string, targets []*process.Target){
		"stopped": func(s *stage, _ string, _ []*process.Target) { s.c.Stop() },
		"killed": func(s *stage, storage string, targets []*process.Target) {
			awaitStored(s.t, storage, targets)
			s.c.Kill()
		},
	}
	for _, source := range liveSources {
		for way, end := range ways {
			t.Run(source.name+", "+way, func(t *testing.T) {
				storage := t.TempDir()
				s := newStage(t, source, "storage: file_storage", func(c *collector.Config) { c.Extensions = collector.FileStorage(storage) })
				falls := process.StartScript(t, "falls", dies, true)
				s.kill(falls)
				s.check(falls, endings["is killed"].want)
				exits := process.StartScript(t, "exits", exitsOnInput, true)
				fights, vanishes := process.StartScript(t, "fights", resists, true), process.StartScript(t, "vanishes", resists, true)
				leader := process.StartScript(t, "leader", exitsOnInput, true)
				member := process.StartScript(t, "member", exitsOnInput, true, inGroup(leader.PID))
				for _, target := range []*process.Target{exits, fights, vanishes} {
					s.term(target)
				}
				s.call(s.soft, orders.Order{Call: "kill", PID: -leader.PID, Signal: int(unix.SIGTERM)}, leader, member)
				all := []*process.Target{exits, fights, vanishes, leader, member}
				s.awaitSignals(all...)
				end(s, storage, all)
				require.NoError(t, vanishes.Command.Process.Kill())
				vanishes.AwaitReaped()
				s.begin()
				for _, target := range []*process.Target{exits, leader, member} {
					_, err := target.Input.WriteString("exit\n")
					require.NoError(t, err)
				}
				s.killHard(fights)

				exited := story{verdict: "exited", how: 3, sent: []string{"SIGTERM"}}
				s.check(exits, exited)
				fought := endings["is stopped like a service"].want
				fought.lasts = 0
				s.check(fights, fought)
				s.check(vanishes, story{verdict: "ended", sent: []string{"SIGTERM"}})
				root := s.parent([]ptrace.Span{s.check(leader, exited), s.check(member, exited)})
				otlp.AssertAttributes(t, attributesOf(root), map[string]any{
					"kill.outcomes.exited": int64(2), "process.command": s.soft.Name, "kill.target.count": int64(2),
				})
				s.c.Stop()
				s.assertOnce()
			})
		}
	}
}

// awaitSignals waits until the signals to targets are reported.
func (s *stage) awaitSignals(targets ...*process.Target) {
	s.t.Helper()
	for _, target := range targets {
		harness.Eventually(s.t, func() bool { return len(s.records(target.PID, "kill.signal")) > 0 }, "the signal to process %d", target.PID)
	}
}

// awaitStored waits until the watched targets are in the storage.
func awaitStored(t *testing.T, directory string, targets []*process.Target) {
	t.Helper()
	harness.Eventually(t, func() bool {
		data, err := os.ReadFile(filepath.Join(directory, "receiver_audit_kill_"))
		for _, target := range targets {
			if err != nil || !bytes.Contains(data, fmt.Appendf(nil, `{"PID":%d,`, target.PID)) {
				return false
			}
		}
		return true
	}, "the targets are stored")
}

// TestOutcomesAreUnknownAtTheEnd stops the collector while a target is still alive: its outcome is
// reported as unknown. A pipeline for logs or for traces alone reports all that it can.
func TestOutcomesAreUnknownAtTheEnd(t *testing.T) {
	unknown := story{verdict: "unknown", sent: []string{"SIGTERM"}}
	for _, source := range liveSources {
		for _, pipeline := range []string{"logs", "traces"} {
			t.Run(source.name+", "+pipeline, func(t *testing.T) {
				s := newStage(t, source, "outcome: {timeout: 2m}", func(c *collector.Config) { c.Pipelines = []string{pipeline} })
				lives, falls := process.StartScript(t, "lives", resists, true), process.StartScript(t, "falls", dies, false)
				s.term(lives)
				s.kill(falls)
				if pipeline == "logs" {
					s.awaitSignals(lives)
					s.checkRecord(falls, endings["is killed"].want)
					s.c.Stop()
					s.checkRecord(lives, unknown)
					assert.Empty(t, s.sink.Spans())
					return
				}
				harness.Eventually(t, func() bool { return s.spanOf(falls) != nil }, "the span of process %d", falls.PID)
				s.c.Stop()
				assert.Empty(t, s.sink.Records())
				for target, want := range map[*process.Target]string{lives: "unknown", falls: "killed"} {
					span := s.spanOf(target)
					require.NotNil(t, span, want)
					otlp.AssertAttributes(t, attributesOf(*span), map[string]any{"kill.outcome": want})
					assert.Equal(t, 1, span.Events().Len(), "signals")
				}
			})
		}
	}
}

// spanOf returns the span about a target; nil if there is none yet.
func (s *stage) spanOf(target *process.Target) *ptrace.Span {
	for _, span := range s.sink.Spans() {
		if pid, ok := span.Attributes().Get("kill.target.pid"); ok && pid.Int() == int64(target.PID) {
			return &span
		}
	}
	return nil
}
