// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestMarked has a package manager restart what it has upgraded: it marks units, and then asks for all that are marked.
func TestMarked(t *testing.T) {
	dnf, bob := byRoot(10, "systemctl reload-or-restart --marked"), byRoot(11, "systemctl restart mariadb")
	stranger := byRoot(12, "/usr/bin/python3 /opt/deploy.py")
	call := connects(0, dnf)
	call.Request.Socket, call.Request.Call = "", &Call{Member: "EnqueueMarkedJobs"}
	onBus := func(f Fact) Fact { f.Request.Socket = "/run/dbus/system_bus_socket"; return f }
	job := begins(ms, 7, "restart", "mariadb.service")
	for name, tt := range map[string]struct {
		facts  []Fact
		told   bool
		signal kill.Signal
		want   expected
	}{
		"called, beside who names the unit": {facts: []Fact{call, connects(0, bob), job}, told: true, want: expected{candidates: 2}},
		"beside one of whom nobody knows what he asks for": {
			facts: []Fact{connects(-time.Second, dnf), onBus(connects(0, stranger)), job}, told: true, want: expected{candidates: 2},
		},
		"alone":                     {facts: []Fact{connects(0, dnf), job}, told: true, want: expected{requester: 10}},
		"called":                    {facts: []Fact{call, job}, told: true, want: expected{requester: 10}},
		"beside who names the unit": {facts: []Fact{connects(0, dnf), connects(0, bob), job}, told: true, want: expected{candidates: 2}},
		"the unit is stopped":       {facts: []Fact{connects(0, dnf), begins(ms, 7, "stop", "mariadb.service")}, told: true},
		"without D-Bus":             {facts: []Fact{connects(0, dnf)}, want: expected{requester: 10}},
		"a watchdog, without D-Bus": {facts: []Fact{connects(0, dnf)}, signal: kill.SIGABRT},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(tt.told, dnf, bob, stranger)
			learn(table, tt.facts)
			signal := tt.signal
			if signal == 0 {
				signal = kill.SIGTERM
			}
			x := told(explain(table, sends(4*ms, signal, ofUnit(5932, "mariadbd", "mariadb.service"))), true)
			assert.Equal(t, tt.want, expected{requester: x.requester, candidates: x.candidates})
		})
	}
}

// TestEarlierJob has somebody ask for a job that sends no signal, and a moment later one who is not seen, such as a cluster manager, for one
// that does.
func TestEarlierJob(t *testing.T) {
	for name, tt := range map[string]struct {
		line  string
		facts []Fact
		want  int
	}{
		"restart of what was dead": {"systemctl restart mariadb", []Fact{
			enters(-time.Minute, "mariadb.service", "failed", "failed", "exit-code"),
			begins(2*ms, 7, "start", "mariadb.service"), enters(50*ms, "mariadb.service", "active", "running", "success"),
			done(51*ms, 7, "mariadb.service"), begins(1500*ms, 8, "restart", "mariadb.service"),
		}, 0},
		"restart that has stopped nothing": {"systemctl restart --no-block mariadb", []Fact{
			begins(2*ms, 7, "restart", "mariadb.service"), done(51*ms, 7, "mariadb.service"), begins(1500*ms, 8, "restart", "mariadb.service"),
		}, 0},
		"stop of what was dead":         {"systemctl stop mariadb", []Fact{begins(1500*ms, 8, "stop", "mariadb.service")}, 0},
		"does not wait":                 {"systemctl stop --no-block mariadb", []Fact{begins(1500*ms, 8, "stop", "mariadb.service")}, 10},
		"has not ended when it began":   {"systemctl stop mariadb", []Fact{begins(400*ms, 8, "stop", "mariadb.service")}, 10},
		"another kind of job was first": {"systemctl restart --no-block mariadb", []Fact{begins(-ms, 6, "stop", "mariadb.service"), done(900*ms, 6, "mariadb.service"), begins(1500*ms, 8, "restart", "mariadb.service")}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			bob := byRoot(10, tt.line)
			table := New(Config{Processes: endings{known{10: bob}, map[int]time.Time{10: after(100 * ms)}}})
			table.Follow(1, true, false)
			learn(table, append([]Fact{connects(0, bob)}, tt.facts...))
			target := ofUnit(5932, "mariadbd", "mariadb.service")
			at := tt.facts[len(tt.facts)-1].Job.Time.Add(2 * ms).Sub(start)
			target.Instance.Start = after(at - 100*ms)
			if tt.line == "systemctl stop mariadb" {
				target.Instance.Start = after(-time.Hour)
			}
			assert.Equal(t, tt.want, askedBy(explain(table, sends(at, kill.SIGTERM, target))))
		})
	}
}

