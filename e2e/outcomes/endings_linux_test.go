// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The ways in which a single target can end, or survive.

// ending is a target and what is done to it.
type ending struct {
	// script is what the target runs. Without a script it is the senders' program with this
	// argument.
	script, argument string
	// reap says whether the parent reaps the target.
	reap          bool
	first, second func(s *stage, target *process.Target)
	want          story
}

const (
	// keepsWaiting comes after a script's traps.
	keepsWaiting = "echo ready; while :; do read -r line; done"
	resists      = "trap : TERM; " + keepsWaiting
	dies         = "echo ready; read -r line"

	killed     = "was killed by SIGKILL"
	isAlive    = "is still alive"
	dumpedCore = "dumped core on SIGABRT"
)

func (s *stage) term(target *process.Target) { s.signal(s.soft, target, unix.SIGTERM) }

func (s *stage) kill(target *process.Target) { s.signal(s.soft, target, unix.SIGKILL) }

func (s *stage) killHard(target *process.Target) { s.signal(s.hard, target, unix.SIGKILL) }

// killSleep waits until the target has become another program, and kills it.
func (s *stage) killSleep(target *process.Target) {
	harness.Eventually(s.t, func() bool { return process.CommandName(s.t, target.PID) == "sleep" }, "the target has become another program")
	s.killHard(target)
}

var endings = map[string]ending{
	"exits late": {
		script: "trap 'sleep 1; exit 7' TERM; " + keepsWaiting, reap: true, first: (*stage).term,
		want: story{verdict: "exited", how: 7, sent: []string{"SIGTERM"}, lasts: time.Second},
	},
	"exits": {
		script: "trap 'exit 0' TERM; " + keepsWaiting, first: (*stage).term,
		want: story{verdict: "exited", how: 0, sent: []string{"SIGTERM"}},
	},
	"dies": {
		script: dies, first: (*stage).term,
		want: story{verdict: "killed", how: "SIGTERM", sent: []string{"SIGTERM"}},
	},
	"is killed": {
		script: dies, first: (*stage).kill,
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGKILL"}, severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"is killed and reaped": {
		script: dies, reap: true, first: (*stage).kill,
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGKILL"}, severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"dies of another signal": {
		script: "trap 'kill -USR1 $$' TERM; " + keepsWaiting, first: (*stage).term,
		want: story{verdict: "killed", how: "SIGUSR1", sent: []string{"SIGTERM"}},
	},
	"dumps core": {
		script: "ulimit -c unlimited; " + dies,
		first:  func(s *stage, target *process.Target) { s.signal(s.soft, target, unix.SIGABRT) },
		want: story{
			verdict: "core_dumped", how: "SIGABRT", sent: []string{"SIGABRT"}, severity: plog.SeverityNumberError,
			message: dumpedCore,
		},
	},
	"survives": {
		script: resists, first: (*stage).term,
		want: story{
			verdict: "survived", sent: []string{"SIGTERM"}, lasts: survives, severity: plog.SeverityNumberWarn, message: isAlive,
		},
	},
	"is stopped like a service": {
		script: resists, reap: true, first: (*stage).term, second: (*stage).killHard,
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGTERM", "SIGKILL"}, lasts: time.Second, escalated: true,
			severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"dies when continued": {
		script: dies,
		first: func(s *stage, target *process.Target) {
			s.signal(s.soft, target, unix.SIGSTOP)
			target.AwaitState("T")
			s.term(target)
		},
		second: func(s *stage, target *process.Target) { s.signal(s.hard, target, unix.SIGCONT) },
		want:   story{verdict: "killed", how: "SIGTERM", sent: []string{"SIGTERM"}, lasts: time.Second},
	},
	"becomes another program": {
		script: "trap 'exec sleep 1000' TERM; " + keepsWaiting, first: (*stage).term,
		second: (*stage).killSleep,
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGTERM", "SIGKILL"}, lasts: time.Second, escalated: true,
			lastName: "sleep", severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"becomes another program by a thread": {
		argument: "reborn", first: (*stage).term,
		second: (*stage).killSleep,
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGTERM", "SIGKILL"}, lasts: time.Second, escalated: true,
			lastName: "sleep", severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"has lost its first thread": {
		argument: "headless",
		first: func(s *stage, target *process.Target) {
			target.AwaitState("Z")
			s.kill(target)
		},
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGKILL"}, severity: plog.SeverityNumberWarn, message: killed,
		},
	},
	"is killed by a thread's signal": {
		argument: "victim",
		first: func(s *stage, target *process.Target) {
			thread := process.SecondThread(s.t, target.PID)
			s.call(s.soft, orders.Order{Call: "tgkill", PID: target.PID, Thread: thread, Signal: int(unix.SIGKILL)}, target)
		},
		want: story{
			verdict: "killed", how: "SIGKILL", sent: []string{"SIGKILL"}, severity: plog.SeverityNumberWarn, message: killed,
		},
	},
}

// survives is how long the collector watches a target.
const survives = 3 * time.Second

// TestOutcomes signals all kinds of targets while the collector uses each source.
func TestOutcomes(t *testing.T) {
	needCores(t)
	for _, source := range liveSources {
		t.Run(source.name, func(t *testing.T) {
			// One target dies of a SIGUSR1 of its own, which ebpf would see unless it was not asked for.
			s := newStage(t, source, "outcome: {timeout: 3s}, signals: [HUP, INT, QUIT, ABRT, KILL, TERM, STOP]")
			targets := s.signalAll()
			for name, scene := range scenes {
				t.Run(name, func(t *testing.T) { scene(s.within(t)) })
			}
			for name, ending := range endings {
				t.Run(name, func(t *testing.T) {
					span := s.within(t).check(targets[name], ending.want)
					assert.True(t, span.ParentSpanID().IsEmpty(), "it was signaled by calls of its own")
				})
			}
			s.c.Running()
			s.c.Stop()
			s.assertOnce()
		})
	}
}

// within returns the same stage for a subtest.
func (s *stage) within(t *testing.T) *stage {
	t.Helper()
	inner := *s
	inner.t = t
	return &inner
}

// signalAll signals a target of each ending, and some of them again after a while.
func (s *stage) signalAll() map[string]*process.Target {
	s.t.Helper()
	targets := make(map[string]*process.Target)
	for name, ending := range endings {
		if ending.argument != "" {
			targets[name] = process.StartTarget(s.t, exec.Command(s.program, ending.argument), ending.reap) //nolint:gosec // was just built
		} else {
			targets[name] = process.StartScript(s.t, strings.ReplaceAll(name, " ", "-"), ending.script, ending.reap)
		}
	}
	for name, ending := range endings {
		ending.first(s, targets[name])
	}
	time.Sleep(time.Second) // as a service manager waits between SIGTERM and SIGKILL
	for name, ending := range endings {
		if ending.second != nil {
			ending.second(s, targets[name])
		}
	}
	require.Less(s.t, time.Since(targets["survives"].SignaledAt), survives, "this machine is too slow for the test")
	return targets
}
