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

// restarted returns a new table that goes on with what the old one has saved.
func (f *fixture) restarted(t *testing.T, bootID string) *fixture {
	t.Helper()
	assert.True(t, f.Changed())
	data, err := f.Save()
	require.NoError(t, err)
	assert.False(t, f.Changed())
	next := newFixture(t, true)
	next.exits.starts, next.at = f.exits.starts, f.at+time.Minute
	next.config.BootID = bootID
	require.NoError(t, next.Restore(data))
	return next
}

// The collector is restarted while a target is dying.
func TestRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	span := f.strike(kill.SIGTERM, from("systemd", 1), pid).Targets[0].Span
	next := f.restarted(t, "boot")
	assert.Equal(t, []int{pid}, next.exits.resumed)
	assert.EqualValues(t, 1, next.Watched())
	assert.Equal(t, epoch.Add(2*time.Minute), next.Next())
	assert.Equal(t, span, next.strike(kill.SIGKILL, from("mykill", 3997), pid).Targets[0].Span)
	next.died(pid, 9)
	e := next.only(t)
	assert.Equal(t, span, e.Outcome.Span)
	assert.Equal(t, kill.VerdictKilled, e.Outcome.Verdict)
	assert.True(t, e.Outcome.Escalated)
	assert.Equal(t, time.Minute, e.Time.Sub(e.Outcome.Began))
	assert.Equal(t, "systemd", e.Sender.Command)
	assert.Equal(t, "mykill", e.Outcome.LastSender.Command)
	assert.Len(t, e.Outcome.Signals, 2)
	assert.Equal(t, "mysqld", e.Targets[0].Command)
}

// Nobody has seen how it ended.
func TestEndedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, boot := range map[string]string{"the collector was restarted": "boot", "the host was restarted": "another"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			f.sent(kill.SIGKILL, pid)
			if boot == "boot" {
				delete(f.exits.starts, pid)
			}
			next := f.restarted(t, boot)
			assert.Zero(t, next.Watched())
			next.pass(lateness)
			e := next.only(t)
			assert.Equal(t, kill.VerdictEnded, e.Outcome.Verdict, "not even after SIGKILL is it guessed")
			assert.Equal(t, epoch.Add(time.Minute), e.Time)
		})
	}
}

// It had ended before, and signals to it were still waited for.
func TestEndedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.sent(kill.SIGTERM, pid)
	f.died(pid, exited3)
	next := f.restarted(t, "boot")
	assert.Empty(t, next.exits.resumed)
	next.pass(lateness)
	e := next.only(t)
	assert.Equal(t, kill.VerdictExited, e.Outcome.Verdict)
	assert.Equal(t, 3, e.Outcome.Exit.Code())
	assert.Equal(t, epoch, e.Time)
}

// It was gone before the collector was killed, which is why it is known how it ended.
func TestKilledBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.sent(kill.SIGKILL, pid)
	next := f.restarted(t, "boot")
	next.pass(lateness)
	assert.Equal(t, kill.VerdictKilled, next.only(t).Outcome.Verdict)
}

// What is not to be told is not stored either.
func TestSaveNoSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(10)
	f.born(11)
	secret := func(e *kill.Event) {
		e.Sender.Title = "kill\x00hunter2\x00"
		e.Sender.Instance = &kill.Instance{CommandLine: "kill\x00hunter2\x00"}
		for i := range e.Targets {
			e.Targets[i].Instance.CommandLine = "mysqld\x00hunter2\x00"
		}
	}
	e := f.strike(kill.SIGTERM, secret, 10, 11)
	data, err := f.Save()
	require.NoError(t, err)
	assert.NotContains(t, string(data), "hunter2")
	assert.Contains(t, string(data), "mysqld\\u0000***")
	assert.Contains(t, e.Sender.Instance.CommandLine, "hunter2", "what is told meanwhile is not changed")
}

// A sender is kept once, whatever it has sent.
func TestSaveIsShort(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		for range maxSignals {
			f.sent(kill.SIGHUP, pid)
		}
	}
	data, err := f.Save()
	require.NoError(t, err)
	assert.Less(t, len(data), 32<<20)
}

func TestRestartWithinCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for _, pid := range []int{10, 11, 12} {
		f.born(pid)
	}
	f.strike(kill.SIGTERM, from("systemd", 1), 10, 11, 12)
	f.died(10, exited0)
	parent := f.only(t).Outcome.Parent
	next := f.restarted(t, "boot")
	next.died(11, exited0)
	assert.Equal(t, parent, next.only(t).Outcome.Parent)
	next.died(12, 15)
	told := next.Take()
	require.Len(t, told, 2)
	assert.Equal(t, kill.KindCall, told[1].Kind)
	assert.Equal(t, parent, told[1].Outcome.Span)
	assert.Equal(t, map[kill.Verdict]int{kill.VerdictExited: 2, kill.VerdictKilled: 1}, told[1].Outcome.Verdicts)
	assert.Equal(t, "systemd", told[1].Sender.Command)
	assert.Equal(t, kill.ScopeProcessGroup, told[1].Scope)
}

func TestRestoreNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	require.NoError(t, f.Restore(nil))
	require.ErrorContains(t, f.Restore([]byte("not JSON")), "reading which processes were followed")
	require.NoError(t, f.Restore([]byte(`{"Episodes":[{"PID":1},{"PID":2,"Sent":[{"Sender":7}]},{"Sent":[{}]}],"Calls":[{}]}`)))
	assert.Zero(t, f.Watched())
	f.pass(time.Hour)
	assert.Empty(t, f.Take())
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"Boot":"boot","Episodes":[{"PID":3936,"Start":5,"Sent":[{"Signal":15,"Sender":0}]}],"Senders":[{"PID":1}]}`))
	f.Add([]byte(`{"Calls":[{"Event":{},"Verdicts":{"killed":1}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table := newFixture(t, false)
		if table.Restore(data) != nil {
			return
		}
		table.pass(time.Hour)
		table.pass(time.Hour)
		table.Abandon()
		table.Take()
	})
}
