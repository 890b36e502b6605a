// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// A process that survives is watched again after the next signal, under another span.
func TestSurvivesTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	first := f.send(kill.SIGTERM, pid).Targets[0].Span
	f.pass(2 * time.Minute)
	f.only(t)
	assert.Equal(t, []int{pid}, f.exits.unwatched)
	second := f.send(kill.SIGKILL, pid).Targets[0].Span
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
		f.send(kill.SIGTERM, pid)
	}
	assert.EqualValues(t, MaxWatches, f.Watched())
	assert.EqualValues(t, 1, f.Unwatched())
	assert.Equal(t, []error{errTooMany}, []error{f.warned[0].Err})

	for pid := 1; pid <= MaxWatches; pid++ {
		f.died(pid, 15)
	}
	assert.Zero(t, f.Watched())
	assert.Empty(t, f.TakeOutcomes(), "signals may still come")
	f.born(MaxWatches + 2)
	f.send(kill.SIGTERM, MaxWatches+2)
	f.died(MaxWatches+2, 15)
	assert.Equal(t, 1, f.only(t).Targets[0].PID, "the oldest had to make room")
	f.pass(lateness)
	assert.Len(t, f.TakeOutcomes(), maxEnded)
}

// The pipeline was stuck: the table sees that the process is gone before its end is reported.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	late := &kill.End{PID: pid, Start: pid * time.Second, Time: epoch.Add(time.Second), Exit: kill.Exit{Known: true}, Command: "mysqld"}
	delete(f.exits.starts, pid)
	f.pass(3 * time.Minute)
	assert.Empty(t, f.TakeOutcomes())
	assert.Zero(t, f.Watched())
	f.Exited(late)
	e := f.only(t)
	assert.Equal(t, kill.VerdictExited, e.Outcome.Verdict)
	assert.Equal(t, time.Second, e.Time.Sub(e.Outcome.Began))
	assert.True(t, e.Complete)
}

// A zombie can be sent signals and be watched, but dies only once.
func TestSignalsToTheDead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	span := f.send(kill.SIGTERM, pid).Targets[0].Span
	f.died(pid, 15)
	f.pass(lateness)
	f.only(t)
	f.born(pid) // as it is still in /proc
	for _, change := range []func(*kill.Event){
		func(*kill.Event) {},
		func(e *kill.Event) { e.Targets[0].Instance = nil },
	} {
		assert.Equal(t, span, f.sendWith(kill.SIGKILL, change, pid).Targets[0].Span)
	}
	assert.Zero(t, f.Watched())
	assert.Equal(t, []int{pid}, f.exits.unwatched)
	f.pass(time.Hour)
	assert.Empty(t, f.TakeOutcomes())
}

func TestRemembersFewOfTheDead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= maxRemembered+10; pid++ {
		f.born(pid)
		f.send(kill.SIGKILL, pid)
		f.died(pid, 9)
	}
	assert.Len(t, f.TakeOutcomes(), maxRemembered+10)
	assert.Len(t, f.closed.known, maxRemembered)
	assert.Len(t, f.closed.order, maxRemembered)
}

// If ends are lost, processes that are gone make room for others.
func TestSweep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		f.send(kill.SIGTERM, pid)
		if pid > 10 {
			delete(f.exits.starts, pid)
		}
	}
	f.born(pid)
	f.born(MaxWatches + 1)
	f.send(kill.SIGTERM, MaxWatches+1)
	assert.EqualValues(t, 12, f.Watched(), "one of them has the pid of a process that was gone")
	assert.Zero(t, f.Unwatched())
	f.pass(grace)
	f.pass(lateness)
	assert.Len(t, f.TakeOutcomes(), MaxWatches-11)
}

// The source has lost ends: the table checks at once which processes are gone, and then not too often.
func TestRequestSweep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(10)
	f.born(pid)
	f.send(kill.SIGTERM, 10)
	f.send(kill.SIGKILL, pid)
	delete(f.exits.starts, pid)
	f.RequestSweep()
	assert.False(t, f.NextDue().After(f.now()))
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
	f.RequestSweep()
	f.pass(time.Second)
	assert.Equal(t, f.now().Add(sweepInterval-time.Second), f.NextDue())
}

// A process that died by itself is sent a signal before its parent has reaped it.
func TestSignalToUnwatchedZombie(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.sendWith(kill.SIGTERM, func(e *kill.Event) {
		e.Delivery, e.Targets[0].Instance = kill.DeliveryIgnored, &kill.Instance{SinceBoot: time.Second}
	}, pid)
	f.pass(time.Hour)
	assert.Empty(t, f.TakeOutcomes())
}

// Nobody hides the outcomes of others by signaling many processes of his own.
func TestTooManyOfOneUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	of := func(uid uint32) func(*kill.Event) {
		return func(e *kill.Event) { e.Targets[0].User.ID = kill.NewID(uid) }
	}
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		f.sendWith(kill.SIGTERM, of(65534), pid)
	}
	assert.EqualValues(t, MaxWatches/2, f.Watched())
	assert.EqualValues(t, MaxWatches/2, f.Unwatched())
	for pid := MaxWatches + 1; pid <= MaxWatches+MaxWatches/2; pid++ {
		f.born(pid)
		f.sendWith(kill.SIGTERM, of(uint32(pid%2)), pid) // root and another
	}
	f.TakeOutcomes()
	last := MaxWatches + MaxWatches/2
	f.died(last, 15)
	assert.Equal(t, last, f.only(t).Targets[0].PID)
	f.Abandon()
	assert.Empty(t, f.alivePerUser)
	f.TakeOutcomes()
	f.sendWith(kill.SIGTERM, of(65534), MaxWatches)
	assert.EqualValues(t, 1, f.Watched())
}
