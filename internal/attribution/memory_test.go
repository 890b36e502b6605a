// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var begin = time.UnixMilli(1795875522412).UTC()

func loginOf(session int) *Fact {
	return &Fact{Login: &Login{
		Time: begin, Leader: 7, Audit: kill.NewID(uint32(session)), User: kill.User{ID: kill.NewID(1000)},
		Session: kill.Session{ID: strconv.Itoa(session), Service: "sshd", UserName: "alice", Address: "192.0.2.15"},
	}}
}

func logoutOf(session int) *Fact { return &Fact{Logout: &Logout{ID: strconv.Itoa(session)}} }

// commandOf is a command of a user, so many seconds after the first.
func commandOf(user, pid, seconds int) *Fact {
	return &Fact{Command: &Command{
		Time: begin.Add(time.Duration(seconds) * time.Second), PID: pid, Command: "systemctl", Title: "systemctl\x00stop\x00mariadb",
		Login: kill.User{ID: kill.NewID(uint32(user))}, Session: kill.NewID(17),
	}}
}

// names describes facts shortly.
func names(facts []*Fact) []string {
	all := []string{}
	for _, f := range facts {
		if f.Login != nil {
			all = append(all, "login "+f.Login.Session.ID+f.Login.Session.TTY)
		} else {
			all = append(all, fmt.Sprintf("command %d%s", f.Command.PID, f.Command.User.Name))
		}
	}
	return all
}

func TestMemory(t *testing.T) {
	t.Parallel()
	onTerminal := loginOf(17)
	onTerminal.Login.Session.TTY = " on pts/0"
	asRoot := commandOf(1000, 9, 0)
	asRoot.Command.User.Name = " as root"
	elsewhere := loginOf(17)
	elsewhere.Node = "b"
	for name, tt := range map[string]struct {
		facts []*Fact
		want  []string
	}{
		"nothing":                     {nil, []string{}},
		"logins before commands":      {[]*Fact{commandOf(1000, 9, 0), loginOf(17)}, []string{"login 17", "command 9"}},
		"what is told again":          {[]*Fact{loginOf(17), loginOf(18), onTerminal}, []string{"login 17 on pts/0", "login 18"}},
		"a right that is told later":  {[]*Fact{commandOf(1000, 9, 0), asRoot}, []string{"command 9 as root"}},
		"a pid that is used again":    {[]*Fact{commandOf(1000, 9, 0), commandOf(1000, 9, 5)}, []string{"command 9", "command 9"}},
		"logout":                      {[]*Fact{loginOf(17), loginOf(18), logoutOf(17), logoutOf(19)}, []string{"login 18"}},
		"logout on another host":      {[]*Fact{loginOf(17), elsewhere, logoutOf(17)}, []string{"login 17"}},
		"commands are soon forgotten": {[]*Fact{commandOf(1000, 9, 0), commandOf(1000, 10, 30), commandOf(1001, 11, 61)}, []string{"command 10", "command 11"}},
		"the clock was set back":      {[]*Fact{commandOf(1000, 9, 100), commandOf(1000, 10, 0)}, []string{"command 9", "command 10"}},
		"other facts do not matter":   {[]*Fact{{Job: &Job{}}, {Shutdown: &Shutdown{}}}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m Memory
			for _, f := range tt.facts {
				m.Add(f)
			}
			assert.Equal(t, tt.want, names(m.Facts()))
			assert.Equal(t, len(tt.want) > 0, m.Changed())
			assert.False(t, m.Changed())
		})
	}
}

// TestMemoryIsBounded lets one user run very many commands: those of others are not forgotten.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m Memory
	m.Add(commandOf(1001, 1, 0))
	for n := range 10 * maxCommands {
		m.Add(commandOf(1000, 2+n, 1))
		m.Add(loginOf(n))
	}
	assert.Len(t, m.logins, maxLogins)
	assert.Len(t, m.commands, 1+maxOfOne)
	assert.Equal(t, 1, m.commands[0].Command.PID)
	for n := range 10 * maxCommands {
		m.Add(commandOf(n, 2+n, 2))
	}
	assert.Len(t, m.commands, maxCommands)
}
