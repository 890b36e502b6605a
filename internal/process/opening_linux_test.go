// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// A process of a service needs no right to say that it is somebody's: it has a session of its own then, which its children inherit.
func TestOpener(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(1, fakeProcess{command: "systemd", start: time.Second, login: unsetID, session: unsetID})
	h.runs(10, fakeProcess{command: "sshd", parent: 1, start: 2 * time.Second, login: 1000, session: 5})
	h.runs(11, fakeProcess{command: "bash", parent: 10, start: 3 * time.Second, user: 1000, login: 1000, session: 5})
	h.runs(12, fakeProcess{command: "pkill", parent: 11, start: 4 * time.Second, user: 33, login: 1000, session: 5})
	h.runs(20, fakeProcess{command: "apache2", parent: 1, start: 2 * time.Second, login: unsetID, session: unsetID})
	h.runs(21, fakeProcess{command: "apache2", parent: 20, start: 3 * time.Second, user: 33, login: 1000, session: 6})
	h.runs(22, fakeProcess{command: "sudo", parent: 21, start: 4 * time.Second, login: 1000, session: 6})
	h.runs(23, fakeProcess{command: "pkill", parent: 22, start: 5 * time.Second, login: 1000, session: 6})
	h.cursor(30)
	require.NoError(t, h.table.Prime())
	for pid, want := range map[int]int{12: 10, 11: 10, 10: 10, 23: 21, 22: 21, 21: 21, 4711: 0} {
		p := kill.Process{PID: pid}
		h.table.Complete(&p, h.at(h.uptime))
		opening, ok := h.table.Opening(&p)
		assert.Equal(t, want != 0, ok, pid)
		assert.Equal(t, want, opening.By.PID, pid)
		_, known := h.table.Begun(&p)
		assert.False(t, known, "nobody has seen that")
	}
	h.ends(21)
	h.scan()
	p := kill.Process{PID: 23}
	h.table.Complete(&p, h.at(h.uptime))
	h.table.memory.newest[21].owner.at = 0
	_, ok := h.table.Opening(&p)
	assert.False(t, ok, "one of the two has ended")
	h.runs(10, fakeProcess{command: "sshd", parent: 1, start: 2 * time.Second, login: 1000, session: 5})
	h.ends(11)
	h.scan()
	p = kill.Process{PID: 12}
	h.table.Complete(&p, h.at(h.uptime))
	h.table.memory.newest[11].owner.at = 0
	opening, ok := h.table.Opening(&p)
	assert.True(t, ok, "one between them has ended")
	assert.Equal(t, 10, opening.By.PID)
}

// TestBegun has the kernel report in which sessions processes are.
func TestBegun(t *testing.T) {
	t.Parallel()
	const root, bob, alice, session = 0, 1001, 1000, 5
	noWitness := kill.NewID(unset)
	daemon, child, grandchild := Key{PID: 10, Start: 2 * time.Second}, Key{PID: 11, Start: 3 * time.Second}, Key{PID: 12, Start: 4 * time.Second}
	in := func(number, user uint32) Session { return Session{Number: number, User: user} }
	fork := func(table *Table, from, to Key, s Session) {
		table.Witness(from, s)
		table.Fork(from, to)
	}
	exec := func(table *Table, who Key, s Session) {
		table.Exec(Exec{Key: who, Command: "x", Executable: "/usr/bin/x", Session: s})
	}
	for name, tt := range map[string]struct {
		do   func(*Table)
		want kill.ID
	}{
		"a child of root's": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			fork(table, child, grandchild, in(session, root))
			exec(table, grandchild, in(session, alice))
		}, kill.NewID(root)},
		"a program of root's": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			exec(table, child, in(unset, root))
			fork(table, child, grandchild, in(session, root))
		}, kill.NewID(root)},
		"before it runs another program": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			exec(table, child, in(session, alice))
			fork(table, child, grandchild, in(session, alice))
		}, kill.NewID(alice)},
		"before it becomes root": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			fork(table, child, grandchild, in(session, alice))
			exec(table, grandchild, in(session, alice))
			table.Witness(grandchild, in(session, root))
		}, kill.NewID(alice)},
		"a service that becomes root": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			exec(table, child, in(session, bob))
			exec(table, child, in(session, root))
			fork(table, child, grandchild, in(session, root))
			exec(table, grandchild, in(session, root))
		}, kill.NewID(bob)},
		"a service whose child becomes root, and which ends": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			fork(table, child, grandchild, in(session, bob))
			table.Exit(child, table.wall())
			exec(table, grandchild, in(session, root))
			table.Witness(grandchild, in(session, root))
		}, kill.NewID(bob)},
		"by what sudo prints": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			exec(table, child, in(unset, bob))
			fork(table, child, grandchild, in(session, root))
		}, noWitness},
		"by what sudo runs": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			exec(table, child, in(unset, bob))
			exec(table, child, in(unset, root))
			fork(table, child, grandchild, in(session, root))
		}, noWitness},
		"by a child of what sudo runs": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			exec(table, child, in(unset, root))
			fork(table, child, grandchild, in(unset, root))
			table.Witness(grandchild, in(session, root))
		}, noWitness},
		"by what runs as her": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			exec(table, child, in(unset, alice))
			fork(table, child, grandchild, in(session, alice))
		}, noWitness},
		"that sudo was run was not reported": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			table.Doubt()
			fork(table, child, grandchild, in(session, root))
		}, kill.ID{}},
		"that a worker of root's was another user was not reported": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			table.Doubt()
			fork(table, child, grandchild, in(session, root))
		}, kill.ID{}},
		"reports were lost before": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			table.Doubt()
			fork(table, daemon, child, in(unset, root))
			fork(table, child, grandchild, in(session, root))
			table.Doubt()
		}, kill.NewID(root)},
		"another thread is in none": {func(table *Table) {
			fork(table, daemon, child, in(unset, bob))
			table.Witness(child, in(session, bob))
			exec(table, child, in(session, root))
			table.Witness(child, in(unset, root))
			table.Witness(child, in(session, root))
			fork(table, child, grandchild, in(session, root))
		}, kill.NewID(bob)},
		"who was in another one": {func(table *Table) {
			fork(table, daemon, child, in(session-1, root))
			fork(table, child, grandchild, in(session, root))
		}, kill.NewID(root)},
		"before the first report": {func(table *Table) {
			fork(table, daemon, child, in(session, root))
			fork(table, child, grandchild, in(session, root))
		}, kill.ID{}},
		"of an unknown parent": {func(table *Table) {
			fork(table, Key{PID: 9}, grandchild, in(unset, root))
			exec(table, grandchild, in(unset, root))
			table.Witness(grandchild, in(session, root))
		}, noWitness},
		"another session than that of the process": {func(table *Table) {
			fork(table, daemon, child, in(unset, root))
			fork(table, child, grandchild, in(session+1, root))
		}, kill.ID{}},
		"without audit": {func(table *Table) {
			fork(table, daemon, child, in(0, root))
			fork(table, child, grandchild, in(0, root))
		}, kill.ID{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, false)
			h.runs(10, fakeProcess{command: "daemon", start: daemon.Start})
			h.cursor(10)
			require.NoError(t, h.table.Prime())
			tt.do(h.table)
			by, seen := h.table.Begun(&kill.Process{PID: 12, Instance: &kill.Instance{SinceBoot: grandchild.Start}, Session: kill.NewID(session)})
			assert.Equal(t, tt.want != kill.ID{}, seen)
			assert.Equal(t, tt.want.Known, by.Known)
			if by.Known {
				assert.Equal(t, tt.want, by)
			}
		})
	}
}