// TestInterrupted has two people stop a service, of whom the first one does not wait for the end.
func TestInterrupted(t *testing.T) {
	for _, told := range []bool{false, true} {
		alice, bob := byRoot(10, "systemctl stop mariadb"), byRoot(11, "systemctl stop mariadb")
		table := New(Config{Processes: endings{known{10: alice, 11: bob}, map[int]time.Time{10: after(500 * ms)}}})
		table.Follow(1, told, false)
		facts := []Fact{connects(0, alice), connects(1400*ms, bob)}
		if told {
			facts = append(facts, begins(1500*ms, 7, "stop", "mariadb.service"))
		}
		learn(table, facts)
		assert.Zero(t, askedBy(explain(table, sends(1504*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))), "told: %v", told)
	}
}

// TestSignalToAnEarlierProcess has two people signal a service that is started again in between.
func TestSignalToAnEarlierProcess(t *testing.T) {
	alice, bob := byRoot(10, "systemctl kill --signal=KILL mariadb"), byRoot(11, "systemctl kill -s9 mariadb")
	table := tableOf(true, alice, bob)
	learn(table, []Fact{enters(-time.Minute, "mariadb.service", "active", "running", "success"), connects(0, alice), connects(time.Second, bob)})
	target := ofUnit(5932, "mariadbd", "mariadb.service")
	target.Instance.Start = after(500 * ms)
	assert.Equal(t, 11, askedBy(explain(table, sends(time.Second+2*ms, kill.SIGKILL, target))))
}

// TestReloadWithoutBus has somebody reload a service whose systemd does not say what it does: that explains no other signal.
func TestReloadWithoutBus(t *testing.T) {
	for signal, want := range map[kill.Signal]int{kill.SIGHUP: 10, kill.SIGABRT: 0, kill.SIGKILL: 0, kill.SIGTERM: 0} {
		bob := byRoot(10, "systemctl reload mariadb")
		table := tableOf(false, bob)
		learn(table, []Fact{connects(0, bob)})
		assert.Equal(t, want, askedBy(explain(table, sends(1500*ms, signal, ofUnit(5932, "mariadbd", "mariadb.service")))), "%v", signal)
	}
}

// TestIsolate has somebody start a target, which stops all that this does not need.
func TestIsolate(t *testing.T) {
	for _, line := range []string{"systemctl isolate rescue.target", "systemctl isolate rescue", "systemctl rescue"} {
		bob := byRoot(10, line)
		table := tableOf(true, bob)
		learn(table, []Fact{connects(0, bob), begins(ms, 6, "start", "rescue.target"), begins(ms, 7, "stop", "mariadb.service")})
		x := told(explain(table, sends(4*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))), true)
		assert.Equal(t, 10, x.requester, line)
		assert.Equal(t, kill.CauseDependency, x.cause, line)
		assert.Equal(t, "rescue.target", x.named, line)
	}
}

