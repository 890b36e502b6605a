// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// opened has all sessions begun in one way.
type opened struct {
	known
	how kill.Opening
	by  kill.ID
	// seen is true if the kernel reports that somebody has begun them.
	seen bool
}

func (o opened) Begun(*kill.Process) (kill.ID, bool) { return o.by, o.seen }

func (o opened) Opening(*kill.Process) (kill.Opening, bool) { return o.how, o.how.By.PID != 0 }

// by has a program of a user seem to have begun the session.
func by(user uint32, program string) opened {
	return opened{how: kill.Opening{By: kill.Process{
		PID: 300, Command: path.Base(program), Executable: program, RealUser: kill.User{ID: kill.NewID(user)},
		Instance: &kill.Instance{Cgroup: "/user.slice/user-1000.slice/user@1000.service/init.scope"},
	}}}
}

// reported has the kernel report which user has begun it, who has run a program since.
func reported(user uint32, o opened) opened {
	o.by, o.seen = kill.NewID(user), true
	return o
}

// unwitnessed has the kernel report that one has begun it who had become another user before.
func unwitnessed(o opened) opened {
	o.seen = true
	return o
}

// TestClaimedLogins has processes without a login say that they are somebody's.
func TestClaimedLogins(t *testing.T) {
	const root, wwwData, alice, service = 0, 33, 1000, "/system.slice/apache2.service"
	const apache, systemd = "/usr/sbin/apache2", "/usr/lib/systemd/systemd"
	claim := Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), Claimed: true}}
	logged := func(user uint32) Fact {
		return Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), User: kill.User{ID: kill.NewID(user)}, Session: kill.Session{ID: "17"}}}
	}
	switched := logged(alice)
	switched.Login.Session.Service = "su-l"
	for name, tt := range map[string]struct {
		user      uint32
		asRoot    bool
		processes Processes
		past      bool
		facts     []Fact
		want      bool
	}{
		"the user himself, reported of a service": {user: alice, processes: reported(wwwData, opened{})},
		"known to logind, reported of a service":  {user: root, processes: reported(wwwData, opened{}), facts: []Fact{logged(alice)}},
		"the user himself":                        {user: alice, processes: by(wwwData, "/bin/sh"), want: true},
		"reported of root":                        {user: wwwData, processes: reported(root, opened{}), want: true},
		"reported of the user":                    {user: wwwData, processes: reported(alice, opened{}), want: true},
		"reported of a service":                   {user: root, processes: reported(wwwData, opened{})},
		"reported of a service, by its sshd":      {user: root, processes: reported(wwwData, by(root, "/usr/sbin/sshd"))},
		"the user himself, by no witness":         {user: alice, processes: unwitnessed(opened{})},
		"the user himself, in place, by none":     {user: alice, processes: unwitnessed(by(alice, "/usr/bin/make"))},
		"by no witness, known to logind":          {user: alice, processes: unwitnessed(opened{}), facts: []Fact{logged(alice)}, want: true},
		"by no witness, by its sshd":              {user: alice, processes: unwitnessed(by(root, "/usr/sbin/sshd")), want: true},
		"begun by sshd":                           {user: wwwData, processes: by(root, "/usr/sbin/sshd"), want: true},
		"begun by cron":                           {user: wwwData, processes: by(root, "/usr/sbin/cron"), want: true},
		"begun by another program of root":        {user: wwwData, processes: by(root, "/opt/x/accessd")},
		"begun by the user's systemd":             {user: root, processes: by(alice, systemd), want: true},
		"begun by another's systemd":              {user: root, processes: by(1001, systemd)},
		"begun by another program of his":         {user: root, processes: by(alice, "/usr/bin/sleep")},
		"begun by a service":                      {user: wwwData, processes: by(wwwData, apache)},
		"begun by a service, then sudo":           {user: root, processes: by(wwwData, "/bin/sh")},
		"sudo of a service":                       {user: root, processes: by(root, "/usr/bin/sudo")},
		"what sudo runs in its process":           {user: root, processes: by(root, "/usr/bin/pkill")},
		"of which no path is known":               {user: root, processes: by(root, "")},
		"root, reported of root":                  {user: root, asRoot: true, processes: reported(root, opened{}), want: true},
		"root, reported of a service":             {user: root, asRoot: true, processes: reported(wwwData, opened{})},
		"root, begun by sshd":                     {user: root, asRoot: true, processes: by(root, "/usr/sbin/sshd"), want: true},
		"root, by a service, then sudo":           {user: root, asRoot: true, processes: by(wwwData, apache)},
		"root, begun by what sudo runs":           {user: root, asRoot: true, processes: by(root, "/usr/bin/pkill")},
		"root, known to logind":                   {user: root, asRoot: true, processes: opened{}, facts: []Fact{logged(root)}, want: true},
		"root, not known by whom":                 {user: root, asRoot: true, processes: opened{}},
		"root, in the past":                       {user: root, asRoot: true, past: true, want: true},
		"root, a record shows it":                 {user: root, asRoot: true, facts: []Fact{claim}},
		"not known by whom":                       {user: wwwData, processes: opened{}},
		"not known by whom, then sudo":            {user: root, processes: opened{}},
		"not known by whom, in the past":          {user: wwwData, processes: opened{}, past: true, want: true},
		"known to logind":                         {user: wwwData, processes: opened{}, facts: []Fact{logged(alice)}, want: true},
		"su is known to logind":                   {user: wwwData, processes: opened{}, facts: []Fact{switched}},
		"known to logind as somebody's":           {user: wwwData, processes: opened{}, facts: []Fact{logged(1001)}},
		"a record shows it":                       {user: root, facts: []Fact{claim}},
		"a record shows it, then sudo -u":         {user: alice, facts: []Fact{claim}},
		"no record":                               {user: wwwData, want: true},
		"a record of an earlier boot":             {user: wwwData, facts: []Fact{claim, logged(alice)}, want: true},
		"a record, and logind has an older boot":  {user: wwwData, facts: []Fact{logged(alice), claim}},
	} {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: tt.processes, Live: !tt.past})
			learn(table, tt.facts)
			login := uint32(alice)
			if tt.asRoot {
				login = root
			}
			e := sends(time.Second, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender = *process(300, "/usr/bin/pkill x", tt.user, login, service, bash)
			for range 2 { // what is remembered says the same
				table.Explain(e)
				assert.Equal(t, tt.want, e.Behind.Person(&e.Sender).ID.Known)
				assert.True(t, tt.want || e.Behind == nil || e.Behind.Session == nil)
			}
			e = sends(time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender, e.Origin, e.Cause = *process(300, "/usr/bin/pkill x", tt.user, login, service, bash), kill.OriginKernel, kill.CauseCgroupKill
			table.Explain(e)
			assert.Equal(t, tt.want, e.Behind.Person(&e.Sender).ID.Known, "what it has the kernel do")
		})
	}
}

