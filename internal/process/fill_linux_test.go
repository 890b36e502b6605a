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

const unsetID = 4294967295

var (
	mysqld = fakeProcess{
		command: "mysqld", executable: "/usr/sbin/mysqld", commandLine: "/usr/sbin/mysqld\x00--daemonize\x00",
		cgroup: "/system.slice/mysql.service", parent: 1, start: 500 * time.Second, login: unsetID, session: unsetID,
	}
	mysqldInstance = &kill.Instance{
		Start: fakeWall.Add(500 * time.Second), SinceBoot: 500 * time.Second, CommandLine: "/usr/sbin/mysqld\x00--daemonize\x00",
		Cgroup: "/system.slice/mysql.service", Unit: "mysql.service",
	}
	systemd = fakeProcess{
		command: "systemd", executable: "/usr/lib/systemd/systemd", commandLine: "/sbin/init\x00",
		cgroup: "/init.scope", start: 10 * time.Millisecond, login: unsetID, session: unsetID,
	}
	sshd = fakeProcess{command: "sshd", executable: "/usr/sbin/sshd", cgroup: "/", parent: 1, start: 300 * time.Second}
	bash = fakeProcess{
		command: "bash", executable: "/bin/bash", commandLine: "-bash\x00", cgroup: "/user.slice/user-500.slice/session-3.scope",
		parent: 3600, start: 600 * time.Second, login: 500, session: 3,
	}
)

