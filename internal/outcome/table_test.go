// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	pid     = 3936
	exited0 = 0
	exited3 = 3 << 8
)

// only requires that there is exactly one outcome, and returns it.
func (f *fixture) only(t *testing.T) *kill.Event {
	t.Helper()
	outcomes := f.TakeOutcomes()
	require.Len(t, outcomes, 1)
	assert.Equal(t, kill.KindOutcome, outcomes[0].Kind)
	return outcomes[0]
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happens  func(f *fixture)
		verdict  kill.Verdict
		exit     kill.Exit
		duration time.Duration
		signals  int
		// escalated and fails are false in most.
		escalated, fails bool
	}{
		"killed at once": {
			func(f *fixture) { f.send(kill.SIGKILL, pid); f.died(pid, 9) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 1, false, true,
		},
		"handled": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); f.pass(30 * time.Second); f.died(pid, exited0) },
			kill.VerdictExited,
			kill.Exit{Known: true},
			30 * time.Second, 1, false, false,
		},
		"ended softly": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); f.died(pid, 15) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 15},
			0, 1, false, false,
		},
		"of another signal than the one sent": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); f.died(pid, 13) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 13},
			0, 1, false, false,
		},
		"dumped core": {
			func(f *fixture) { f.send(kill.SIGABRT, pid); f.died(pid, 6|0x80) },
			kill.VerdictCoreDumped,
			kill.Exit{Known: true, Status: 0x86},
			0, 1, false, true,
		},
		"escalated": {
			func(f *fixture) {
				f.send(kill.SIGTERM, pid)
				f.pass(90 * time.Second)
				f.send(kill.SIGKILL, pid)
				f.died(pid, 9)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			90 * time.Second, 2, true, true,
		},
		"the other way round": {
			func(f *fixture) { f.send(kill.SIGKILL, pid); f.send(kill.SIGTERM, pid); f.died(pid, 9) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 2, false, true,
		},
		"stopped, terminated, continued": {
			func(f *fixture) {
				f.send(kill.SIGSTOP, pid)
				f.send(kill.SIGTERM, pid)
				f.pass(time.Second)
				f.send(18, pid)
				f.died(pid, 15)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 15},
			time.Second, 2, false, false,
		},
		"ignored": {
			func(f *fixture) {
				f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Delivery = kill.DeliveryIgnored }, pid)
				f.pass(time.Second)
				f.send(kill.SIGKILL, pid)
				f.died(pid, 9)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			time.Second, 2, true, true,
		},
		"survived": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); f.pass(2 * time.Minute) },
			kill.VerdictSurvived,
			kill.Exit{},
			2 * time.Minute, 1, false, true,
		},
		"gone before it could be watched, after SIGKILL": {
			func(f *fixture) { delete(f.exits.starts, pid); f.send(kill.SIGKILL, pid); f.pass(time.Second) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 1, false, true,
		},
		"gone before it could be watched": {
			func(f *fixture) { delete(f.exits.starts, pid); f.send(kill.SIGTERM, pid); f.pass(time.Second) },
			kill.VerdictEnded,
			kill.Exit{},
			0, 1, false, false,
		},
		"gone before it could be watched, after both": {
			func(f *fixture) {
				delete(f.exits.starts, pid)
				f.send(kill.SIGTERM, pid)
				f.send(kill.SIGKILL, pid)
				f.pass(time.Second)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 2, true, true,
		},
		"its end was not reported": {
			func(f *fixture) {
				f.send(kill.SIGTERM, pid)
				delete(f.exits.starts, pid)
				f.pass(2 * time.Minute)
				f.pass(grace)
				f.pass(lateness)
			},
			kill.VerdictEnded,
			kill.Exit{},
			2 * time.Minute, 1, false, false,
		},
		"crashed, reported by the audit system": {
			func(f *fixture) {
				delete(f.exits.starts, pid)
				f.sendWith(kill.SIGSEGV, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
				f.pass(time.Second)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 11},
			0, 1, false, false,
		},
		"aborted, reported by signal and abend": {
			func(f *fixture) {
				f.send(kill.SIGABRT, pid)
				f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
				f.died(pid, 0x86)
			},
			kill.VerdictCoreDumped,
			kill.Exit{Known: true, Status: 0x86},
			0, 1, false, true,
		},
		"an attempt that failed, and one that only asked": {
			func(f *fixture) {
				f.send(kill.SIGTERM, pid)
				f.sendWith(kill.SIGKILL, func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} }, pid)
				f.send(0, pid)
				f.died(pid, exited3)
			},
			kill.VerdictExited,
			kill.Exit{Known: true, Status: exited3},
			0, 2, false, false,
		},
		"shut down meanwhile": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); f.at += time.Second; f.Settle(); f.Abandon() },
			kill.VerdictUnknown,
			kill.Exit{},
			time.Second, 1, false, false,
		},
		"shut down before its end was reported": {
			func(f *fixture) { f.send(kill.SIGTERM, pid); delete(f.exits.starts, pid); f.Settle(); f.Abandon() },
			kill.VerdictEnded,
			kill.Exit{},
			0, 1, false, false,
		},
		"the pid was reused": {
			func(f *fixture) {
				f.send(kill.SIGTERM, pid)
				f.exits.starts[pid] = 2 * uptime
				f.sendWith(kill.SIGHUP, func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1} }, pid)
			},
			kill.VerdictEnded,
			kill.Exit{},
			0, 1, false, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			test.happens(f)
			e := f.only(t)
			o := e.Outcome
			assert.Equal(t, test.verdict, o.Verdict)
			assert.Equal(t, test.exit, o.Exit)
			assert.Equal(t, test.duration, e.Time.Sub(o.Began))
			assert.Len(t, o.Signals, test.signals)
			assert.Equal(t, test.escalated, o.Escalated, "escalated")
			assert.Equal(t, test.fails, o.Fails(), "fails")
			assert.Equal(t, pid, e.Targets[0].PID)
			assert.Equal(t, "systemd", e.Sender.Command)
			assert.Equal(t, e.Targets[0].Span, o.Span)
			assert.Zero(t, f.Watched())
			assert.Empty(t, f.open)
			assert.True(t, f.NextDue().IsZero())
		})
	}
}