// TestSignalToASession has somebody have logind signal what belongs to a session, or end the slice of its user.
func TestSignalToASession(t *testing.T) {
	logind := process(60, "/usr/lib/systemd/systemd-logind", 0, nobody, "/system.slice/systemd-logind.service")
	call := stops(ms, logind, "session-21.scope")
	call.Request.Call.Member = "KillUnit"
	for name, tt := range map[string]struct {
		line  string
		facts []Fact
		want  int
	}{
		"kill-session":                     {"loginctl kill-session 21", nil, 10},
		"kill-session, logind was seen":    {"loginctl kill-session 21", []Fact{call}, 10},
		"kill-user":                        {"loginctl kill-user bob", nil, 10},
		"kill-user, with this signal":      {"loginctl kill-user -sTERM bob", nil, 10},
		"kill-user, with another signal":   {"loginctl kill-user -sHUP bob", nil, 0},
		"kill-session of another":          {"loginctl kill-session 22", nil, 0},
		"stop of the slice":                {"systemctl stop user-1001.slice", []Fact{depends("session-21.scope", "user-1001.slice"), begins(ms, 7, "stop", "session-21.scope")}, 10},
		"stop of the slice of another one": {"systemctl stop user-1002.slice", []Fact{depends("session-21.scope", "user-1001.slice"), begins(ms, 7, "stop", "session-21.scope")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := byRoot(10, tt.line)
			table := tableOf(true, p, logind)
			left := ofUnit(6000, "sleep", "session-21.scope")
			left.Login, left.Session = kill.User{ID: kill.NewID(1001)}, kill.NewID(21)
			learn(table, append([]Fact{login(0, "21", 1001, "bob", "10.0.0.6"), connects(0, p)}, tt.facts...))
			e := explain(table, sends(4*ms, kill.SIGTERM, left))
			require.NotNil(t, e.Behind)
			if tt.want != 0 {
				assert.Equal(t, tt.want, askedBy(e))
				assert.Equal(t, kill.CauseSessionKill, e.Cause)
			} else {
				assert.NotEqual(t, 10, askedBy(e))
			}
		})
	}
}

// TestSignalToASessionBesideAnother has two people signal what belongs to a session.
func TestSignalToASessionBesideAnother(t *testing.T) {
	carol, dave := byRoot(10, "loginctl kill-user bob"), byRoot(11, "systemctl kill session-21.scope")
	seen := stops(1500*ms, dave, "session-21.scope")
	seen.Request.Call.Member, seen.Request.Call.Signal = "KillUnit", kill.SIGTERM
	for name, second := range map[string]Fact{"connected": connects(1500*ms, dave), "seen": seen} {
		table := tableOf(true, carol, dave)
		left := ofUnit(6000, "sleep", "session-21.scope")
		left.Login, left.Session = kill.User{ID: kill.NewID(1001)}, kill.NewID(21)
		learn(table, []Fact{login(0, "21", 1001, "bob", "10.0.0.6"), connects(0, carol), second})
		x := told(explain(table, sends(1504*ms, kill.SIGTERM, left)), true)
		assert.Zero(t, x.requester, name)
		assert.Equal(t, 2, x.candidates, name)
	}
}

