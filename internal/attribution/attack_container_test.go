// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// These are stories in which users and the root of containers try to have others named.

// systemdIn makes a systemd that is not the host's.
func systemdIn(pid int, cgroup string, user uint32, program kill.Whose) *kill.Process {
	return &kill.Process{
		PID: pid, Command: "systemd", Executable: "/usr/lib/systemd/systemd", User: kill.User{ID: kill.NewID(user)},
		Instance: &kill.Instance{SinceBoot: time.Duration(pid) * time.Second, Cgroup: cgroup + "/init.scope"},
		Home:     kill.Home{Program: program},
	}
}

const userManager = "/user.slice/user-1001.slice/user@1001.service"

func TestSystemds(t *testing.T) {
	for name, tt := range map[string]struct {
		of   *kill.Process
		want manager
	}{
		"a user's": {
			systemdIn(50, userManager, 1001, kill.WhoseHost),
			manager{pid: 50, start: 50 * time.Second, root: userManager, owner: kill.NewID(1001), personal: true},
		},
		"one that a user has put elsewhere": {
			systemdIn(50, userManager+"/fake", 1001, kill.WhoseHost),
			manager{pid: 50, start: 50 * time.Second, root: userManager + "/fake", owner: kill.NewID(1001), personal: true},
		},
		"one of which little is known": {
			systemdIn(50, userManager+"/fake", 1001, kill.WhoseUnknown),
			manager{pid: 50, start: 50 * time.Second, root: userManager + "/fake", owner: kill.NewID(1001), personal: true},
		},
		"a container's": {
			systemdIn(50, "/machine.slice/box", 100000, kill.WhoseOther),
			manager{pid: 50, start: 50 * time.Second, root: "/machine.slice/box", owner: kill.NewID(100000)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := systemdOf(tt.of)
			assert.True(t, ok)
			assert.Equal(t, tt.want, m)
		})
	}
}

// TestForgedSessions has users and containers claim the session of somebody else.
func TestForgedSessions(t *testing.T) {
	alice := login(0, "5", 1000, "alice", "10.0.0.5")
	box := "/machine.slice/box"
	claims := login(50, "5", 1000, "alice", "10.6.6.6")
	claims.Login.Manager = 50
	tests := map[string]struct {
		cgroup         string
		login, session uint32
		want           string
		target         string // if it is in the container
	}{
		"her own":                               {"/user.slice/user-1000.slice/session-5.scope", nobody, nobody, "10.0.0.5", ""},
		"below her own":                         {"/user.slice/user-1000.slice/session-5.scope/x", nobody, nobody, "10.0.0.5", ""},
		"by the kernel's number":                {"/system.slice/x.service", 1000, 5, "10.0.0.5", ""},
		"of somebody else who has the number":   {"/system.slice/x.service", 1001, 5, "", ""},
		"a scope of another user":               {"/user.slice/user-1001.slice/session-5.scope", nobody, nobody, "", ""},
		"a scope below another one":             {"/user.slice/user-1001.slice/user@1001.service/app.slice/session-5.scope", nobody, nobody, "", ""},
		"a scope of a container's":              {"/machine.slice/other/user.slice/user-1000.slice/session-5.scope", nobody, nobody, "", ""},
		"a scope anywhere":                      {"/system.slice/docker-1.scope/session-5.scope", nobody, nobody, "", ""},
		"a container that says so of its own":   {box + "/user.slice/user-1000.slice/session-5.scope", nobody, nobody, "10.6.6.6", box + "/system.slice/web.service"},
		"a container that signals outside":      {box + "/user.slice/user-1000.slice/session-5.scope", nobody, nobody, "", ""},
		"a container that says so of a login":   {box + "/user.slice/user-1000.slice/session-5.scope", 1000, 5, "10.0.0.5", ""},
		"a container that says so of a service": {box + "/system.slice/x.service", 1000, 5, "10.0.0.5", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, systemdIn(50, box, 0, kill.WhoseOther))
			table.Follow(50, true, false)
			learn(table, []Fact{alice, claims})
			p := process(300, "/usr/bin/pkill x", 0, tt.login, tt.cgroup, bash, sshd)
			p.Session = kill.NewID(tt.session)
			e := sends(0, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
			if tt.target != "" {
				e.Targets[0].Instance = &kill.Instance{Cgroup: tt.target}
			}
			e.Sender = *p
			explain(table, e)
			if tt.want == "" {
				assert.True(t, e.Behind == nil || e.Behind.Session == nil, "%+v", e.Behind)
				return
			}
			assert.Equal(t, tt.want, e.Behind.Session.Address)
		})
		t.Run(name+", by the kernel", func(t *testing.T) {
			table := tableOf(true, systemdIn(50, box, 0, kill.WhoseOther))
			table.Follow(50, true, false)
			learn(table, []Fact{alice, claims})
			e := sends(0, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
			e.Sender, e.Origin, e.Cause = *process(300, "/bin/sh", 0, tt.login, tt.cgroup, bash, sshd), kill.OriginKernel, kill.CauseCgroupKill
			e.Sender.Session = kill.NewID(tt.session)
			table.Explain(e)
			assert.False(t, e.Behind != nil && e.Behind.Session != nil && e.Behind.Session.Address == "10.6.6.6", "it reaches outside")
		})
	}
}

