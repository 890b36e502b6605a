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

// restarted returns a new table that resumes what the old one saved.
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
	span := f.sendWith(kill.SIGTERM, from("systemd", 1), pid).Targets[0].Span
	next := f.restarted(t, "boot")
	assert.Equal(t, []int{pid}, next.exits.resumed)
	assert.EqualValues(t, 1, next.Watched())
	assert.Equal(t, epoch.Add(2*time.Minute), next.NextDue())
	assert.Equal(t, span, next.sendWith(kill.SIGKILL, from("mykill", 3997), pid).Targets[0].Span)
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

// Nothing saw how the process ended.
func TestEndedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, boot := range map[string]string{"the collector was restarted": "boot", "the host was restarted": "another"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			f.send(kill.SIGKILL, pid)
			if boot == "boot" {
				delete(f.exits.starts, pid)
			}
			next := f.restarted(t, boot)
			assert.Zero(t, next.Watched())
			next.pass(lateness)
			e := next.only(t)
			assert.Equal(t, kill.VerdictEnded, e.Outcome.Verdict, "it is not guessed, not even after SIGKILL")
			assert.Equal(t, epoch.Add(time.Minute), e.Time)
		})
	}
}

// The process had ended before the restart, and the table still waited for late signals.
func TestEndedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.died(pid, exited3)
	next := f.restarted(t, "boot")
	assert.Empty(t, next.exits.resumed)
	next.pass(lateness)
	e := next.only(t)
	assert.Equal(t, kill.VerdictExited, e.Outcome.Verdict)
	assert.Equal(t, 3, e.Outcome.Exit.Code())
	assert.Equal(t, epoch, e.Time)
}

// The process was gone before the collector was killed, so SIGKILL tells how it ended.
func TestKilledBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.send(kill.SIGKILL, pid)
	next := f.restarted(t, "boot")
	next.pass(lateness)
	assert.Equal(t, kill.VerdictKilled, next.only(t).Outcome.Verdict)
}

// Secrets are not stored.
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
	e := f.sendWith(kill.SIGTERM, secret, 10, 11)
	data, err := f.Save()
	require.NoError(t, err)
	assert.NotContains(t, string(data), "hunter2")
	assert.Contains(t, string(data), "mysqld\\u0000***")
	assert.Contains(t, e.Sender.Instance.CommandLine, "hunter2", "the event itself does not change")
}

// Each sender is saved once, however many signals it has sent.
func TestSaveIsShort(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		for range maxSignals {
			f.send(kill.SIGHUP, pid)
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
	f.sendWith(kill.SIGTERM, from("systemd", 1), 10, 11, 12)
	f.died(10, exited0)
	parent := f.only(t).Outcome.Parent
	next := f.restarted(t, "boot")
	next.died(11, exited0)
	assert.Equal(t, parent, next.only(t).Outcome.Parent)
	next.died(12, 15)
	outcomes := next.TakeOutcomes()
	require.Len(t, outcomes, 2)
	assert.Equal(t, kill.KindCall, outcomes[1].Kind)
	assert.Equal(t, parent, outcomes[1].Outcome.Span)
	assert.Equal(t, map[kill.Verdict]int{kill.VerdictExited: 2, kill.VerdictKilled: 1}, outcomes[1].Outcome.Verdicts)
	assert.Equal(t, "systemd", outcomes[1].Sender.Command)
	assert.Equal(t, kill.ScopeProcessGroup, outcomes[1].Scope)
}

func TestRestoreNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	require.NoError(t, f.Restore(nil))
	require.ErrorContains(t, f.Restore([]byte("not JSON")), "reading which processes were watched")
	require.NoError(t, f.Restore([]byte(`{"Episodes":[{"PID":1},{"PID":2,"Sent":[{"Sender":7}]},{"Sent":[{}]}],"Calls":[{}]}`)))
	assert.Zero(t, f.Watched())
	f.pass(time.Hour)
	assert.Empty(t, f.TakeOutcomes())
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"Boot":"boot","Episodes":[{"PID":3936,"Start":5,"Sent":[{"Signal":15,"Sender":0}]}],"Senders":[{"PID":1}]}`))
	f.Add([]byte(`{"Calls":[{"Event":{},"Verdicts":{"killed":1}}]}`))
	f.Add([]byte(`{"Boot":"boot","Episodes":[{"PID":3936,"Sent":[{"Signal":15,"Behind":1}]}],"Senders":[{}],"Behinds":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table := newFixture(t, false)
		if table.Restore(data) != nil {
			return
		}
		table.pass(time.Hour)
		table.pass(time.Hour)
		table.Abandon()
		table.TakeOutcomes()
	})
}