// TestOpenerSinceAsked has a process begin a session after it was asked for its own, and start a program in there.
func TestOpenerSinceAsked(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(20, fakeProcess{command: "apache2", start: 2 * time.Second, login: unsetID, session: unsetID})
	h.runs(21, fakeProcess{command: "apache2", parent: 20, start: 3 * time.Second, user: 33, login: unsetID, session: unsetID})
	h.cursor(30)
	require.NoError(t, h.table.Prime())
	p := kill.Process{PID: 21}
	h.table.Complete(&p, h.at(h.uptime))
	h.write("proc/21/loginuid", "1000")
	h.write("proc/21/sessionid", "6")
	h.uptime += 500 * time.Millisecond
	h.runs(22, fakeProcess{command: "sudo", parent: 21, start: h.uptime - 100*time.Millisecond, login: 1000, session: 6})
	h.cursor(31)
	p = kill.Process{PID: 22}
	h.table.Complete(&p, h.at(h.uptime))
	opening, ok := h.table.Opening(&p)
	require.True(t, ok)
	assert.Equal(t, 21, opening.By.PID)

	delete(h.table.memory.newest, 22)
	h.table.memory.newest[21].owner.session = kill.ID{} // as it was when that was asked
	h.uptime += time.Second
	h.runs(23, fakeProcess{command: "sudo", parent: 21, start: h.uptime - 100*time.Millisecond, login: 1000, session: 6})
	h.ends(21)
	p = kill.Process{PID: 23}
	h.table.Complete(&p, h.at(h.uptime))
	_, ok = h.table.Opening(&p)
	assert.False(t, ok, "who knows what it was when it ended")
}

// TestNamespaceRoot has somebody begin the session of a user of his namespace.
func TestNamespaceRoot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		uidMap string
		user   uint32
		want   bool
	}{
		"root of a namespace of the user": {"0 100000 65536", 100000, true},
		"another one in that":             {"0 100000 65536", 100033, false},
		"with the host's root":            {"0 0 200000", 33, false},
		"root of another namespace":       {"0 200000 65536", 200000, false},
		"of the host":                     {"0 0 4294967295", 100000, false},
		"of which nothing can be read":    {"", 100000, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, false)
			h.runs(20, fakeProcess{command: "init", start: 2 * time.Second, login: unsetID, session: unsetID})
			h.runs(21, fakeProcess{command: "sshd", parent: 20, start: 3 * time.Second, user: tt.user, login: 101000, session: 6})
			h.write("proc/21/uid_map", tt.uidMap)
			h.cursor(30)
			require.NoError(t, h.table.Prime())
			p := kill.Process{PID: 21}
			h.table.Complete(&p, h.at(h.uptime))
			opening, ok := h.table.Opening(&p)
			require.True(t, ok)
			assert.Equal(t, tt.want, opening.NamespaceRoot)
		})
	}
}