// TestForgedUnits has a user's systemd end units that have names as those of logins.
func TestForgedUnits(t *testing.T) {
	for _, unit := range []string{"session-5.scope", "user@1000.service", "user@0.service"} {
		table := tableOf(true, systemdIn(50, userManager, 1001, kill.WhoseHost))
		table.Follow(50, true, false)
		job := begins(0, 7, "stop", unit)
		job.Job.Manager = 50
		learn(table, []Fact{login(0, "5", 1000, "alice", "10.0.0.5"), job})
		e := sends(ms, kill.SIGTERM, kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: userManager + "/app.slice/" + unit}})
		e.Sender = *systemdIn(50, userManager, 1001, kill.WhoseHost)
		explain(table, e)
		assert.Equal(t, kill.CauseServiceStop, e.Cause)
		assert.Equal(t, kill.User{}, e.Behind.User)
		assert.Nil(t, e.Behind.Session)
	}
	table := tableOf(true, systemdIn(50, "/machine.slice/box", 0, kill.WhoseOther))
	table.Follow(50, true, false)
	job := begins(0, 7, "stop", "user@1000.service")
	job.Job.Manager = 50
	learn(table, []Fact{job})
	e := sends(ms, kill.SIGTERM, kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: "/machine.slice/box/user.slice/user-1000.slice/user@1000.service"}})
	e.Sender = *systemdIn(50, "/machine.slice/box", 0, kill.WhoseOther)
	explain(table, e)
	assert.Equal(t, kill.User{}, e.Behind.User, "that is another user than the host's")
}

// TestHiding has a user's own systemd signal what it does not manage: then the user is named.
func TestHiding(t *testing.T) {
	table := tableOf(true)
	e := sends(0, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
	e.Sender = *systemdIn(50, userManager, 1001, kill.WhoseHost)
	e.Sender.Login, e.Sender.Session = kill.User{ID: kill.NewID(1001)}, kill.NewID(18)
	learn(table, []Fact{login(0, "18", 1001, "bob", "10.0.0.6")})
	assert.True(t, table.Explain(e))
	assert.False(t, e.Behind.Managed)
	assert.Equal(t, "10.0.0.6", e.Behind.Session.Address)
}

// TestAnotherSystemd gives the pid of a container's systemd to that of another one.
func TestAnotherSystemd(t *testing.T) {
	alice := byRoot(10, "systemctl stop web")
	first, second := systemdIn(50, "/machine.slice/a", 0, kill.WhoseOther), systemdIn(50, "/machine.slice/b", 0, kill.WhoseOther)
	second.Instance.SinceBoot = time.Hour
	processes := known{10: alice, 50: first}
	table := New(Config{Processes: processes})
	table.Follow(50, true, false)
	job := begins(0, 7, "stop", "web.service")
	job.Job.Manager = 50
	learn(table, []Fact{job, login(50, "c1", 0, "root", "10.0.0.9"), {Shutdown: &Shutdown{Time: after(0), Manager: 50}}})
	table.Follow(50, false, false)
	processes[50] = second
	table.Follow(50, true, false)
	e := sends(time.Minute, kill.SIGTERM, kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: "/machine.slice/b/system.slice/web.service"}})
	e.Sender = *second
	explain(table, e)
	assert.Equal(t, "web.service", e.Behind.Unit)
	assert.Equal(t, kill.CauseNone, e.Cause)

	p := process(300, "pkill x", 0, nobody, "/machine.slice/b/user.slice/user-0.slice/session-c1.scope", bash, sshd)
	e.Sender = *p
	explain(table, e)
	assert.True(t, e.Behind == nil || e.Behind.Session == nil)
}

