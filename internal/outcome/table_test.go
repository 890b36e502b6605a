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

// only returns the one outcome that there must be.
func (f *fixture) only(t *testing.T) *kill.Event {
	t.Helper()
	told := f.Take()
	require.Len(t, told, 1)
	assert.Equal(t, kill.KindOutcome, told[0].Kind)
	return told[0]
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
			func(f *fixture) { f.sent(kill.SIGKILL, pid); f.died(pid, 9) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 1, false, true,
		},
		"handled": {
			func(f *fixture) { f.sent(kill.SIGTERM, pid); f.pass(30 * time.Second); f.died(pid, exited0) },
			kill.VerdictExited,
			kill.Exit{Known: true},
			30 * time.Second, 1, false, false,
		},
		"ended softly": {
			func(f *fixture) { f.sent(kill.SIGTERM, pid); f.died(pid, 15) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 15},
			0, 1, false, false,
		},
		"of another signal than the one sent": {
			func(f *fixture) { f.sent(kill.SIGTERM, pid); f.died(pid, 13) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 13},
			0, 1, false, false,
		},
		"dumped core": {
			func(f *fixture) { f.sent(kill.SIGABRT, pid); f.died(pid, 6|0x80) },
			kill.VerdictCoreDumped,
			kill.Exit{Known: true, Status: 0x86},
			0, 1, false, true,
		},
		"escalated": {
			func(f *fixture) {
				f.sent(kill.SIGTERM, pid)
				f.pass(90 * time.Second)
				f.sent(kill.SIGKILL, pid)
				f.died(pid, 9)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			90 * time.Second, 2, true, true,
		},
		"the other way round": {
			func(f *fixture) { f.sent(kill.SIGKILL, pid); f.sent(kill.SIGTERM, pid); f.died(pid, 9) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 2, false, true,
		},
		"stopped, terminated, continued": {
			func(f *fixture) {
				f.sent(kill.SIGSTOP, pid)
				f.sent(kill.SIGTERM, pid)
				f.pass(time.Second)
				f.sent(18, pid)
				f.died(pid, 15)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 15},
			time.Second, 2, false, false,
		},
		"survived": {
			func(f *fixture) { f.sent(kill.SIGTERM, pid); f.pass(2 * time.Minute) },
			kill.VerdictSurvived,
			kill.Exit{},
			2 * time.Minute, 1, false, true,
		},
		"gone before it was looked for, after SIGKILL": {
			func(f *fixture) { delete(f.exits.starts, pid); f.sent(kill.SIGKILL, pid); f.pass(time.Second) },
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 1, false, true,
		},
		"gone before it was looked for": {
			func(f *fixture) { delete(f.exits.starts, pid); f.sent(kill.SIGTERM, pid); f.pass(time.Second) },
			kill.VerdictEnded,
			kill.Exit{},
			0, 1, false, false,
		},
		"gone before it was looked for, after both": {
			func(f *fixture) {
				delete(f.exits.starts, pid)
				f.sent(kill.SIGTERM, pid)
				f.sent(kill.SIGKILL, pid)
				f.pass(time.Second)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 9},
			0, 2, true, true,
		},
		"its end was not told": {
			func(f *fixture) {
				f.sent(kill.SIGTERM, pid)
				delete(f.exits.starts, pid)
				f.pass(2 * time.Minute)
				f.pass(grace)
				f.pass(lateness)
			},
			kill.VerdictEnded,
			kill.Exit{},
			2 * time.Minute, 1, false, false,
		},
		"crashed, as the audit system tells": {
			func(f *fixture) {
				delete(f.exits.starts, pid)
				f.strike(kill.SIGSEGV, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
				f.pass(time.Second)
			},
			kill.VerdictKilled,
			kill.Exit{Known: true, Status: 11},
			0, 1, false, false,
		},
		"aborted, which both tell": {
			func(f *fixture) {
				f.sent(kill.SIGABRT, pid)
				f.strike(kill.SIGABRT, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
				f.died(pid, 0x86)
			},
			kill.VerdictCoreDumped,
			kill.Exit{Known: true, Status: 0x86},
			0, 1, false, true,
		},
		"an attempt that failed, and one that only asked": {
			func(f *fixture) {
				f.sent(kill.SIGTERM, pid)
				f.strike(kill.SIGKILL, func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} }, pid)
				f.sent(0, pid)
				f.died(pid, exited3)
			},
			kill.VerdictExited,
			kill.Exit{Known: true, Status: exited3},
			0, 2, false, false,
		},
		"shut down meanwhile": {
			func(f *fixture) { f.sent(kill.SIGTERM, pid); f.at += time.Second; f.Settle(); f.Abandon() },
			kill.VerdictUnknown,
			kill.Exit{},
			time.Second, 1, false, false,
		},
		"the pid was used again": {
			func(f *fixture) {
				f.sent(kill.SIGTERM, pid)
				f.exits.starts[pid] = 2 * uptime
				f.strike(kill.SIGHUP, func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1} }, pid)
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
			assert.True(t, f.Next().IsZero())
		})
	}
}

