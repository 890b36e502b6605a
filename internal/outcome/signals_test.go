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

func TestLastSender(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sendWith(kill.SIGTERM, from("systemd", 1), pid)
	f.sendWith(kill.SIGTERM, from("systemd", 1), pid)
	f.sendWith(kill.SIGKILL, from("mykill", 3997), pid)
	f.sendWith(kill.SIGSTOP, from("late", 4), pid)
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
	f.send(kill.SIGTERM, pid)
	f.Exited(&kill.End{PID: pid, Start: pid * time.Second, Time: f.now(), Exit: kill.Exit{Known: true}, Command: "mariadbd"})
	e := f.only(t)
	assert.Equal(t, "mysqld", e.Targets[0].Command)
	assert.Equal(t, "mariadbd", e.Outcome.LastName)
}

func TestManySignals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	for range 1000 {
		f.send(kill.SIGHUP, pid)
		f.at += time.Millisecond
	}
	f.died(pid, 1)
	o := f.only(t).Outcome
	assert.Len(t, o.Signals, maxSignals)
	assert.Equal(t, 1000-maxSignals, o.Omitted)
	assert.Equal(t, epoch, o.Signals[0].Time)
	assert.Equal(t, epoch.Add(999*time.Millisecond), o.Signals[maxSignals-1].Time)
}

// TestJoinedSignals has records that stand for many signals, some of which are left out, over a restart.
func TestJoinedSignals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	const records, each = 2 * maxSignals, 500
	for range records {
		f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Count, e.LastTime = each, e.Time.Add(time.Millisecond) }, pid)
		f.at += time.Second
	}
	f = f.restarted(t, "boot")
	f.send(kill.SIGKILL, pid)
	f.died(pid, 9)
	o := f.only(t).Outcome
	assert.Equal(t, records*each+1, o.SignalCount())
	assert.Equal(t, records+1-maxSignals, o.Omitted)
	assert.Equal(t, each, o.Signals[0].Count)
	assert.Equal(t, o.Signals[0].Time.Add(time.Millisecond), o.Signals[0].LastTime)
}

func TestCannotWatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.exits.err = errFull
	e := f.send(kill.SIGTERM, pid)
	assert.Zero(t, e.Targets[0].Span)
	assert.EqualValues(t, 1, f.Unwatched())
	require.Len(t, f.warned, 1)
	assert.ErrorIs(t, f.warned[0], errFull)
}

// The audit system knows only the name of a target, and when the signal was sent.
func TestWatchedTarget(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.at = time.Minute
	f.sendWith(kill.SIGTERM, func(e *kill.Event) {
		e.Time = epoch.Add(59 * time.Second)
		e.Targets[0].Instance = nil
	}, pid)
	assert.Equal(t, []Target{{PID: pid, Command: "mysqld", At: uptime + 59*time.Second}}, f.exits.watched)
	assert.Equal(t, epoch.Add(59*time.Second+2*time.Minute), f.NextDue())
	f.died(pid, 15)
	f.pass(lateness)
	assert.Equal(t, f.ids.instance(pid, pid*time.Second), f.only(t).Outcome.Span.Trace, "the start comes from Exits")
}

// Setting the clock makes no outcome end before it began, or at once.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Time = e.Time.Add(-time.Hour) }, pid)
	f.Expire()
	assert.Empty(t, f.TakeOutcomes(), "the clock was set forward, which the source does not know yet")
	f.died(pid, 15)
	f.only(t)

	f.born(10)
	f.sendWith(kill.SIGTERM, func(e *kill.Event) { e.Time = e.Time.Add(time.Hour) }, 10)
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
			f.send(kill.SIGHUP, pid)
		}
	}
	assert.LessOrEqual(t, f.held, maxHeld+fewSignals*MaxWatches)
	f.send(kill.SIGKILL, MaxWatches)
	f.died(MaxWatches, 9)
	o := f.only(t).Outcome
	assert.Equal(t, maxSignals+1, len(o.Signals)+o.Omitted)
	assert.Equal(t, kill.SIGHUP, o.Signals[0].Signal)
	assert.Equal(t, kill.SIGKILL, o.Signals[len(o.Signals)-1].Signal)
	f.Abandon()
	assert.Zero(t, f.held)
}