func TestFillTarget(t *testing.T) {
	t.Parallel()
	at := 1010 * time.Second
	python := mysqld
	python.command, python.executable = "python3", "/usr/bin/python3"
	tests := map[string]struct {
		// first is scanned, then comes what happens before the event is filled.
		first, then func(h *fakeHost)
		target      kill.Process
		edit        func(e *kill.Event)
		at          time.Duration
		want        bool
	}{
		"living": {then: func(h *fakeHost) { h.runs(3936, mysqld) }, want: true},
		"living, known": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			want:  true,
		},
		"dead, known": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936) },
			want:  true,
		},
		"dead, and noticed": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(200); h.scan(); h.cursor(300); h.scan() },
			want:  true,
		},
		"dead, and its pid may be another's": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(4000) },
		},
		"dead, and its pid may be another's, in an earlier scan": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(4000); h.scan(); h.cursor(4001); h.scan() },
		},
		"dead, and its pid may be another's, but after the event": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				h.uptime = at + 100*time.Millisecond
				h.cursor(200)
				h.scan() // it lived
				h.ends(3936)
				h.cursor(4000)
				h.scan()
			},
			want: true,
		},
		"dead, and its pid may be another's, but after the event, long ago": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				h.ends(3936)
				h.cursor(200)
				h.scan()
				h.cursor(4000)
				h.scan()
			},
			want: true,
		},
		"dead, and the cursor went round past it": {
			first: func(h *fakeHost) { h.cursor(32000); h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(5000) },
		},
		"dead, and the cursor went round before it": {
			first: func(h *fakeHost) { h.cursor(32000); h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(3000) },
			want:  true,
		},
		"dead, and the cursor was turned back since": {
			first: func(h *fakeHost) { h.runs(3936, mysqld); h.cursor(3940) },
			then:  func(h *fakeHost) { h.ends(3936); h.cursor(3935); h.cursor(3945) },
		},
		"zombie, known": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				zombie := mysqld
				zombie.state, zombie.executable, zombie.commandLine, zombie.cgroup = "Z", "", "", "/"
				h.runs(3936, zombie)
			},
			want: true,
		},
		"dying, known": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				dying := mysqld
				dying.executable, dying.commandLine = "", ""
				h.runs(3936, dying)
			},
			want: true,
		},
		"used again by its namesake": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				next := mysqld
				next.start, next.commandLine = at+time.Second, "/usr/sbin/mysqld\x00--other\x00"
				h.cursor(3936)
				h.runs(3936, next)
			},
		},
		"used again by its namesake, seen between": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then: func(h *fakeHost) {
				h.uptime = at + 500*time.Millisecond
				h.cursor(101)
				h.scan()
				next := mysqld
				next.start, next.commandLine = at+time.Second, "/usr/sbin/mysqld\x00--other\x00"
				h.cursor(3936)
				h.runs(3936, next)
				h.scan()
			},
			want: true,
		},
		"born after the event": {
			then: func(h *fakeHost) { h.runs(3936, mysqld) },
			at:   499 * time.Second,
		},
		"born in the tick of the event": {
			then: func(h *fakeHost) { h.runs(3936, mysqld) },
			at:   500*time.Second + 9*time.Millisecond,
		},
		"born a tick before the event": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			at:    500*time.Second + 10*time.Millisecond,
			want:  true,
		},
		"before boot": {
			then: func(h *fakeHost) { h.runs(3936, mysqld) },
			at:   -time.Hour,
		},
		"another name, so another host's": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936, Command: "postgres"},
		},
		"no name": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936},
		},
		"no pid": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{Command: "mysqld"},
		},
		"another executable, so another host's": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936, Command: "mysqld", Executable: "/opt/mysqld"},
		},
		"the same executable, in a chroot": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936, Command: "mysqld", Executable: "/sbin/mysqld"},
			want:   true,
		},
		"the same executable, of a thread": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936, Command: "ib_io_rd-1", Executable: "/usr/sbin/mysqld (deleted)"},
			want:   true,
		},
		"program replaced by an upgrade": {
			then: func(h *fakeHost) {
				upgraded := mysqld
				upgraded.executable += " (deleted)"
				h.runs(3936, upgraded)
			},
			want: true,
		},
		"exec before the event, noticed": {
			first: func(h *fakeHost) { h.runs(3936, python) },
			then:  func(h *fakeHost) { h.runs(3936, mysqld) },
			want:  true,
		},
		"exec after the event": {
			first: func(h *fakeHost) { h.runs(3936, mysqld) },
			then:  func(h *fakeHost) { h.runs(3936, python) },
			want:  true,
		},
		"exec after the event, and the old program is not known": {
			then: func(h *fakeHost) { h.runs(3936, python) },
		},
		"name of a thread that was addressed": {
			then: func(h *fakeHost) {
				threaded := mysqld
				threaded.threads = []string{"mysqld", "ib io) rd\n1"}
				h.runs(3936, threaded)
			},
			target: kill.Process{PID: 3936, Command: "ib io) rd\n1"},
			edit:   func(e *kill.Event) { e.Scope = kill.ScopeThread },
			want:   true,
		},
		"name of a thread, but the process was addressed": {
			then: func(h *fakeHost) {
				threaded := mysqld
				threaded.threads = []string{"mysqld", "ib_io_rd-1"}
				h.runs(3936, threaded)
			},
			target: kill.Process{PID: 3936, Command: "ib_io_rd-1"},
		},
		"name of a thread that signaled its own process": {
			then:   func(h *fakeHost) { h.runs(3936, mysqld) },
			target: kill.Process{PID: 3936, Command: "ib_io_rd-1"},
			edit: func(e *kill.Event) {
				e.Sender = kill.Process{PID: 3936, Command: "ib_io_rd-1", Executable: "/usr/sbin/mysqld"}
			},
			want: true,
		},
		"this host's": {
			then: func(h *fakeHost) { h.runs(3936, mysqld) },
			edit: func(e *kill.Event) { e.Audit.Node = "DB1.example.com" },
			want: true,
		},
		"another host's": {
			then: func(h *fakeHost) { h.runs(3936, mysqld) },
			edit: func(e *kill.Event) { e.Audit.Node = "db2" },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, false)
			if test.first != nil {
				test.first(h)
			}
			require.NoError(t, h.table.Prime())
			h.uptime = at
			if test.then != nil {
				test.then(h)
			}
			h.uptime += 10 * time.Second
			if test.at == 0 {
				test.at = at
			}
			if test.target.PID == 0 && test.target.Command == "" {
				test.target = kill.Process{PID: 3936, Command: "mysqld"}
			}
			e := h.signal(test.at, test.target)
			if test.edit != nil {
				test.edit(e)
			}
			executable := e.Targets[0].Executable
			h.table.Fill(e)
			if !test.want {
				assert.Nil(t, e.Targets[0].Instance)
				assert.Equal(t, executable, e.Targets[0].Executable)
				return
			}
			assert.Equal(t, mysqldInstance, e.Targets[0].Instance)
			if executable == "" {
				executable = "/usr/sbin/mysqld"
			}
			assert.Equal(t, executable, e.Targets[0].Executable, "what the event says stays")
		})
	}
}