// Nothing begins with what ends nobody.
func TestNotFatal(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*kill.Event){
		"stops":      func(e *kill.Event) { e.Signal = kill.SIGSTOP },
		"only asks":  func(e *kill.Event) { e.Signal = 0 },
		"failed":     func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} },
		"ignored":    func(e *kill.Event) { e.Delivery = kill.DeliveryIgnored },
		"queue full": func(e *kill.Event) { e.Delivery = kill.DeliveryOverflow },
		"not known":  func(e *kill.Event) { e.SignalKnown = false },
		"to nobody":  func(e *kill.Event) { e.Targets = nil },
		"tampering":  func(e *kill.Event) { e.Kind = kill.KindTamper },
		"no pid":     func(e *kill.Event) { e.Targets[0].PID = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			e := f.strike(kill.SIGTERM, change, pid)
			assert.Zero(t, f.Watched())
			assert.Empty(t, f.exits.followed)
			for _, target := range e.Targets {
				assert.Zero(t, target.Span)
			}
		})
	}
}

// The audit system tells of a signal some time after the end of its target.
func TestLateSignal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	f.pass(time.Second)
	f.died(pid, 9)
	f.pass(lateness / 2)
	late := f.strike(kill.SIGKILL, func(e *kill.Event) {
		e.Time = e.Time.Add(-lateness / 2)
		e.Targets[0].Instance = nil // nobody knows by now
	}, pid)
	assert.Empty(t, f.Take())
	assert.Equal(t, epoch.Add(time.Second).Add(lateness), f.Next())
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, kill.VerdictKilled, e.Outcome.Verdict)
	assert.Equal(t, time.Second, e.Time.Sub(e.Outcome.Began), "it died when it died")
	assert.True(t, e.Outcome.Escalated)
	assert.Equal(t, e.Outcome.Span, late.Targets[0].Span)
}

// A pid is used again while signals to who bore it before are still waited for.
func TestUsedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	first := f.sent(kill.SIGKILL, pid)
	f.died(pid, 9)
	f.at += lateness / 2
	f.exits.starts[pid] = 2 * uptime
	second := f.strike(kill.SIGTERM, func(e *kill.Event) { e.Targets[0].Instance = nil }, pid)
	assert.Equal(t, first.Targets[0].Span, f.only(t).Outcome.Span)
	assert.NotEqual(t, first.Targets[0].Span, second.Targets[0].Span)

	old := f.strike(kill.SIGTERM, func(e *kill.Event) { e.Targets[0].Instance = &kill.Instance{SinceBoot: pid * time.Second} }, pid)
	assert.Zero(t, old.Targets[0].Span, "of who bore it before")
	f.died(pid, 15)
	f.pass(lateness)
	assert.Equal(t, second.Targets[0].Span, f.only(t).Outcome.Span)
}