// The audit system reports at once that the process dies, and the signal a bit later.
func TestAbendFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.at = 4 * time.Millisecond
	abend := f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Sender = kill.KindAbend, kill.Process{} }, pid)
	f.died(pid, 0x86)
	sent := f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Time = epoch }, pid)
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, epoch, e.Outcome.Began)
	assert.Equal(t, "systemd", e.Sender.Command)
	assert.Equal(t, "systemd", e.Outcome.LastSender.Command)
	assert.Len(t, e.Outcome.Signals, 1)
	assert.Equal(t, abend.Targets[0].Span, sent.Targets[0].Span)
	assert.Zero(t, f.held)
}

// Signals that two senders send at the same time arrive in any order.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	sent := func(signal kill.Signal, command string, after time.Duration) {
		f.sendWith(signal, func(e *kill.Event) {
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

// A process crashes while it is ending. The audit system reports that only as an abend.
func TestCrashOnTheWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.at = time.Second
	f.sendWith(kill.SIGSEGV, func(e *kill.Event) { e.Kind = kill.KindAbend }, pid)
	f.died(pid, 11)
	f.pass(lateness)
	o := f.only(t).Outcome
	assert.Len(t, o.Signals, 2)
	assert.Equal(t, kill.SIGSEGV, o.LastSignal)
	assert.Equal(t, epoch, o.Began)
}

// The last signal has the current name of the process.
func TestRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.sendWith(kill.SIGKILL, func(e *kill.Event) { e.Targets[0].Command = "mariadbd" }, pid)
	f.sendWith(kill.SIGKILL, func(e *kill.Event) { e.Targets[0].Command, e.Targets[0].ThreadID = "thread", pid+1 }, pid)
	f.Exited(&kill.End{PID: pid, Start: pid * time.Second, Time: f.now(), Exit: kill.Exit{Known: true, Status: 9}})
	f.pass(lateness)
	assert.Equal(t, "mariadbd", f.only(t).Outcome.LastName)
}

// A signal to a thread ends its process, which has another name.
func TestThread(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sendWith(kill.SIGSEGV, func(e *kill.Event) {
		target := &e.Targets[0]
		target.Command, target.Leader, target.ThreadID = "connection", "mysqld", pid+14
	}, pid)
	f.died(pid, 11)
	e := f.only(t)
	assert.Equal(t, "mysqld", e.Targets[0].Command)
	assert.Equal(t, pid, e.Targets[0].ThreadID)
	assert.Empty(t, e.Outcome.LastName)
}

// One call signals two processes, of which one is a zombie.
func TestDeliveriesDiffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(10)
	e := f.sendWith(kill.SIGTERM, func(e *kill.Event) {
		e.Delivery = kill.DeliveryUnknown
		e.Targets[0].Delivery, e.Targets[1].Delivery = kill.DeliveryDelivered, kill.DeliveryIgnored
		e.Targets[1].Instance = &kill.Instance{SinceBoot: 11 * time.Second} // a zombie
	}, 10, 11)
	assert.EqualValues(t, 1, f.Watched())
	assert.Zero(t, e.Targets[1].Span)
	f.died(10, 15)
	outcomes := f.TakeOutcomes()
	assert.Len(t, outcomes, 2)
	assert.Equal(t, kill.DeliveryDelivered, outcomes[0].Outcome.Signals[0].Delivery)
	assert.Empty(t, outcomes[0].Targets[0].Delivery)
}

// A signal to a process that has ended does not count, even if its end is not reported yet.
func TestSignalToZombie(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	first := f.send(kill.SIGTERM, pid)
	start := f.exits.starts[pid]
	f.died(pid, 15)
	f.at = 200 * time.Millisecond
	late := f.sendWith(kill.SIGKILL, func(e *kill.Event) { e.Targets[0].Instance = &kill.Instance{SinceBoot: start} }, pid)
	assert.Equal(t, first.Targets[0].Span, late.Targets[0].Span)
	f.pass(lateness)
	o := f.only(t).Outcome
	assert.False(t, o.Escalated)
	assert.Len(t, o.Signals, 1)
	assert.Equal(t, kill.SIGTERM, o.LastSignal)
}