// TestRootOfContainers has the root of a container, who has another number outside, ask its systemd.
func TestRootOfContainers(t *testing.T) {
	for user, want := range map[uint32]int{100000: 10, 0: 10, 101000: 0} {
		p := process(10, "systemctl stop web", user, nobody, "/machine.slice/box/system.slice/ssh.service")
		table := tableOf(true, p, systemdIn(50, "/machine.slice/box", 100000, kill.WhoseOther))
		table.Follow(50, true, false)
		f, job := connects(0, p), begins(ms, 7, "stop", "web.service")
		f.Request.Manager, job.Job.Manager = 50, 50
		learn(table, []Fact{f, job})
		e := sends(2*ms, kill.SIGTERM, kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: "/machine.slice/box/system.slice/web.service"}})
		e.Sender = *systemdIn(50, "/machine.slice/box", 100000, kill.WhoseOther)
		assert.Equal(t, want, askedBy(explain(table, e)))
	}
}

// TestForgedRuntimes has programs that are no container runtime signal something while somebody stops a container,
// and daemons that are none of the host's listen where those do.
func TestForgedRuntimes(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	alice := process(10, "docker stop web", 1000, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	runtime := func(user uint32, program kill.Whose, container string) *kill.Process {
		p := process(70, "/usr/bin/runc kill "+id+" 15", user, nobody, "/system.slice/containerd.service", parent(99, "containerd-shim"))
		p.Home.Program, p.Instance.Container = program, container
		return p
	}
	daemon := func(user uint32, program kill.Whose, container string) *kill.Process {
		p := process(60, "/usr/bin/dockerd", user, nobody, "/system.slice/docker.service")
		p.Home.Program, p.Instance.Container = program, container
		return p
	}
	tests := map[string]struct {
		daemon, runtime *kill.Process
		want            int
	}{
		"the host's":                        {daemon(0, kill.WhoseHost, ""), runtime(0, kill.WhoseHost, ""), 10},
		"a user's runtime":                  {daemon(0, kill.WhoseHost, ""), runtime(1001, kill.WhoseHost, ""), 0},
		"a container's runtime":             {daemon(0, kill.WhoseHost, ""), runtime(0, kill.WhoseOther, "x"), 0},
		"a user's daemon":                   {daemon(1001, kill.WhoseOther, ""), runtime(0, kill.WhoseHost, ""), 0},
		"a container's daemon":              {daemon(0, kill.WhoseOther, "x"), runtime(0, kill.WhoseHost, ""), 0},
		"both of one container":             {daemon(0, kill.WhoseOther, "x"), runtime(0, kill.WhoseOther, "x"), 10},
		"a runtime in a container in there": {daemon(0, kill.WhoseOther, "x"), runtime(0, kill.WhoseOther, "y"), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, alice, tt.daemon)
			f := connects(0, alice)
			f.Request.Manager, f.Request.Socket = 60, "/run/docker.sock"
			learn(table, []Fact{f})
			e := sends(ms, kill.SIGTERM, kill.Process{PID: 900, Command: "web", Instance: &kill.Instance{Cgroup: "/docker/" + id}})
			if e.Targets[0].Instance.Container = id; tt.runtime.Instance.Container != "" {
				e.Targets[0].Instance.Container = "x" // the outermost one counts
			}
			e.Sender = *tt.runtime
			assert.Equal(t, tt.want, askedBy(explain(table, e)))
		})
	}
}