// One call that strikes many is one trace.
func TestCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for _, pid := range []int{10, 11, 12} {
		f.born(pid)
	}
	alone := f.sent(kill.SIGTERM, 10).Targets[0].Span
	e := f.sent(kill.SIGKILL, 10, 11, 12)
	assert.Equal(t, alone, e.Targets[0].Span, "who was followed already goes on as it began")
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
	told := f.Take()
	require.Len(t, told, 2)
	assert.Equal(t, parent, told[0].Outcome.Parent)
	whole := told[1]
	assert.Equal(t, kill.KindCall, whole.Kind)
	assert.Equal(t, parent, whole.Outcome.Span)
	assert.Equal(t, time.Second, whole.Time.Sub(whole.Outcome.Began))
	assert.Equal(t, map[kill.Verdict]int{kill.VerdictKilled: 1, kill.VerdictExited: 1}, whole.Outcome.Verdicts)
	assert.Equal(t, 1, whole.Outcome.Failed)
	assert.Equal(t, 3, whole.TargetCount)
	assert.Empty(t, whole.Targets)
	assert.Empty(t, f.calls)
}

func TestLastSender(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.strike(kill.SIGTERM, from("systemd", 1), pid)
	f.strike(kill.SIGTERM, from("systemd", 1), pid)
	f.strike(kill.SIGKILL, from("mykill", 3997), pid)
	f.strike(kill.SIGSTOP, from("late", 4), pid)
	f.died(pid, 9)
	e := f.only(t)
	assert.Equal(t, "systemd", e.Sender.Command)
	assert.Equal(t, "mykill", e.Outcome.LastSender.Command)
	assert.Equal(t, kill.SIGKILL, e.Outcome.LastSignal)
	assert.Same(t, e.Outcome.Signals[0].Sender, e.Outcome.Signals[1].Sender)
}

// A process may run another program by the time it dies.
func TestRenamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	e := &kill.Event{Kind: kill.KindExit, Time: f.now(), Exit: &kill.Exit{Known: true}}
	*e.AddTarget() = kill.Process{PID: pid, Command: "mariadbd", Instance: &kill.Instance{SinceBoot: pid * time.Second}}
	f.Exited(e)
	told := f.only(t)
	assert.Equal(t, "mysqld", told.Targets[0].Command)
	assert.Equal(t, "mariadbd", told.Outcome.LastName)
}

func TestManySignals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	for range 1000 {
		f.sent(kill.SIGHUP, pid)
		f.at += time.Millisecond
	}
	f.died(pid, 1)
	o := f.only(t).Outcome
	assert.Len(t, o.Signals, maxSignals)
	assert.Equal(t, 1000-maxSignals, o.Omitted)
	assert.Equal(t, epoch, o.Signals[0].Time)
	assert.Equal(t, epoch.Add(999*time.Millisecond), o.Signals[maxSignals-1].Time)
}

// Who survives is followed anew with the next signal, under another span.
func TestSurvivesTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	first := f.sent(kill.SIGTERM, pid).Targets[0].Span
	f.pass(2 * time.Minute)
	f.only(t)
	assert.Equal(t, []int{pid}, f.exits.forgotten)
	second := f.sent(kill.SIGKILL, pid).Targets[0].Span
	assert.Equal(t, first.Trace, second.Trace)
	assert.NotEqual(t, first.ID, second.ID)
	f.died(pid, 9)
	assert.Equal(t, second, f.only(t).Outcome.Span)
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	for pid := 1; pid <= MaxWatches+1; pid++ {
		f.born(pid)
		f.sent(kill.SIGTERM, pid)
	}
	assert.EqualValues(t, MaxWatches, f.Watched())
	assert.EqualValues(t, 1, f.Dropped())
	assert.Equal(t, 1, f.logged.FilterMessage("what becomes of a process will not be told").Len())

	for pid := 1; pid <= MaxWatches; pid++ {
		f.died(pid, 15)
	}
	assert.Zero(t, f.Watched())
	assert.Empty(t, f.Take(), "signals may still come")
	f.born(MaxWatches + 2)
	f.sent(kill.SIGTERM, MaxWatches+2)
	f.died(MaxWatches+2, 15)
	assert.Equal(t, 1, f.only(t).Targets[0].PID, "the first had to make room")
	f.pass(lateness)
	assert.Len(t, f.Take(), maxEnded)
}

func TestCannotFollow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.exits.err = errFull
	e := f.sent(kill.SIGTERM, pid)
	assert.Zero(t, e.Targets[0].Span)
	assert.EqualValues(t, 1, f.Dropped())
	assert.Equal(t, errFull.Error(), f.logged.All()[0].ContextMap()["error"])
}

