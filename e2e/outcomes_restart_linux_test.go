// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

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

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What becomes of targets when the collector does not live as long as they.

const exitsWhenTold = "trap 'read -r line; exit 3' TERM; " + keepsWaiting

// TestOutcomesOverARestart ends the collector between the first signal to a target and
// its end.
func TestOutcomesOverARestart(t *testing.T) {
	ways := map[string]func(s *stage, storage string, targets []*target){
		"stopped": func(s *stage, _ string, _ []*target) { s.c.stop() },
		"killed": func(s *stage, storage string, targets []*target) {
			awaitStored(s.t, storage, targets)
			s.c.kill()
		},
	}
	for _, source := range liveSources {
		for way, end := range ways {
			t.Run(source.name+", "+way, func(t *testing.T) {
				storage := t.TempDir()
				s := newStage(t, source, "storage: file_storage", func(c *config) { c.extensions = fileStorage(storage) })
				falls := startScript(t, "falls", dies, true)
				s.kill(falls)
				s.check(falls, endings["is killed"].want)
				exits := startScript(t, "exits", exitsWhenTold, true)
				fights, vanishes := startScript(t, "fights", resists, true), startScript(t, "vanishes", resists, true)
				leader := startScript(t, "leader", exitsWhenTold, true)
				member := startScript(t, "member", exitsWhenTold, true, inGroup(leader.pid))
				for _, target := range []*target{exits, fights, vanishes} {
					s.term(target)
				}
				s.call(s.soft, orders.Order{Call: "kill", PID: -leader.pid, Signal: int(unix.SIGTERM)}, leader, member)
				all := []*target{exits, fights, vanishes, leader, member}
				s.awaitSignals(all...)
				end(s, storage, all)
				require.NoError(t, vanishes.command.Process.Kill())
				vanishes.awaitReaped()
				s.begin()
				for _, target := range []*target{exits, leader, member} {
					_, err := target.input.WriteString("exit\n")
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
				assertAttributes(t, attributesOf(root), map[string]any{
					"kill.outcomes.exited": int64(2), "process.command": s.soft.name, "kill.target.count": int64(2),
				})
				s.c.stop()
				s.assertOnce()
			})
		}
	}
}

// awaitSignals waits until the signals to targets are told.
func (s *stage) awaitSignals(targets ...*target) {
	s.t.Helper()
	for _, target := range targets {
		eventually(s.t, func() bool { return len(s.told(target.pid, "kill.signal")) > 0 }, "the signal to process %d", target.pid)
	}
}

// awaitStored waits until the storage has who is followed.
func awaitStored(t *testing.T, directory string, targets []*target) {
	t.Helper()
	eventually(t, func() bool {
		data, err := os.ReadFile(filepath.Join(directory, "receiver_audit_kill_"))
		for _, target := range targets {
			if err != nil || !bytes.Contains(data, fmt.Appendf(nil, `{"PID":%d,`, target.pid)) {
				return false
			}
		}
		return true
	}, "the targets are stored")
}

// TestOutcomesAreUnknownAtTheEnd stops the collector while a target lives, which has
// no time to see what becomes of it. Each kind of pipeline tells all that it can.
func TestOutcomesAreUnknownAtTheEnd(t *testing.T) {
	unknown := story{verdict: "unknown", sent: []string{"SIGTERM"}}
	for _, source := range liveSources {
		for _, pipeline := range []string{"logs", "traces"} {
			t.Run(source.name+", "+pipeline, func(t *testing.T) {
				s := newStage(t, source, "outcome: {timeout: 2m}", func(c *config) { c.pipelines = []string{pipeline} })
				lives, falls := startScript(t, "lives", resists, true), startScript(t, "falls", dies, false)
				s.term(lives)
				s.kill(falls)
				if pipeline == "logs" {
					s.awaitSignals(lives)
					s.checkRecord(falls, endings["is killed"].want)
					s.c.stop()
					s.checkRecord(lives, unknown)
					assert.Empty(t, s.sink.spans())
					return
				}
				eventually(t, func() bool { return s.spanOf(falls) != nil }, "the span of process %d", falls.pid)
				s.c.stop()
				assert.Empty(t, s.sink.records())
				for target, want := range map[*target]string{lives: "unknown", falls: "killed"} {
					span := s.spanOf(target)
					require.NotNil(t, span, want)
					assertAttributes(t, attributesOf(*span), map[string]any{"kill.outcome": want})
					assert.Equal(t, 1, span.Events().Len(), "signals")
				}
			})
		}
	}
}

// spanOf returns the span that is about a process; nil if there is none yet.
func (s *stage) spanOf(target *target) *ptrace.Span {
	for _, span := range s.sink.spans() {
		if pid, ok := span.Attributes().Get("kill.target.pid"); ok && pid.Int() == int64(target.pid) {
			return &span
		}
	}
	return nil
}