// TestUsersOfANamespace has the sshd of a container that is no root's let in a user of there, a service in there claim to be him, and
// that of a directory, whose users have as high numbers.
func TestUsersOfANamespace(t *testing.T) {
	for name, tt := range map[string]struct {
		user    uint32
		program string
		root    bool
		want    bool
	}{
		"let in":              {100000, "/usr/sbin/sshd", true, true},
		"begun by its sudo":   {100000, "/usr/bin/sudo", true, false},
		"a service in there":  {100033, "/usr/sbin/apache2", false, false},
		"one of a directory":  {200001, "/usr/sbin/apache2", false, false},
		"an ended service":    {100000, "/usr/sbin/apache2", true, false},
		"a program of a user": {100033, "/usr/sbin/sshd", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			how := by(tt.user, tt.program)
			how.how.NamespaceRoot = tt.root
			table := New(Config{Processes: how, Live: true})
			learn(table, []Fact{{Login: &Login{Audit: kill.NewID(17), Claimed: true}}}) // the kernel's record looks the same
			assert.Equal(t, tt.want, !table.claims(process(300, "/usr/bin/pkill x", tt.user, 101000, "/lxc/web"), after(0)))
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
	table := New(Config{Live: true, Processes: opened{known: known{10: p}, how: kill.Opening{By: kill.Process{PID: 300, RealUser: kill.User{ID: kill.NewID(33)}}}}})
	learn(table, []Fact{stops(0, p, "mariadb.service"), begins(2*ms, 7, "stop", "mariadb.service")})
	e := sends(3*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
	explain(table, e)
	assert.Equal(t, 10, e.Behind.Requester.PID)
	assert.Equal(t, kill.User{}, e.Behind.Person(&e.Sender))
}

// TestClaimedSessionEnd has what runs in bob's session say that it is somebody else's when that ends.
func TestClaimedSessionEnd(t *testing.T) {
	table := New(Config{Live: true, Processes: by(1001, "/bin/bash")})
	learn(table, []Fact{login(0, "c1", 1001, "bob", "10.6.6.6"), begins(0, 7, "stop", "session-c1.scope")})
	target := process(900, "/bin/bash", 1001, 1000, "/user.slice/user-1001.slice/session-c1.scope")
	target.Session = kill.NewID(55)
	e := sends(ms, kill.SIGTERM, *target)
	explain(table, e)
	assert.NotEqual(t, kill.NewID(1000), e.Behind.User.ID)
}