// TestEndOfAPersonalSystemd has a user's systemd end, which it does when he has logged out, and when the host ends.
func TestEndOfAPersonalSystemd(t *testing.T) {
	systemd := process(500, "/usr/lib/systemd/systemd --user", 1000, 1000, "/user.slice/user-1000.slice/user@1000.service/init.scope", parent(1, "/sbin/init"))
	exit := process(10, "systemctl --user exit", 1000, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	root := byRoot(11, "loginctl terminate-user 1000")
	asks := connects(0, exit)
	asks.Request.Manager, asks.Request.Socket = 500, "/run/user/1000/systemd/private"
	ends := begins(-ms, 70, "stop", "user@1000.service")
	for name, tt := range map[string]struct {
		facts  []Fact
		silent bool // nothing is told by the host's systemd
		closed bool // nothing is told by his
		want   expected
	}{
		"logout, of which only the host's tells": {facts: []Fact{ends}, closed: true, want: expected{cause: kill.CauseSessionEnd, evidence: kill.EvidenceInferred, login: 1000}},
		"nobody tells of a logout":               {closed: true, want: expected{login: nobody}},
		"logout":                                 {facts: []Fact{ends}, want: expected{cause: kill.CauseSessionEnd, evidence: kill.EvidenceObserved, login: 1000}},
		"the host's job is not known":            {want: expected{cause: kill.CauseSessionEnd, evidence: kill.EvidenceInferred, login: 1000}},
		"the host's systemd says nothing":        {silent: true, want: expected{login: nobody}},
		"the host ends":                          {facts: []Fact{begins(-ms, 71, "start", "poweroff.target"), ends}, want: expected{cause: kill.CauseShutdown, evidence: kill.EvidenceObserved, login: nobody}},
		"somebody has the user logged out":       {facts: []Fact{connects(0, root), ends}, want: expected{cause: kill.CauseSessionKill, evidence: kill.EvidenceInferred, requester: 11, login: 1000}},
		"he has it end":                          {facts: []Fact{asks}, want: expected{cause: kill.CauseShutdown, evidence: kill.EvidenceInferred, requester: 10, login: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: known{500: systemd, 10: exit, 11: root}})
			table.Follow(1, !tt.silent, false)
			learn(table, tt.facts)
			if !tt.closed {
				table.Follow(500, true, false)
				j, k := begins(10*ms, 7, "start", "exit.target"), begins(10*ms, 8, "stop", "pipewire.service")
				j.Job.Manager, k.Job.Manager = 500, 500
				learn(table, []Fact{j, k})
			}
			target := *process(900, "pipewire", 1000, 1000, "/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service")
			e := sends(14*ms, kill.SIGTERM, target)
			e.Sender = *systemd
			x := told(explain(table, e), true)
			assert.Equal(t, tt.want, expected{cause: x.cause, evidence: x.evidence, requester: x.requester, login: x.login})
		})
	}
}

// TestRootForAMoment has run0(1) give somebody the right of root, in a session of root's in which root has not logged in.
func TestRootForAMoment(t *testing.T) {
	p := process(10, "systemctl stop mariadb", 0, 0, "/user.slice/user-0.slice/session-33.scope", parent(1, "/sbin/init"))
	p.Session = kill.NewID(33)
	for service, want := range map[string]uint32{"systemd-run0": nobody, "sshd": 0} {
		how := reported(0, by(0, "/usr/lib/systemd/systemd-executor"))
		how.known = known{10: p}
		table := New(Config{Processes: how, Live: true})
		table.Follow(1, true, false)
		f := login(0, "33", 0, "root", "")
		f.Login.Audit, f.Login.Session.Service = kill.NewID(33), service
		learn(table, []Fact{f, connects(0, p), begins(ms, 7, "stop", "mariadb.service")})
		x := told(explain(table, sends(4*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))), true)
		assert.Equal(t, want, x.login, service)
		assert.Equal(t, 10, x.requester, service)
	}
}

// TestBridgeToAUser has root's systemctl ask the systemd of a user (systemctl --user -M alice@), for which systemd starts a program in a
// session of hers. She has done nothing.
func TestBridgeToAUser(t *testing.T) {
	const alice = 1000
	systemd := process(500, "/usr/lib/systemd/systemd --user", alice, alice, "/user.slice/user-1000.slice/user@1000.service/init.scope", parent(1, "/sbin/init"))
	for name, tt := range map[string]struct {
		parents []kill.Ancestor
		want    uint32
	}{
		"of root":          {[]kill.Ancestor{parent(1, "/sbin/init")}, nobody},
		"of her own login": {[]kill.Ancestor{bash, sshd}, alice},
	} {
		t.Run(name, func(t *testing.T) {
			bridge := process(10, "/usr/bin/systemd-stdio-bridge -punix:path=/run/user/1000/bus", alice, alice, "/user.slice/user-1000.slice/session-c3.scope", tt.parents...)
			for _, call := range []bool{false, true} {
				table := New(Config{Processes: known{10: bridge, 500: systemd}})
				table.Follow(500, true, false)
				f := connects(0, bridge)
				f.Request.Manager, f.Request.Socket = 500, "/run/user/1000/bus"
				if call {
					f.Request.Call = &Call{Member: "RestartUnit", Object: "pipewire.service"}
				}
				j := begins(10*ms, 7, "restart", "pipewire.service")
				j.Job.Manager = 500
				learn(table, []Fact{f, j})
				target := ofUnit(900, "pipewire", "x")
				target.Instance.Cgroup = "/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service"
				e := sends(14*ms, kill.SIGTERM, target)
				e.Sender = *systemd
				x := told(explain(table, e), true)
				assert.Equal(t, 10, x.requester)
				assert.Equal(t, tt.want, x.login)
			}
		})
	}
}

