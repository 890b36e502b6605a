// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// opened has all sessions begun in one way.
type opened struct {
	known
	how kill.Opening
}

func (o opened) Opening(*kill.Process) (kill.Opening, bool) { return o.how, o.how.By.PID != 0 }

// by has a program of a user begin the session, and one of another user have started that.
func by(user uint32, program string, parent uint32, parentPID int, parentName string) Processes {
	return opened{how: kill.Opening{
		By:             kill.Process{PID: 300, Executable: program, RealUser: kill.User{ID: kill.NewID(user)}},
		Parent:         kill.Process{PID: parentPID, Command: parentName, RealUser: kill.User{ID: kill.NewID(parent)}},
		AnyonesProgram: strings.HasSuffix(program, "sudo"),
	}}
}

// TestClaimedLogins has processes without a login say that they are somebody's.
func TestClaimedLogins(t *testing.T) {
	const root, wwwData, alice, service = 0, 33, 1000, "/system.slice/apache2.service"
	claim := Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), Claimed: true}}
	logged := func(user uint32) Fact {
		return Fact{Login: &Login{Time: after(0), Audit: kill.NewID(17), User: kill.User{ID: kill.NewID(user)}, Session: kill.Session{ID: "17"}}}
	}
	for name, tt := range map[string]struct {
		user      uint32
		processes Processes
		past      bool
		facts     []Fact
		want      bool
	}{
		"the user himself":                       {user: alice, processes: by(wwwData, "/bin/sh", root, 20, "apache2"), want: true},
		"begun by sshd":                          {user: wwwData, processes: by(root, "/usr/sbin/sshd", root, 1, "systemd"), want: true},
		"begun by cron":                          {user: wwwData, processes: by(root, "/usr/sbin/cron", root, 70, "cron"), want: true},
		"begun by the user":                      {user: root, processes: by(alice, "/usr/lib/systemd/systemd", root, 1, "systemd"), want: true},
		"begun by a service":                     {user: wwwData, processes: by(wwwData, "/usr/sbin/apache2", root, 20, "apache2")},
		"begun by a service, then sudo":          {user: root, processes: by(wwwData, "/bin/sh", root, 20, "apache2")},
		"sudo of a service":                      {user: root, processes: by(root, "/usr/bin/sudo", wwwData, 20, "apache2")},
		"sudo of what has ended":                 {user: root, processes: by(root, "/usr/bin/sudo", root, 1, "systemd")},
		"sudo of what has ended, in a container": {user: root, processes: by(root, "/usr/bin/sudo", root, 44, "tini")},
		"sudo of what has ended, of root":        {user: root, processes: by(root, "/usr/bin/sudo", root, 44, "containerd-shim")},
		"not known by whom":                      {user: wwwData, processes: opened{}},
		"not known by whom, then sudo":           {user: root, processes: opened{}},
		"not known by whom, in the past":         {user: wwwData, processes: opened{}, past: true, want: true},
		"known to logind":                        {user: wwwData, processes: opened{}, facts: []Fact{logged(alice)}, want: true},
		"known to logind as somebody's":          {user: wwwData, processes: opened{}, facts: []Fact{logged(1001)}},
		"a record shows it":                      {user: root, facts: []Fact{claim}},
		"no record":                              {user: wwwData, want: true},
		"a record of an earlier boot":            {user: wwwData, facts: []Fact{claim, logged(alice)}, want: true},
		"a record, and logind has an older boot": {user: wwwData, facts: []Fact{logged(alice), claim}},
	} {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: tt.processes, Live: !tt.past})
			learn(table, tt.facts)
			e := sends(time.Second, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender = *process(300, "/usr/bin/pkill x", tt.user, alice, service, bash)
			for range 2 { // what is remembered says the same
				table.Explain(e)
				assert.Equal(t, tt.want, e.Behind.Person(&e.Sender).ID.Known)
			}
			e = sends(time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender, e.Origin, e.Cause = *process(300, "/usr/bin/pkill x", tt.user, alice, service, bash), kill.OriginKernel, kill.CauseCgroupKill
			table.Explain(e)
			assert.Equal(t, tt.want, e.Behind.Person(&e.Sender).ID.Known, "what it has the kernel do")
		})
	}
}

// TestUsersOfANamespace has a login within a container that is no root's, and one of a user of the host with as high a number.
func TestUsersOfANamespace(t *testing.T) {
	how := by(100000, "/usr/sbin/sshd", 100000, 500, "init").(opened)
	for _, namespace := range []bool{true, false} {
		how.how.Namespace = namespace
		table := New(Config{Processes: how, Live: true})
		learn(table, []Fact{{Login: &Login{Audit: kill.NewID(17), Claimed: true}}}) // to the kernel's record they look alike
		assert.NotEqual(t, namespace, table.claims(process(300, "/usr/bin/pkill x", 100000, 101000, "/lxc/web"), after(0)))
	}
}

// TestLoginOfAContainer has the sshd of a container, or what says that it is one, let alice in from anywhere.
func TestLoginOfAContainer(t *testing.T) {
	const container, service = "/docker/7f3c", "/system.slice/ssh.service"
	for name, tt := range map[string]struct {
		of             kill.Whose
		cgroup, target string
		want           string
	}{
		"the host's":                {kill.WhoseHost, service, "/system.slice/mariadb.service", "10.6.6.6"},
		"a container's":             {kill.WhoseOther, container, "/system.slice/mariadb.service", ""},
		"a container's, for itself": {kill.WhoseOther, container, container, "10.6.6.6"},
		"an unknown one's":          {kill.WhoseUnknown, "", "/system.slice/mariadb.service", "10.6.6.6"},
	} {
		t.Run(name, func(t *testing.T) {
			leader := process(80, "/usr/sbin/sshd", 0, 1000, tt.cgroup)
			leader.Home.Program = tt.of
			table := New(Config{Processes: known{80: leader}, Live: true})
			fact := login(0, "17", 1000, "alice", "10.6.6.6")
			fact.Login.Leader, fact.Login.Audit = 80, kill.NewID(17)
			learn(table, []Fact{fact})
			e := sends(0, kill.SIGTERM, *process(5932, "/usr/sbin/mariadbd", 102, nobody, tt.target))
			e.Sender = *process(300, "/usr/bin/pkill x", 1000, 1000, tt.cgroup, bash)
			explain(table, e)
			address := ""
			if e.Behind != nil && e.Behind.Session != nil {
				address = e.Behind.Session.Address
			}
			assert.Equal(t, tt.want, address)
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
	table := New(Config{Live: true, Processes: by(1001, "/bin/bash", 0, 77, "su")})
	learn(table, []Fact{login(0, "c1", 1001, "bob", "10.6.6.6"), begins(0, 7, "stop", "session-c1.scope")})
	target := process(900, "/bin/bash", 1001, 1000, "/user.slice/user-1001.slice/session-c1.scope")
	target.Session = kill.NewID(55)
	e := sends(ms, kill.SIGTERM, *target)
	explain(table, e)
	assert.NotEqual(t, kill.NewID(1000), e.Behind.User.ID)
}
