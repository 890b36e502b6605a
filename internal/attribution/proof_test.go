// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// opened has all sessions begun by one user.
type opened struct {
	known
	by kill.ID
}

func (o opened) Opener(*kill.Process) kill.ID { return o.by }

// TestClaimedLogins has processes without a login say that they are somebody's.
func TestClaimedLogins(t *testing.T) {
	const wwwData, alice, service = 33, 1000, "/system.slice/apache2.service"
	claim := Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), Claimed: true}}
	logged := Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), User: kill.User{ID: kill.NewID(alice)}, Session: kill.Session{ID: "17"}}}
	for name, tt := range map[string]struct {
		user      uint32
		processes Processes
		facts     []Fact
		want      bool
	}{
		"the user himself":                       {user: alice, processes: opened{by: kill.NewID(wwwData)}, want: true},
		"begun by root":                          {user: wwwData, processes: opened{by: kill.NewID(0)}, want: true},
		"begun by the user":                      {user: wwwData, processes: opened{by: kill.NewID(alice)}, want: true},
		"begun by a service":                     {user: wwwData, processes: opened{by: kill.NewID(wwwData)}},
		"begun by a service, then sudo":          {user: 0, processes: opened{by: kill.NewID(wwwData)}},
		"not known by whom":                      {user: wwwData, processes: opened{}},
		"not known by whom, then sudo":           {user: 0, processes: opened{}, want: true},
		"known to logind":                        {user: wwwData, processes: opened{}, facts: []Fact{logged}, want: true},
		"a record shows it":                      {user: 0, facts: []Fact{claim}},
		"no record":                              {user: wwwData, want: true},
		"a record of an earlier boot":            {user: wwwData, facts: []Fact{claim, logged}, want: true},
		"a record, and logind has an older boot": {user: wwwData, facts: []Fact{logged, claim}},
	} {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: tt.processes})
			learn(table, tt.facts)
			e := sends(time.Second, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender = *process(300, "/usr/bin/pkill x", tt.user, alice, service, bash)
			for range 2 { // what is remembered says the same
				table.Explain(e)
				assert.Equal(t, tt.want, e.Behind.Person(&e.Sender).ID.Known)
			}
		})
	}
}

// TestManyClaims has a user begin more sessions than are remembered.
func TestManyClaims(t *testing.T) {
	table := New(Config{})
	for session := range uint32(3 * maxProofs) {
		learn(table, []Fact{{Login: &Login{Audit: kill.NewID(100 + session), Claimed: true}}})
	}
	assert.LessOrEqual(t, len(table.proofs.claimed), maxProofs)
	for session, want := range map[uint32]bool{100: true, 100 + maxProofs: true, 99 + 3*maxProofs: true, 200 + 3*maxProofs: false} {
		p := process(300, "/usr/bin/pkill x", 33, 1000, "/system.slice/apache2.service")
		p.Session = kill.NewID(session)
		assert.Equal(t, want, table.claims(p, after(0)), session)
	}
}

// TestClaimedRequester has a service ask systemd as somebody else.
func TestClaimedRequester(t *testing.T) {
	p := process(10, "systemctl stop mariadb", 33, 1000, "/system.slice/apache2.service", bash)
	table := New(Config{Processes: opened{known{10: p}, kill.NewID(33)}})
	learn(table, []Fact{stops(0, p, "mariadb.service"), begins(2*ms, 7, "stop", "mariadb.service")})
	e := sends(3*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
	explain(table, e)
	assert.Equal(t, 10, e.Behind.Requester.PID)
	assert.Equal(t, kill.User{}, e.Behind.Person(&e.Sender))
}