// TestOwnBridge has a user run such a program himself, without a parent, and ask the host's systemd by that.
func TestOwnBridge(t *testing.T) {
	const alice = 1000
	bridge := process(10, "/usr/bin/systemd-stdio-bridge", alice, alice, "/user.slice/user-1000.slice/session-17.scope", parent(1, "/sbin/init"))
	for leader, want := range map[int]uint32{80: alice, 10: nobody} {
		table := New(Config{Processes: known{10: bridge}})
		table.Follow(1, true, true)
		l := login(0, "17", alice, "alice", "10.0.0.5")
		l.Login.Leader, l.Login.Audit = leader, kill.NewID(17)
		learn(table, []Fact{l, stops(0, bridge, "mariadb.service"), begins(ms, 7, "stop", "mariadb.service")})
		x := told(explain(table, sends(4*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))), true)
		assert.Equal(t, 10, x.requester)
		assert.Equal(t, want, x.login, "leader %d", leader)
	}
}

// TestMachine has somebody ask systemd-machined to end a container.
func TestMachine(t *testing.T) {
	p := byRoot(10, "machinectl terminate web")
	machined := process(61, "/usr/lib/systemd/systemd-machined", 0, nobody, "/system.slice/systemd-machined.service")
	for name, tt := range map[string]struct {
		facts []Fact
		want  int
	}{
		"who asks machined":                 {[]Fact{connects(0, p)}, 10},
		"whose call of machined was seen":   {[]Fact{connects(0, p), stops(ms, machined, "machine-web.scope")}, 10},
		"only the call of machined is seen": {[]Fact{stops(ms, machined, "machine-web.scope")}, 61},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, p, machined)
			learn(table, append(tt.facts, begins(2*ms, 7, "stop", "machine-web.scope")))
			target := ofUnit(900, "systemd", "x")
			target.Instance.Cgroup = "/machine.slice/machine-web.scope/payload/init.scope"
			assert.Equal(t, tt.want, askedBy(explain(table, sends(4*ms, kill.SIGTERM, target))))
		})
	}
}

// TestStrangersAtADocker has programs ask Docker of which nobody knows what they ask for, beside one that names another container.
func TestStrangersAtADocker(t *testing.T) {
	const plugin, library = "/usr/libexec/docker/cli-plugins/docker-compose compose down", "/usr/bin/python3 /opt/autoheal.py"
	db := strings.Repeat("dbdb", 16)
	for name, tt := range map[string]struct {
		lines []string
		names bool
		want  int
	}{
		"docker compose":                          {[]string{plugin}, false, 10},
		"docker compose, names are known":         {[]string{plugin}, true, 10},
		"an older docker-compose":                 {[]string{"/usr/bin/docker-compose down"}, true, 10},
		"docker compose up":                       {[]string{"/usr/bin/docker-compose -p web up -d"}, true, 0},
		"docker compose up beside docker stop":    {[]string{"/usr/bin/docker-compose -p web up -d", "docker stop web"}, false, 0},
		"docker compose beside docker stop":       {[]string{plugin, "docker stop web"}, false, 0},
		"docker stop of another, names are known": {[]string{plugin, "docker stop web"}, true, 10},
		"a stranger":                              {[]string{library}, false, 0},
		"a stranger beside docker stop":           {[]string{library, "docker stop web"}, false, 0},
		"a stranger beside docker stop by name":   {[]string{library, "docker stop db"}, true, 11},
	} {
		t.Run(name, func(t *testing.T) {
			table := atDocker(tt.lines)
			target := ofUnit(900, "mysqld", "docker-"+db+".scope")
			target.Instance.Container = db
			if tt.names {
				target.Names = &kill.Names{Container: "db"}
			}
			e := sends(50*ms, kill.SIGTERM, target)
			e.Sender = *process(70, "/usr/bin/runc --root /run kill "+db+" 15", 0, nobody, "/system.slice/containerd.service", parent(99, "containerd-shim"))
			assert.Equal(t, tt.want, askedBy(explain(table, e)))
		})
	}
}

