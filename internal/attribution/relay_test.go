// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestRelay lets sudo pass on a signal that somebody has sent to it.
func TestRelay(t *testing.T) {
	killer := process(300, "kill 200", 0, 1001, "/user.slice/user-1001.slice/session-18.scope", bash, sshd)
	killer.Session = kill.NewID(18)
	sudo := process(200, "sudo sleep 100", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	child := ofUnit(201, "sleep", "session-17.scope")
	known201, stranger := child, ofUnit(202, "sleep", "session-17.scope")
	known201.Ancestry = []kill.Ancestor{parent(200, "sudo sleep 100")}
	table := New(Config{Processes: known{201: &known201, 202: &stranger}})
	passes := func(at time.Duration, signal kill.Signal, from *kill.Process, to kill.Process) *kill.Event {
		e := sends(at, signal, to)
		e.Sender = *from
		assert.True(t, table.Explain(e))
		return e
	}
	own := passes(0, kill.SIGTERM, sudo, child)
	assert.False(t, own.Behind != nil && own.Behind.Managed, "nobody has asked sudo")

	passes(time.Second, kill.SIGTERM, killer, *sudo)
	passed := passes(time.Second+ms, kill.SIGTERM, sudo, child)
	assert.Equal(t, 300, passed.Behind.Requester.PID)
	assert.Equal(t, kill.EvidenceInferred, passed.Behind.Evidence)
	assert.EqualValues(t, 1001, passed.Behind.User.ID.Value)

	elsewhere := passes(time.Second+2*ms, kill.SIGTERM, sudo, stranger)
	assert.False(t, elsewhere.Behind != nil && elsewhere.Behind.Managed, "it is none of its children")
	other := passes(time.Second+2*ms, kill.SIGKILL, sudo, child)
	assert.False(t, other.Behind != nil && other.Behind.Managed, "that is another signal")
	late := passes(5*time.Second, kill.SIGTERM, sudo, child)
	assert.False(t, late.Behind != nil && late.Behind.Managed, "too late to be the same")
}

// TestRelayOfSudo passes on signals by a child, as sudo does in a terminal.
func TestRelayOfSudo(t *testing.T) {
	child, sibling := ofUnit(202, "sleep", "session-17.scope"), ofUnit(204, "sleep", "session-17.scope")
	child.ParentPID, sibling.ParentPID = 201, 203
	table := New(Config{Processes: known{202: &child, 204: &sibling}})
	killer := process(300, "kill 200", 0, 1001, "/user.slice/user-1001.slice/session-18.scope", bash, sshd)
	killer.Session = kill.NewID(18)
	sudo := process(200, "sudo sleep 100", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	passes := func(at time.Duration, from *kill.Process, to kill.Process) *kill.Event {
		e := sends(at, kill.SIGTERM, to)
		e.Sender = *from
		table.Explain(e)
		return e
	}
	passes(0, killer, *sudo)
	for parent, want := range map[int]bool{200: true, 199: false} {
		monitor := *process(201, "sudo sleep 100", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		monitor.ParentPID = parent
		e := passes(ms, &monitor, ofUnit(202, "sleep", "session-17.scope"))
		assert.Equal(t, want, e.Behind != nil && e.Behind.Requester != nil && e.Behind.Requester.PID == 300)
	}
	other := *process(203, "timeout 9 sleep 100", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	other.ParentPID = 200
	e := passes(ms, &other, ofUnit(204, "sleep", "session-17.scope"))
	assert.False(t, e.Behind != nil && e.Behind.Managed, "that is another program")
}

// TestRelayOfSupervisor ends a supervisord, which ends its children.
func TestRelayOfSupervisor(t *testing.T) {
	killer := process(300, "kill 50", 0, 1001, "/user.slice/user-1001.slice/session-18.scope", bash, sshd)
	supervisor := process(50, "supervisord -n", 0, nobody, "/system.slice/supervisor.service")
	child, other := ofUnit(900, "mysqld", "supervisor.service"), ofUnit(901, "mysqld", "mysqld.service")
	child.ParentPID, other.ParentPID = 50, 7
	table := New(Config{Processes: known{900: &child, 901: &other}})
	passes := func(at time.Duration, signal kill.Signal, from *kill.Process, to kill.Process) bool {
		to.ParentPID = 0
		e := sends(at, signal, to)
		e.Sender = *from
		table.Explain(e)
		return e.Behind != nil && e.Behind.Requester != nil && e.Behind.Requester.PID == 300
	}
	passes(0, kill.SIGHUP, killer, *supervisor)
	assert.False(t, passes(ms, kill.SIGTERM, supervisor, child), "it has not been told to end")
	passes(time.Second, kill.SIGTERM, killer, *supervisor)
	assert.True(t, passes(time.Second+ms, kill.SIGINT, supervisor, child), "it stops each in the way that was configured")
	assert.True(t, passes(11*time.Second, kill.SIGKILL, supervisor, child), "it kills what has not ended in time")
	assert.False(t, passes(2*time.Second, kill.SIGTERM, supervisor, other), "that is another's child")
	assert.False(t, passes(time.Minute, kill.SIGTERM, supervisor, child), "it has gone on")
}