// TestForgedContainerStops has the root of a container call a program of his own runc, and its parent containerd-shim.
func TestForgedContainerStops(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	const box = "/machine.slice/box"
	in := func(cgroup, container string) kill.Process {
		return kill.Process{PID: 900, Command: "web", Instance: &kill.Instance{Cgroup: cgroup, Container: container}}
	}
	inner, other, host := in("/docker/x/docker/"+id, "x"), in("/docker/y", "y"), ofUnit(5932, "mariadbd", "mariadb.service")
	for name, tt := range map[string]struct {
		cgroup, container string
		targets           []kill.Process
		want              kill.Cause
	}{
		"a process of the host":              {"/docker/x", "x", []kill.Process{host}, kill.CauseNone},
		"another container":                  {"/docker/x", "x", []kill.Process{other}, kill.CauseNone},
		"a container in there":               {"/docker/x", "x", []kill.Process{inner}, kill.CauseContainerStop},
		"a container in there, and one more": {"/docker/x", "x", []kill.Process{inner, other}, kill.CauseNone},
		"below its systemd":                  {box + "/system.slice/docker.service", "", []kill.Process{in(box+"/docker/"+id, id)}, kill.CauseContainerStop},
		"not below its systemd":              {box + "/system.slice/docker.service", "", []kill.Process{host}, kill.CauseNone},
		"the container that it names":        {"/user.slice/x", "", []kill.Process{in("/user.slice/libpod-"+id, id)}, kill.CauseContainerStop},
		"not the container that it names":    {"/user.slice/x", "", []kill.Process{other}, kill.CauseNone},
		"nobody":                             {"/docker/x", "x", nil, kill.CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, systemdIn(50, box, 0, kill.WhoseOther))
			table.Follow(50, true, false)
			e := sends(0, kill.SIGKILL, kill.Process{})
			e.Targets = tt.targets
			e.Sender = *process(70, "/usr/bin/runc kill "+id+" 9", 0, nobody, tt.cgroup, parent(99, "containerd-shim"))
			e.Sender.Home.Program, e.Sender.Instance.Container = kill.WhoseOther, tt.container
			table.Explain(e)
			assert.Equal(t, tt.want, e.Cause)
		})
	}
}

// TestNoiseOfContainers has the root of a container, who is root outside as well, connect all the time.
func TestNoiseOfContainers(t *testing.T) {
	alice := byRoot(10, "systemctl stop mariadb")
	table := tableOf(true, alice)
	learn(table, []Fact{connects(0, alice)})
	noise := func(user uint32, container string) {
		p := *process(11, "systemctl stop mariadb", user, nobody, "/docker/x")
		p.Home.Program, p.Instance.Container = kill.WhoseOther, container
		f := connects(0, &p)
		f.Request.Requester, f.Request.Manager, f.Request.Socket = p, 700, "/run/docker.sock"
		for range 2 * maxRequests / maxRequesters {
			table.Learn(&f)
		}
	}
	for i := range uint32(2 * maxRequesters) {
		noise(0, "x")
		noise(i, "x")
		noise(0, strings.Repeat("x", int(i)))
	}
	assert.LessOrEqual(t, len(table.requests), maxRequesters)
	left := 0
	for _, of := range table.requests {
		left += len(of.all)
	}
	learn(table, []Fact{begins(ms, 7, "stop", "mariadb.service")})
	assert.Equal(t, 10, askedBy(explain(table, sends(2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))))
	assert.Equal(t, left-1, table.listeners[700], "all but hers")
}

