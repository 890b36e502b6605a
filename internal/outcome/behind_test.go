// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// alice has asked for a restart.
func alice() *kill.Behind {
	return &kill.Behind{
		Managed: true, Evidence: kill.EvidenceObserved,
		Requester: &kill.Process{
			PID: 136, Command: "systemctl", Title: "systemctl\x00restart\x00hunter2\x00", User: kill.User{ID: kill.NewID(0), Name: "root"},
			Instance: &kill.Instance{CommandLine: "systemctl\x00restart\x00hunter2\x00", Unit: "session-21.scope"},
			Ancestry: []kill.Ancestor{{PID: 135, Command: "sudo", Title: "sudo\x00hunter2\x00"}},
		},
		Initiator: &kill.Ancestor{PID: 77, Command: "ansible", Title: "ansible\x00hunter2\x00"},
		User:      kill.User{ID: kill.NewID(1000), Name: "alice"},
		Session:   &kill.Session{ID: "21", Service: "sshd", Address: "10.0.0.5", Port: 22},
		Unit:      "mariadb.service", Limit: 90 * time.Second,
	}
}

// because returns a change that sets why a signal was sent.
func because(cause kill.Cause, b *kill.Behind) func(*kill.Event) {
	return func(e *kill.Event) { e.Cause, e.Behind = cause, b }
}

// The first fatal signal says who is behind an outcome; the last one says why it ended as it did.
func TestBehind(t *testing.T) {
	t.Parallel()
	first, last := alice(), &kill.Behind{Managed: true, Unit: "mariadb.service"}
	for name, restart := range map[string]bool{"at once": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			f.sendWith(kill.SIGTERM, because(kill.CauseServiceRestart, first), pid)
			f.send(kill.SIGHUP, pid)
			f.sendWith(kill.SIGKILL, because(kill.CauseStopTimeout, last), pid)
			if restart {
				f = f.restarted(t, "boot")
			}
			f.died(pid, 9)
			e := f.only(t)
			assert.Equal(t, kill.CauseServiceRestart, e.Cause)
			assert.Equal(t, kill.CauseStopTimeout, e.Outcome.LastCause)
			require.Len(t, e.Outcome.Signals, 3)
			assert.Same(t, e.Behind, e.Outcome.Signals[0].Behind)
			assert.Nil(t, e.Outcome.Signals[1].Behind)
			assert.Equal(t, last, e.Outcome.Signals[2].Behind)
			want := alice()
			if restart {
				want.Requester.Title, want.Requester.Instance.CommandLine = "systemctl\x00restart\x00***\x00", ""
				want.Requester.Ancestry[0].Title, want.Initiator.Title = "sudo\x00***\x00", "ansible\x00***\x00"
			}
			assert.Equal(t, want, e.Behind)
			assert.Equal(t, alice(), first, "events share it")
		})
	}
}

// A signal that comes late may turn out to be the first or the last one.
func TestLastCause(t *testing.T) {
	t.Parallel()
	early := func(change func(*kill.Event)) func(*kill.Event) {
		return func(e *kill.Event) { change(e); e.Time = e.Time.Add(-time.Second) }
	}
	f := newFixture(t, false)
	f.born(pid)
	f.sendWith(kill.SIGTERM, because(kill.CauseStopTimeout, nil), pid)
	f.sendWith(kill.SIGTERM, early(because(kill.CauseServiceStop, alice())), pid)
	f.died(pid, 15)
	f.pass(lateness)
	e := f.only(t)
	assert.Equal(t, kill.CauseServiceStop, e.Cause)
	assert.Equal(t, kill.CauseStopTimeout, e.Outcome.LastCause)
	assert.Equal(t, "alice", e.Behind.User.Name)

	f.born(pid + 1) // the kernel's report comes before the signal that it is about
	f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Cause = kill.KindAbend, kill.CauseCrash }, pid+1)
	f.sendWith(kill.SIGABRT, because(kill.CauseWatchdog, alice()), pid+1)
	f.died(pid+1, 0x80|6)
	f.pass(lateness)
	e = f.only(t)
	assert.Equal(t, kill.CauseWatchdog, e.Outcome.LastCause)
	assert.Equal(t, kill.CauseWatchdog, e.Cause)
}

// What is told again after a crash may be told with more or less of who is behind it.
func TestSpanWithoutBehind(t *testing.T) {
	t.Parallel()
	spans := func(change func(*kill.Event), pids ...int) (all []kill.Span) {
		f := newFixture(t, true)
		for _, pid := range pids {
			f.born(pid)
		}
		for _, target := range f.sendWith(kill.SIGTERM, change, pids...).Targets {
			all = append(all, target.Span)
			f.died(target.PID, 15)
		}
		for _, e := range f.TakeOutcomes() {
			all = append(all, e.Outcome.Span, e.Outcome.Parent)
		}
		return all
	}
	for _, pids := range [][]int{{pid}, {pid, pid + 1}} {
		assert.Equal(t, spans(func(*kill.Event) {}, pids...), spans(because(kill.CauseServiceStop, alice()), pids...))
	}
}

// A call that strikes several keeps who is behind it as well.
func TestBehindCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(10)
	f.born(11)
	f.sendWith(kill.SIGTERM, because(kill.CauseServiceStop, alice()), 10, 11)
	data, err := f.Save()
	require.NoError(t, err)
	assert.NotContains(t, string(data), "hunter2")
	f.changed = true
	f = f.restarted(t, "boot")
	f.died(10, 15)
	f.died(11, 15)
	outcomes := f.TakeOutcomes()
	require.Len(t, outcomes, 3)
	assert.Equal(t, kill.KindCall, outcomes[2].Kind)
	assert.Equal(t, "10.0.0.5", outcomes[2].Behind.Session.Address)
	assert.Same(t, outcomes[0].Behind, outcomes[1].Behind, "it is saved once")
}

// Nobody fills the storage with command lines.
func TestSaveBehindIsShort(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	endless := strings.Repeat("x", 1<<16)
	for pid := 1; pid <= MaxWatches; pid++ {
		f.born(pid)
		f.sendWith(kill.SIGTERM, because(kill.CauseServiceStop, &kill.Behind{
			Requester: &kill.Process{Title: endless, Ancestry: []kill.Ancestor{{Title: endless}}}, Initiator: &kill.Ancestor{Title: endless},
		}), pid)
	}
	data, err := f.Save()
	require.NoError(t, err)
	assert.Less(t, len(data), 16<<20)
	f.changed = true
	f.restarted(t, "boot")
}