// What the audit system tells of a target: no more than when, and its name.
func TestFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.at = time.Minute
	f.strike(kill.SIGTERM, func(e *kill.Event) {
		e.Time = epoch.Add(59 * time.Second)
		e.Targets[0].Instance = nil
	}, pid)
	assert.Equal(t, []Target{{PID: pid, Command: "mysqld", At: uptime + 59*time.Second}}, f.exits.followed)
	assert.Equal(t, epoch.Add(59*time.Second+2*time.Minute), f.Next())
	f.died(pid, 15)
	f.pass(lateness)
	assert.Equal(t, f.ids.instance(pid, pid*time.Second), f.only(t).Outcome.Span.Trace, "it was asked when it was created")
}

// The pipeline was stuck: that the process is gone is seen before its end is told.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	late := &kill.Event{Kind: kill.KindExit, Time: epoch.Add(time.Second), Exit: &kill.Exit{Known: true}}
	*late.AddTarget() = kill.Process{PID: pid, Command: "mysqld", Instance: &kill.Instance{SinceBoot: pid * time.Second}}
	delete(f.exits.starts, pid)
	f.pass(3 * time.Minute)
	assert.Empty(t, f.Take())
	assert.Zero(t, f.Watched())
	f.Exited(late)
	e := f.only(t)
	assert.Equal(t, kill.VerdictExited, e.Outcome.Verdict)
	assert.Equal(t, time.Second, e.Time.Sub(e.Outcome.Began))
	assert.True(t, e.Complete)
}

// A zombie is sent signals, and can be followed, but dies only once.
func TestSignalsToTheDead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	span := f.sent(kill.SIGTERM, pid).Targets[0].Span
	f.died(pid, 15)
	f.pass(lateness)
	f.only(t)
	f.born(pid) // as /proc still tells
	for _, change := range []func(*kill.Event){
		func(*kill.Event) {},
		func(e *kill.Event) { e.Targets[0].Instance = nil },
	} {
		assert.Equal(t, span, f.strike(kill.SIGKILL, change, pid).Targets[0].Span)
	}
	assert.Zero(t, f.Watched())
	assert.Equal(t, []int{pid}, f.exits.forgotten)
	f.pass(time.Hour)
	assert.Empty(t, f.Take())
}

func TestRemembersFewOfTheDead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= maxClosed+10; pid++ {
		f.born(pid)
		f.sent(kill.SIGKILL, pid)
		f.died(pid, 9)
	}
	assert.Len(t, f.Take(), maxClosed+10)
	assert.Len(t, f.closed, maxClosed)
	assert.Len(t, f.closings, maxClosed)
}

// If ends are lost, those who are gone make room for others.
func TestSweep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		f.sent(kill.SIGTERM, pid)
		if pid > 10 {
			delete(f.exits.starts, pid)
		}
	}
	f.born(pid)
	f.born(MaxWatches + 1)
	f.sent(kill.SIGTERM, MaxWatches+1)
	assert.EqualValues(t, 12, f.Watched(), "one of them bears the pid of another who was gone")
	assert.Zero(t, f.Dropped())
	f.pass(grace)
	f.pass(lateness)
	assert.Len(t, f.Take(), MaxWatches-11)
}

// A clock that is set makes no outcome end before it began, nor at once.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.strike(kill.SIGTERM, func(e *kill.Event) { e.Time = e.Time.Add(-time.Hour) }, pid)
	f.Expire()
	assert.Empty(t, f.Take(), "it was set forward, which the source does not know yet")
	f.died(pid, 15)
	f.only(t)

	f.born(10)
	f.strike(kill.SIGTERM, func(e *kill.Event) { e.Time = e.Time.Add(time.Hour) }, 10)
	f.pass(2 * time.Minute)
	e := f.only(t)
	assert.Equal(t, kill.VerdictSurvived, e.Outcome.Verdict)
	assert.Equal(t, e.Outcome.Began, e.Time)
}