func TestFillDoesNotGuessTheProgramOfTheDead(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	child := bash
	h.runs(3997, child)
	require.NoError(t, h.table.Prime())
	child.command, child.executable, child.commandLine, child.cgroup, child.state = "sleep", "", "", "/", "Z"
	h.runs(3997, child)
	h.uptime += 10 * time.Second

	e := h.signal(1005*time.Second, kill.Process{PID: 3997, Command: "sleep"})
	h.table.Fill(e)
	assert.NotNil(t, e.Targets[0].Instance)
	assert.Empty(t, e.Targets[0].Executable, "what it ran last was not seen")
	assert.Empty(t, e.Targets[0].Instance.CommandLine)
	assert.Equal(t, "session-3.scope", e.Targets[0].Instance.Unit, "the group of a process that has ended may have gone")

	e = h.signal(1005*time.Second, kill.Process{PID: 3997, Command: "bash"})
	h.table.Fill(e)
	assert.Equal(t, "/bin/bash", e.Targets[0].Executable, "what it was before")
}

// TestInterruptedBetweenTwoClocks has the host do something else between the looks at
// its two clocks.
func TestInterruptedBetweenTwoClocks(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	at := h.uptime
	for _, interruptions := range []int{0, 1, clockSamples - 1} {
		left := interruptions
		h.table.wall = func() time.Time {
			if left > 0 {
				left--
				h.uptime += 50 * time.Millisecond
			}
			return h.at(h.uptime)
		}
		assert.Equal(t, at, h.table.sinceBoot(h.at(at)), "%d interruptions", interruptions)
	}
}

func TestAncestryIsBounded(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	for pid := 10; pid < 30; pid++ {
		h.runs(pid, fakeProcess{command: "deep", executable: "/deep", parent: pid - 1, start: time.Duration(pid) * time.Second})
	}
	h.runs(40, fakeProcess{command: "loop", executable: "/loop", parent: 40, start: time.Second})
	e := &kill.Event{Time: h.at(999 * time.Second), Sender: kill.Process{PID: 29, ParentPID: 28, Command: "deep"}}
	h.table.Fill(e)
	assert.Len(t, e.Sender.Ancestry, maxAncestry)
	e = &kill.Event{Time: h.at(999 * time.Second), Sender: kill.Process{PID: 40, ParentPID: 40, Command: "loop"}}
	h.table.Fill(e)
	assert.Len(t, e.Sender.Ancestry, maxAncestry, "a nonsensical /proc must not make it hang")
}

func TestFillLeavesWhatIsKnown(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t, false)
	h.runs(3936, mysqld)
	instance := &kill.Instance{Cgroup: "told by the kernel"}
	e := h.signal(999*time.Second, kill.Process{PID: 3936, Command: "mysqld", Instance: instance})
	e.Sender = kill.Process{PID: 3936, Command: "mysqld", Instance: instance}
	h.table.Fill(e)
	assert.Same(t, instance, e.Targets[0].Instance)
	assert.Same(t, instance, e.Sender.Instance)
	assert.Empty(t, e.Targets[0].Executable)
}
