// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

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
	assert.Equal(t, []error{errTooMany}, []error{f.warned[0].Err})

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

// The pipeline was stuck: that the process is gone is seen before its end is told.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	late := &kill.End{PID: pid, Start: pid * time.Second, Time: epoch.Add(time.Second), Exit: kill.Exit{Known: true}, Command: "mysqld"}
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

// A process that died by itself is sent a signal while its parent has not asked for it.
func TestSignalToUnfollowedZombie(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.strike(kill.SIGTERM, func(e *kill.Event) {
		e.Delivery, e.Targets[0].Instance = kill.DeliveryIgnored, &kill.Instance{SinceBoot: time.Second}
	}, pid)
	f.pass(time.Hour)
	assert.Empty(t, f.Take())
}
