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

func TestFillSender(t *testing.T) {
	t.Parallel()
	login, session := kill.User{ID: kill.NewID(500)}, kill.NewID(3)
	script := fakeProcess{
		command: "mykill", executable: "/opt/bin/mykill", commandLine: "mykill\x00-9\x00", cgroup: "/user.slice/user-500.slice/session-3.scope",
		parent: 3649, start: 700 * time.Second, login: 500, session: 3,
	}
	lineage := []kill.Ancestor{{PID: 3649, Command: "bash"}, {PID: 3600, Command: "sshd"}, {PID: 1, Command: "systemd"}}
	for name, test := range map[string]struct {
		// first is scanned, then comes what happens before the event is filled.
		first, then func(h *fakeHost)
		sender      kill.Process
		known       bool
		ancestry    []kill.Ancestor
	}{
		"living": {
			then:  func(h *fakeHost) { h.runs(3997, script) },
			known: true, ancestry: lineage,
		},
		"gone before it was seen": {ancestry: lineage},
		"another host's": {
			then:   func(h *fakeHost) { h.runs(3997, script) },
			sender: kill.Process{PID: 3997, ParentPID: 3649, Command: "mykill", Executable: "/usr/bin/mykill", Login: kill.User{ID: kill.NewID(501)}},
		},
		"its parent became another program": {
			first: func(h *fakeHost) { h.runs(3997, script) },
			then: func(h *fakeHost) {
				next := bash
				next.command, next.executable = "make", "/usr/bin/make"
				h.runs(3649, next)
			},
			known: true, ancestry: []kill.Ancestor{{PID: 3649, Command: "make"}, lineage[1], lineage[2]},
		},
		"its parent has just died": {
			first: func(h *fakeHost) { h.runs(3997, script) },
			then:  func(h *fakeHost) { h.ends(3649) },
			known: true, // the parent may have become another program
		},
		"its parent's pid was used again": {
			first: func(h *fakeHost) { h.runs(3997, script) },
			then: func(h *fakeHost) {
				next := bash
				next.start = 1004 * time.Second
				h.runs(3649, next)
			},
			known: true,
		},
		"gone, of a daemon": {
			then: func(h *fakeHost) {
				daemon := bash
				daemon.login, daemon.session = unsetID, unsetID
				h.runs(3649, daemon)
			},
			sender: kill.Process{
				PID: 3997, ParentPID: 3649, Command: "mykill", Login: kill.User{ID: kill.NewID(unsetID)}, Session: kill.NewID(unsetID),
			},
			ancestry: lineage,
		},
		"gone, and its record was cut": {
			then: func(h *fakeHost) {
				daemon := bash
				daemon.login, daemon.session = unsetID, unsetID
				h.runs(3649, daemon)
			},
			sender: kill.Process{PID: 3997, ParentPID: 3649, Command: "mykill"},
		},
		"gone, of another login": {
			sender: kill.Process{PID: 3997, ParentPID: 3649, Command: "mykill", Login: kill.User{ID: kill.NewID(501)}, Session: session},
		},
		"gone, of another session": {
			sender: kill.Process{PID: 3997, ParentPID: 3649, Command: "mykill", Login: login, Session: kill.NewID(4)},
		},
		"gone, and so is the parent": {then: func(h *fakeHost) { h.ends(3649) }},
		"parent's pid used again": {
			then: func(h *fakeHost) {
				next := bash
				next.start = 800 * time.Second
				h.runs(3649, next)
				h.runs(3997, script)
			},
			known: true,
		},
		"grandparent's pid used again": {
			then: func(h *fakeHost) {
				next := sshd
				next.start = 800 * time.Second
				h.runs(3600, next)
			},
			ancestry: lineage[:1],
		},
		"a program that became another": {
			then: func(h *fakeHost) {
				next := script
				next.command, next.executable = "mysqld", "/usr/sbin/mysqld"
				h.runs(3997, next)
			},
			ancestry: lineage,
		},
		"no parent": {
			then:   func(h *fakeHost) { h.runs(3997, script) },
			sender: kill.Process{PID: 3997, Command: "mykill", Executable: "/opt/bin/mykill"},
			known:  true,
		},
		"nobody": {sender: kill.Process{Command: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHost(t, false)
			h.runs(1, systemd)
			h.runs(3600, sshd)
			h.runs(3649, bash)
			if test.first != nil {
				test.first(h)
				require.NoError(t, h.table.Prime())
				h.uptime += 10 * time.Second
			}
			if test.then != nil {
				test.then(h)
			}
			if test.sender.Command == "" {
				test.sender = kill.Process{
					PID: 3997, ParentPID: 3649, Command: "mykill", Executable: "/opt/bin/mykill", Login: login, Session: session,
				}
			}
			e := &kill.Event{Time: h.at(h.uptime - time.Second), Sender: test.sender}
			h.table.Fill(e)
			assert.Equal(t, test.ancestry, e.Sender.Ancestry)
			if !test.known {
				assert.Nil(t, e.Sender.Instance)
				return
			}
			assert.Equal(t, &kill.Instance{
				Start: h.at(700 * time.Second), SinceBoot: 700 * time.Second, CommandLine: "mykill\x00-9\x00",
				Cgroup: "/user.slice/user-500.slice/session-3.scope", Unit: "session-3.scope",
			}, e.Sender.Instance)
		})
	}
}