// TestNamespacesOfContainerd has ctr(1) ask for a container of the same name in another one of containerd's namespaces.
func TestNamespacesOfContainerd(t *testing.T) {
	for line, want := range map[string]int{
		"ctr -n test task kill web": 0, "ctr task kill web": 0, "ctr -n k8s.io task kill web": 10, "ctr --namespace=k8s.io task kill web": 10,
		"ctr -namespace k8s.io task kill web": 10,
	} {
		alice := process(10, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		containerd := process(50, "/usr/bin/containerd", 0, nobody, "/system.slice/containerd.service")
		table := New(Config{Processes: known{10: alice, 50: containerd}})
		f := connects(0, alice)
		f.Request.Manager, f.Request.Socket = 50, "/run/containerd/containerd.sock"
		learn(table, []Fact{f})
		e := sends(100*ms, kill.SIGTERM, ofUnit(900, "nginx", "containerd.service"))
		e.Sender = *process(70, "/usr/sbin/runc --root /run/containerd/runc/k8s.io --log x kill web 15", 0, nobody,
			"/system.slice/containerd.service", parent(99, "containerd-shim"))
		assert.Equal(t, want, askedBy(explain(table, e)), line)
	}
}

// TestNamespaceOfTheEnvironment has ctr(1) have the namespace from its environment, and name a container by its id.
func TestNamespaceOfTheEnvironment(t *testing.T) {
	id := strings.Repeat("abcd", 16)
	alice := process(10, "ctr task kill "+id, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	bob := process(11, "crictl stop "+id, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	containerd := process(50, "/usr/bin/containerd", 0, nobody, "/system.slice/containerd.service")
	for n, clients := range [][]*kill.Process{{alice}, {alice, bob}} {
		table := New(Config{Processes: known{10: alice, 11: bob, 50: containerd}})
		for _, client := range clients {
			f := connects(0, client)
			f.Request.Manager, f.Request.Socket = 50, "/run/containerd/containerd.sock"
			learn(table, []Fact{f})
		}
		e := sends(100*ms, kill.SIGTERM, ofUnit(900, "nginx", "containerd.service"))
		e.Sender = *process(70, "/usr/sbin/runc --root /run/containerd/runc/k8s.io --log x kill "+id+" 15", 0, nobody,
			"/system.slice/containerd.service", parent(99, "containerd-shim"))
		assert.Equal(t, []int{10, 0}[n], askedBy(explain(table, e)))
	}
}

// TestTimersByPath has cron run a program, from where distributions with one folder for all programs have it, and from where anybody may put one.
func TestTimersByPath(t *testing.T) {
	for executable, want := range map[string]bool{"/usr/sbin/crond": true, "/usr/bin/crond": true, "/home/bob/crond": false} {
		timer := process(70, executable+" -n", 0, nobody, "/system.slice/crond.service", parent(1, "/sbin/init"))
		table := tableOf(true, timer)
		e := sends(0, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
		e.Sender = *process(300, "pkill mariadbd", 0, 1000, "/system.slice/crond.service", script, parent(70, executable+" -n"))
		explain(table, e)
		assert.Equal(t, want, e.Behind != nil && e.Behind.Session != nil && e.Behind.Session.Service == "crond", executable)
	}
}