// TestManagersAreForgotten makes room for systemds of which only audit records tell, and which root of a container may have
// invented.
func TestManagersAreForgotten(t *testing.T) {
	table := tableOf(true)
	table.Follow(50, true, false)
	for pid := range 3 * maxManagers {
		table.Learn(&Fact{Job: &Job{Time: after(0), Manager: 1000 + pid, Unit: "a.service", Type: "stop", Done: true}})
	}
	assert.Len(t, table.managers, maxManagers)
	assert.NotNil(t, table.managers[1])
	assert.NotNil(t, table.managers[50])
}

// TestUnitsOfMany has many systemds invent units. Each has its share.
func TestUnitsOfMany(t *testing.T) {
	table := tableOf(true)
	count := func(managers, each int) (all int) {
		for pid := range managers {
			for i := range each {
				f := begins(time.Duration(i)*ms, uint32(i+1), "stop", fmt.Sprintf("unit%d.service", i))
				f.Job.Manager = 1000 + pid
				table.Learn(&f)
			}
		}
		for pid, m := range table.managers {
			if pid != hostInit {
				all += len(m.units)
			}
		}
		return all
	}
	assert.Equal(t, 1000, count(1, 1000), "a container may have as many as a host")
	assert.LessOrEqual(t, count(100, 1000), maxOthersUnits+maxUnits)
}

// TestSocketActivation has somebody stop a container that is called as a unit. systemd listens for Docker.
func TestSocketActivation(t *testing.T) {
	docker, systemctl := byRoot(10, "docker stop mariadb"), byRoot(11, "systemctl stop mariadb")
	table := tableOf(true, docker, systemctl)
	f := connects(0, docker)
	f.Request.Socket = "/run/docker.sock"
	learn(table, []Fact{f, begins(ms, 7, "stop", "mariadb.service")})
	signal := sends(2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
	assert.Zero(t, askedBy(explain(table, signal)))
	learn(table, []Fact{connects(0, systemctl)})
	assert.Equal(t, 11, askedBy(explain(table, signal)))
}

// TestPodman has containers ended by Podman, which has no daemon, and by its service, which has clients.
func TestPodman(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	client := byRoot(12, "docker stop web")
	connected := connects(0, client)
	connected.Request.Manager, connected.Request.Socket = 10, "/run/podman/podman.sock"
	tests := map[string]struct {
		podman, executable string
		want               expected
	}{
		"itself": {"podman stop web", "/usr/bin/crun", expected{
			cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, requester: 10, initiator: 95, login: 1000,
		}},
		"a copy of crun": {"podman rm -f web", "/", expected{
			cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, requester: 10, initiator: 95, login: 1000,
		}},
		"a copy in memory": {"podman kill web", "/memfd:crun_cloned:/proc/self/exe", expected{
			cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, requester: 10, initiator: 95, login: 1000,
		}},
		"its service": {"podman system service", "/usr/bin/crun", expected{
			cause: kill.CauseContainerStop, evidence: kill.EvidenceInferred, requester: 12, initiator: 95, login: 1000,
		}},
		"another program": {"podman stop web", "/usr/bin/pkill", expected{initiator: 95, login: 1000, unmanaged: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			podman := byRoot(10, tt.podman)
			table := tableOf(true, podman, client)
			learn(table, []Fact{connected})
			e := sends(ms, kill.SIGTERM, kill.Process{PID: 900, Command: "web", Instance: &kill.Instance{Cgroup: "/machine.slice/libpod-" + id}})
			e.Sender = *process(70, tt.executable, 0, 1000, podman.Instance.Cgroup, append([]kill.Ancestor{parent(10, tt.podman)}, podman.Ancestry...)...)
			e.Sender.Executable, e.Sender.Command, e.Sender.Instance.CommandLine = tt.executable, "crun", words("/usr/bin/crun kill "+id+" 15")
			assert.Equal(t, tt.want, told(explain(table, e), true))
		})
	}
}