// A signal that cannot end a process begins no episode.
func TestNotFatal(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*kill.Event){
		"stops":      func(e *kill.Event) { e.Signal = kill.SIGSTOP },
		"only asks":  func(e *kill.Event) { e.Signal = 0 },
		"failed":     func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} },
		"queue full": func(e *kill.Event) { e.Delivery = kill.DeliveryOverflow },
		"not known":  func(e *kill.Event) { e.SignalKnown = false },
		"no target":  func(e *kill.Event) { e.Targets = nil },
		"tampering":  func(e *kill.Event) { e.Kind = kill.KindTamper },
		"no pid":     func(e *kill.Event) { e.Targets[0].PID = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			e := f.sendWith(kill.SIGTERM, change, pid)
			assert.Zero(t, f.Watched())
			assert.Empty(t, f.exits.watched)
			for _, target := range e.Targets {
				assert.Zero(t, target.Span)
			}
		})
	}
}

// The audit system reports a signal some time after the end of its target.
func TestLateSignal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.pass(time.Second)
	f.died(pid, 9)
	f.pass(lateness / 2)
	late := f.sendWith(kill.SIGKILL, func(e *kill.Event) {
		e.Time = e.Time.Add(-lateness / 2)
		e.Targets[0].Instance = nil // no longer known
	}, pid)
	assert.Empty(t, f.TakeOutcomes())
	assert.Equal(t, epoch.Add(time.Second).Add(lateness), f.NextDue())
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, kill.VerdictKilled, e.Outcome.Verdict)
	assert.Equal(t, time.Second, e.Time.Sub(e.Outcome.Began), "the end keeps its own time")
	assert.True(t, e.Outcome.Escalated)
	assert.Equal(t, e.Outcome.Span, late.Targets[0].Span)
}

// A pid is reused while the table still waits for late signals to its last process.
func TestReusedPID(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	first := f.send(kill.SIGKILL, pid)
	f.died(pid, 9)
	f.at += lateness / 2
	f.exits.starts[pid] = 2 * uptime
	second := f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Targets[0].Instance = nil }, pid)
	assert.Equal(t, first.Targets[0].Span, f.only(t).Outcome.Span)
	assert.NotEqual(t, first.Targets[0].Span, second.Targets[0].Span)

	old := f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Targets[0].Instance = &kill.Instance{SinceBoot: pid * time.Second} }, pid)
	assert.Zero(t, old.Targets[0].Span, "this signal was to the last process with that pid")
	f.died(pid, 15)
	f.pass(lateness)
	assert.Equal(t, second.Targets[0].Span, f.only(t).Outcome.Span)
}

// One call with several targets is one trace.
func TestCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for _, pid := range []int{10, 11, 12} {
		f.born(pid)
	}
	alone := f.send(kill.SIGTERM, 10).Targets[0].Span
	e := f.send(kill.SIGKILL, 10, 11, 12)
	assert.Equal(t, alone, e.Targets[0].Span, "a process that was watched already keeps its span")
	assert.Equal(t, e.Targets[1].Span.Trace, e.Targets[2].Span.Trace)
	assert.NotEqual(t, e.Targets[1].Span.ID, e.Targets[2].Span.ID)
	assert.NotEqual(t, alone.Trace, e.Targets[1].Span.Trace)
	f.died(10, 9)
	assert.Zero(t, f.only(t).Outcome.Parent)
	f.died(12, 9)
	parent := f.only(t).Outcome.Parent
	assert.Equal(t, e.Targets[1].Span.Trace, parent.Trace)
	f.pass(time.Second)
	f.died(11, exited0)
	outcomes := f.TakeOutcomes()
	require.Len(t, outcomes, 2)
	assert.Equal(t, parent, outcomes[0].Outcome.Parent)
	whole := outcomes[1]
	assert.Equal(t, kill.KindCall, whole.Kind)
	assert.Equal(t, parent, whole.Outcome.Span)
	assert.Equal(t, time.Second, whole.Time.Sub(whole.Outcome.Began))
	assert.Equal(t, map[kill.Verdict]int{kill.VerdictKilled: 1, kill.VerdictExited: 1}, whole.Outcome.Verdicts)
	assert.Equal(t, 1, whole.Outcome.Failed)
	assert.Equal(t, 3, whole.TargetCount)
	assert.Empty(t, whole.Targets)
	assert.Empty(t, f.calls)
}