// All episodes together hold no more signals than there is room for.
func TestTooManySignals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		for range maxSignals {
			f.sent(kill.SIGHUP, pid)
		}
	}
	assert.LessOrEqual(t, f.held, maxHeld+fewSignals*MaxWatches)
	f.sent(kill.SIGKILL, MaxWatches)
	f.died(MaxWatches, 9)
	o := f.only(t).Outcome
	assert.Equal(t, maxSignals+1, len(o.Signals)+o.Omitted)
	assert.Equal(t, kill.SIGHUP, o.Signals[0].Signal)
	assert.Equal(t, kill.SIGKILL, o.Signals[len(o.Signals)-1].Signal)
	f.Abandon()
	assert.Zero(t, f.held)
}

// The audit system tells at once that the process dies, and what was sent a bit later.
func TestAbendFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.at = 4 * time.Millisecond
	abend := f.strike(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Sender = kill.KindAbend, kill.Process{} }, pid)
	f.died(pid, 0x86)
	sent := f.strike(kill.SIGABRT, func(e *kill.Event) { e.Time = epoch }, pid)
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, epoch, e.Outcome.Began)
	assert.Equal(t, "systemd", e.Sender.Command)
	assert.Equal(t, "systemd", e.Outcome.LastSender.Command)
	assert.Len(t, e.Outcome.Signals, 1)
	assert.Equal(t, abend.Targets[0].Span, sent.Targets[0].Span)
	assert.Zero(t, f.held)
}

// What two senders do at a time comes in any order.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	sent := func(signal kill.Signal, command string, after time.Duration) {
		f.strike(signal, func(e *kill.Event) {
			from(command, len(command))(e)
			e.Time = epoch.Add(after)
		}, pid)
	}
	sent(kill.SIGKILL, "last", 3*time.Millisecond)
	sent(kill.SIGTERM, "first", time.Millisecond)
	sent(kill.SIGHUP, "second", 2*time.Millisecond)
	sent(kill.SIGSTOP, "before", 0)
	f.died(pid, 9)
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, epoch.Add(time.Millisecond), e.Outcome.Began)
	assert.Equal(t, kill.SIGTERM, e.Signal)
	assert.Equal(t, "first", e.Sender.Command)
	assert.Equal(t, kill.SIGKILL, e.Outcome.LastSignal)
	assert.Equal(t, "last", e.Outcome.LastSender.Command)
	assert.True(t, e.Outcome.Escalated)
	assert.Len(t, e.Outcome.Signals, 3)
}

// The source has lost ends: it is looked at once who is gone, and then not too often.
func TestDoubt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(10)
	f.born(pid)
	f.sent(kill.SIGTERM, 10)
	f.sent(kill.SIGKILL, pid)
	delete(f.exits.starts, pid)
	f.Doubt()
	assert.False(t, f.Next().After(f.now()))
	f.Expire()
	f.pass(grace)
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, kill.VerdictKilled, e.Outcome.Verdict, "as it was sent SIGKILL")
	assert.Equal(t, epoch, e.Time)
	assert.False(t, e.Complete)
	assert.EqualValues(t, 1, f.Watched())
	f.at = sweepInterval + grace
	f.sweep(f.now())
	f.Doubt()
	f.pass(time.Second)
	assert.Equal(t, f.now().Add(sweepInterval-time.Second), f.Next())
}

// A process that is to end crashes meanwhile. The audit system tells of that only here.
func TestCrashOnTheWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	f.at = time.Second
	f.strike(kill.SIGSEGV, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
	f.died(pid, 11)
	f.pass(lateness)
	o := f.only(t).Outcome
	assert.Len(t, o.Signals, 2)
	assert.Equal(t, kill.SIGSEGV, o.LastSignal)
	assert.Equal(t, epoch, o.Began)
}

// The last signal tells what a process is called by now.
func TestRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	f.strike(kill.SIGKILL, func(e *kill.Event) { e.Targets[0].Command = "mariadbd" }, pid)
	f.strike(kill.SIGKILL, func(e *kill.Event) { e.Targets[0].Command, e.Targets[0].ThreadID = "thread", pid+1 }, pid)
	e := &kill.Event{Kind: kill.KindExit, Time: f.now(), Exit: &kill.Exit{Known: true, Status: 9}}
	*e.AddTarget() = kill.Process{PID: pid, Instance: &kill.Instance{SinceBoot: pid * time.Second}}
	f.Exited(e)
	f.pass(lateness)
	assert.Equal(t, "mariadbd", f.only(t).Outcome.LastName)
}
