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
		assert.False(t, opening.Forked, "nobody has seen that")
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

// TestForkedOpener has a daemon serve a user in a child, which then runs a program.
func TestForkedOpener(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(10, fakeProcess{command: "accessd", start: 2 * time.Second, login: unsetID, session: unsetID})
	h.cursor(10)
	require.NoError(t, h.table.Prime())
	h.runs(11, fakeProcess{command: "accessd", parent: 10, start: 3 * time.Second, login: 1000, session: 5})
	h.cursor(11)
	child := Key{PID: 11, Start: 3 * time.Second}
	forked := func() bool {
		p := kill.Process{PID: 11}
		h.table.Complete(&p, h.at(h.uptime))
		opening, _ := h.table.Opening(&p)
		return opening.By.PID == 11 && opening.Forked
	}
	h.table.Fork(Key{PID: 10, Start: 2 * time.Second}, child)
	assert.True(t, forked())
	h.table.Exec(Exec{Key: Key{PID: 10, Start: 2 * time.Second}, Command: "another", Executable: "/usr/bin/another"})
	assert.True(t, forked(), "its parent runs another program")
	h.table.Exec(Exec{Key: child, Parent: 10, Command: "accessd", Executable: "/usr/bin/accessd"})
	assert.False(t, forked(), "the same program, which sudo may run")
	h.table.Fork(Key{PID: 10, Start: 2 * time.Second}, child)
	h.table.Doubt()
	assert.False(t, forked(), "it may run another one")
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
