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

// TestContainers stops containers by several clients.
func TestContainers(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	runtime := func(pid int, shim string) *kill.Process {
		p := process(pid, "/usr/bin/runc --root /run kill "+id+" 15", 0, nobody, "/system.slice/containerd.service", parent(99, shim))
		p.Ancestry[0].Command = "containerd-shim"
		return p
	}
	client := func(pid int, line string) *kill.Process {
		return process(pid, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	}
	asks := func(at time.Duration, p *kill.Process, socket string) Fact {
		f := connects(at, p)
		f.Request.Manager, f.Request.Socket = 50, socket
		return f
	}
	const containerd, docker = "/run/containerd/containerd.sock", "/run/docker.sock"
	byName, byID := client(10, "docker stop web"), client(11, "ctr task kill "+id)
	other, lists := client(12, "docker stop db"), client(13, "docker ps")
	elsewhere := client(14, "ctr task kill "+strings.Repeat("f", 64))
	dockerd := process(50, "/usr/sbin/dockerd", 0, nobody, "/system.slice/docker.service")
	toAnother := func(f Fact) Fact { f.Request.Manager = 51; return f }
	tests := map[string]struct {
		facts []Fact
		by    *kill.Process
		want  expected
	}{
		"by its id": {
			facts: []Fact{asks(0, other, docker), asks(0, byID, containerd)}, by: runtime(70, "/usr/bin/containerd-shim-runc-v2"),
			want: expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceInferred, requester: 11, login: 1000},
		},
		"by a name": {
			facts: []Fact{asks(0, byName, docker), asks(0, lists, docker), asks(0, elsewhere, containerd)},
			by:    runtime(70, "/usr/bin/containerd-shim-runc-v2"),
			want:  expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceInferred, requester: 10, login: 1000},
		},
		"over a socket of another name": {
			facts: []Fact{asks(0, byName, "/srv/d.sock"), toAnother(asks(0, other, "/run/supervisor.sock"))},
			by:    runtime(70, "/usr/bin/containerd-shim-runc-v2"),
			want:  expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceInferred, requester: 10, login: 1000},
		},
		"by one of two names": {
			facts: []Fact{asks(0, byName, docker), asks(0, other, docker)}, by: runtime(70, "/usr/bin/containerd-shim-runc-v2"),
			want: expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, candidates: 2, login: nobody},
		},
		"by nobody who is known": {
			by:   runtime(70, "/usr/bin/containerd-shim-runc-v2"),
			want: expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, login: nobody},
		},
		"by hand": {
			facts: []Fact{asks(0, byName, docker)},
			by:    process(70, "/usr/bin/runc kill "+id, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", parent(95, "sudo runc"), bash, sshd),
			want:  expected{initiator: 95, login: 1000, unmanaged: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			processes := known{}
			for _, p := range []*kill.Process{byName, byID, other, lists, elsewhere, dockerd} {
				processes[p.PID] = p
			}
			table := New(Config{Processes: processes})
			learn(table, tt.facts)
			e := sends(100*ms, kill.SIGTERM, ofUnit(900, "nginx", "containerd.service"))
			e.Sender = *tt.by
			settled := table.Explain(e)
			assert.Equal(t, tt.want, told(e, settled))
		})
	}
}

// TestContainersOfCtr has clients that know containers by their ids only.
func TestContainersOfCtr(t *testing.T) {
	client := func(pid int, line string) *kill.Process {
		return process(pid, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	}
	processes := known{50: process(50, "/usr/bin/containerd", 0, nobody, "/system.slice/containerd.service")}
	runs := 0
	asks := func(at time.Duration, pid int, line string) Fact {
		p := client(pid, line)
		processes[pid] = p
		f := connects(at, p)
		f.Request.Manager, f.Request.Socket = 50, "/run/containerd/containerd.sock"
		return f
	}
	ends := func(table *Table, at time.Duration, signal kill.Signal) (expected, *kill.Event) {
		runs++
		runc := process(70+runs, "/usr/sbin/runc --root /run kill web 15", 0, nobody, "/system.slice/containerd.service", parent(99, "containerd-shim"))
		web := ofUnit(900, "nginx", "containerd.service")
		web.Instance.Start = after(0)
		e := sends(at, signal, web)
		e.Sender = *runc
		settled := table.Explain(e)
		return told(e, settled), e
	}
	unasked := expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceObserved, login: nobody}
	asked := func(by int) expected {
		return expected{cause: kill.CauseContainerStop, evidence: kill.EvidenceInferred, requester: by, login: 1000}
	}
	tests := map[string]struct {
		facts  []Fact
		signal kill.Signal
		want   expected
	}{
		"its id":               {[]Fact{asks(ms, 10, "ctr task kill web")}, kill.SIGTERM, asked(10)},
		"another id":           {[]Fact{asks(ms, 11, "ctr task kill db")}, kill.SIGTERM, unasked},
		"how its id begins":    {[]Fact{asks(ms, 12, "ctr task kill we")}, kill.SIGTERM, unasked},
		"before it was there":  {[]Fact{asks(-ms, 13, "ctr task kill web")}, kill.SIGTERM, unasked},
		"another signal":       {[]Fact{asks(ms, 14, "ctr task kill -s HUP web")}, kill.SIGTERM, unasked},
		"one of two signals":   {[]Fact{asks(ms, 14, "ctr task kill -s HUP web"), asks(ms, 15, "ctr task kill -s KILL web")}, kill.SIGKILL, asked(15)},
		"all of its processes": {[]Fact{asks(ms, 16, "ctr task kill -a web")}, kill.SIGTERM, asked(16)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: processes})
			learn(table, tt.facts)
			got, _ := ends(table, 100*ms, tt.signal)
			assert.Equal(t, tt.want, got)
		})
	}
	t.Run("one after the other", func(t *testing.T) {
		table := New(Config{Processes: processes})
		learn(table, []Fact{asks(ms, 20, "ctr task kill web")})
		got, _ := ends(table, 100*ms, kill.SIGTERM)
		assert.Equal(t, asked(20), got)
		learn(table, []Fact{asks(200*ms, 21, "ctr task kill -s KILL web")})
		got, _ = ends(table, 300*ms, kill.SIGKILL)
		assert.Equal(t, asked(21), got, "the first one has sent his signal")
	})
	t.Run("two who wait", func(t *testing.T) {
		table := New(Config{Processes: processes})
		learn(table, []Fact{asks(ms, 30, "nerdctl stop web")})
		got, _ := ends(table, 100*ms, kill.SIGTERM)
		assert.Equal(t, asked(30), got)
		learn(table, []Fact{asks(8*time.Second, 31, "nerdctl stop web")})
		got, _ = ends(table, 8*time.Second+ms, kill.SIGTERM)
		assert.Equal(t, asked(31), got)
		got, e := ends(table, 15*time.Second, kill.SIGKILL)
		assert.Equal(t, 2, got.candidates, "it is the end of the patience of one of them")
		assert.Nil(t, e.Behind.Requester)
	})
}

// TestContainersWithNames stops containers whose names the host knows, while others ask for containers that have ended.
func TestContainersWithNames(t *testing.T) {
	id := strings.Repeat("0e2e", 16)
	tests := map[string]struct {
		lines []string
		want  int
	}{
		"its name":                       {[]string{"docker stop web"}, 10},
		"how its id begins":              {[]string{"docker stop 0e2e0e2e"}, 10},
		"one that has ended":             {[]string{"docker stop db"}, 0},
		"one that has ended, and by id":  {[]string{"docker stop " + strings.Repeat("f", 64)}, 0},
		"one that has ended, and it":     {[]string{"docker stop db", "docker stop web"}, 11},
		"it, and one that has ended":     {[]string{"docker stop web", "docker rm -f db"}, 10},
		"both":                           {[]string{"docker kill -s TERM db web"}, 10},
		"a service of compose":           {[]string{"docker compose stop frontend"}, 10},
		"all of compose":                 {[]string{"docker compose down"}, 10},
		"a pod":                          {[]string{"podman pod stop shop"}, 10},
		"a name that is only its begin":  {[]string{"docker stop we"}, 0},
		"a client that knows only ids":   {[]string{"ctr task kill web"}, 0},
		"a name of another one's client": {[]string{"ctr task kill web", "docker stop web"}, 11},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := atDocker(tt.lines)
			web := ofUnit(900, "nginx", "docker-"+id+".scope")
			web.Instance.Container, web.Names = id, &kill.Names{Container: "web"}
			e := sends(100*ms, kill.SIGTERM, web)
			e.Sender = *process(70, "/usr/bin/runc --root /run kill "+id+" 15", 0, nobody, "/system.slice/containerd.service", parent(99, "containerd-shim"))
			assert.Equal(t, tt.want, askedBy(explain(table, e)))
			assert.Equal(t, kill.CauseContainerStop, e.Cause)
		})
	}
}

// TestContainersOfUsers has users run containers without root, and programs that are only called like that.
func TestContainersOfUsers(t *testing.T) {
	const mine, line = 1000, "/usr/bin/podman stop web"
	tests := map[string]struct {
		parent *kill.Process
		by     int
	}{
		"podman":                    {process(60, line, mine, mine, "/user.slice/user-1000.slice/session-17.scope", bash, sshd), 60},
		"podman of somebody else":   {process(60, line, 1001, 1001, "/x", bash, sshd), 0},
		"podman that ends nothing":  {process(60, "/usr/bin/podman ps", mine, mine, "/x", bash, sshd), 0},
		"a runtime of another kind": {process(60, "/usr/bin/containerd-shim-runc-v2 kill", mine, mine, "/x", bash, sshd), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := New(Config{Processes: known{60: tt.parent}})
			e := sends(100*ms, kill.SIGTERM, ofUnit(900, "nginx", "session-17.scope"))
			e.Sender = *process(70, "/usr/bin/crun kill 0e2e TERM", mine, mine, "/x", parent(60, line), bash, sshd)
			e.Sender.Ancestry[0].Command = tt.parent.Command
			assert.Equal(t, tt.by, askedBy(explain(table, e)))
			if tt.by == 0 {
				assert.Equal(t, kill.CauseNone, e.Cause)
				return
			}
			assert.Equal(t, kill.CauseContainerStop, e.Cause)
			assert.Equal(t, kill.EvidenceInferred, e.Behind.Evidence, "anybody can give programs these names")
			assert.Equal(t, kill.NewID(mine), e.Behind.User.ID)
		})
	}
}

// TestClientsThatHaveLeft has clients get their answer, and end, before a manager signals something: they have not asked for
// that.
func TestClientsThatHaveLeft(t *testing.T) {
	id := strings.Repeat("0e2e", 16)
	runc := process(70, "/usr/bin/runc --root /run kill "+id+" 15", 0, nobody, "/system.slice/containerd.service", parent(99, "containerd-shim"))
	supervisord := process(50, "/usr/bin/python3 /usr/bin/supervisord", 0, nobody, "/system.slice/supervisor.service")
	const inTime, late = 200 * ms, 50 * ms
	tests := map[string]struct {
		line, socket string
		left         time.Duration
		sender       *kill.Process
		want         int
	}{
		"docker stop":                {"docker stop web", "/run/docker.sock", inTime, runc, 10},
		"docker stop of one ended":   {"docker stop web", "/run/docker.sock", late, runc, 0},
		"ctr task kill of one ended": {"ctr task kill " + id, "/run/containerd/containerd.sock", late, runc, 0},
		"supervisorctl stop":         {"supervisorctl stop web", "/run/supervisor.sock.50", inTime, supervisord, 10},
		"supervisorctl stop of one":  {"supervisorctl stop web", "/run/supervisor.sock.50", late, supervisord, 0},
		"which only asks for it":     {"supervisorctl shutdown", "/run/supervisor.sock.50", late, supervisord, 10},
		"a client of one's own":      {"python3 /opt/client.py", "/run/ops.sock", late, supervisord, 10},
	}
	t.Run("which was interrupted, beside another one", func(t *testing.T) {
		alice := process(10, "docker stop web", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		bob := process(11, "docker stop db", 0, 1001, "/user.slice/user-1001.slice/session-18.scope", bash, sshd)
		table := New(Config{Processes: endings{known{10: alice, 11: bob, 50: supervisord}, map[int]time.Time{10: after(late)}}})
		for i, p := range []*kill.Process{alice, bob} {
			f := connects(time.Duration(i)*ms, p)
			f.Request.Manager, f.Request.Socket = 50, "/run/docker.sock"
			learn(table, []Fact{f})
		}
		e := sends(100*ms, kill.SIGTERM, ofUnit(900, "web", "docker-"+id+".scope"))
		e.Sender = *runc
		assert.Zero(t, askedBy(explain(table, e)), "the runtime may go on")
		assert.Equal(t, 2, e.Behind.Candidates)
	})
	t.Run("which was interrupted while the manager is patient", func(t *testing.T) {
		alice := process(10, "docker stop web", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		table := New(Config{Processes: endings{known{10: alice, 50: supervisord}, map[int]time.Time{10: after(time.Second)}}})
		f := connects(0, alice)
		f.Request.Manager, f.Request.Socket = 50, "/run/docker.sock"
		learn(table, []Fact{f})
		for _, each := range []struct {
			at     time.Duration
			signal kill.Signal
		}{{100 * ms, kill.SIGTERM}, {10 * time.Second, kill.SIGKILL}} {
			e := sends(each.at, each.signal, ofUnit(900, "web", "docker-"+id+".scope"))
			e.Sender = *runc
			assert.Equal(t, 10, askedBy(explain(table, e)))
		}
	})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			alice := process(10, tt.line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
			table := New(Config{Processes: endings{known{10: alice, 50: supervisord}, map[int]time.Time{10: after(tt.left)}}})
			f := connects(10*ms, alice)
			f.Request.Manager, f.Request.Socket = 50, tt.socket
			learn(table, []Fact{f})
			e := sends(100*ms, kill.SIGTERM, ofUnit(900, "web", "docker-"+id+".scope"))
			e.Sender = *tt.sender
			assert.Equal(t, tt.want, askedBy(explain(table, e)))
		})
	}
}

// TestSupervisor stops programs of a supervisord, which goes on until they have ended.
func TestSupervisor(t *testing.T) {
	supervisor := process(50, "/usr/bin/python3 /usr/bin/supervisord", 0, nobody, "/system.slice/supervisor.service")
	processes := known{}
	table := New(Config{Processes: processes})
	asks := func(at time.Duration, pid int, line string) {
		client := process(pid, "/usr/bin/python3 /usr/bin/supervisorctl "+line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		processes[pid] = client
		f := connects(at, client)
		f.Request.Manager, f.Request.Socket = 50, "/run/supervisor.sock.50"
		again := f.Request.Time.Add(ms / 2) // supervisorctl asks for the state first
		for f.Request.Time = after(at); !f.Request.Time.After(again); f.Request.Time = f.Request.Time.Add(ms / 2) {
			one := *f.Request
			table.Learn(&Fact{Request: &one})
		}
	}
	ends := func(at time.Duration, signal kill.Signal, pid int) expected {
		e := sends(at, signal, ofUnit(pid, "mysqld", "supervisor.service"))
		e.Sender = *supervisor
		settled := table.Explain(e)
		return told(e, settled)
	}
	asked := func(cause kill.Cause, by int) expected {
		return expected{cause: cause, evidence: kill.EvidenceInferred, requester: by, login: 1000}
	}
	asks(0, 10, "stop mysqld")
	assert.Equal(t, asked(kill.CauseServiceStop, 10), ends(10*ms, kill.SIGTERM, 900))
	assert.Equal(t, expected{login: nobody}, ends(20*ms, kill.SIGTERM, 901), "it has named one program")
	assert.Equal(t, asked(kill.CauseStopTimeout, 10), ends(10*time.Second+10*ms, kill.SIGKILL, 900))
	assert.Equal(t, expected{login: nobody}, ends(20*time.Second, kill.SIGTERM, 901), "nobody has asked for this one")

	asks(30*time.Second, 11, "signal HUP mysqld")
	assert.Equal(t, expected{login: nobody}, ends(30*time.Second+ms, kill.SIGTERM, 902), "it has asked for another signal")
	assert.Equal(t, asked(kill.CauseServiceKill, 11), ends(30*time.Second+2*ms, kill.SIGHUP, 902))

	asks(40*time.Second, 12, "shutdown")
	for pid := 903; pid < 906; pid++ {
		at := 40*time.Second + time.Duration(pid-903)*4*time.Second // one after the other
		assert.Equal(t, asked(kill.CauseServiceStop, 12), ends(at+2*ms, kill.SIGTERM, pid), "the host goes on")
	}
	asks(90*time.Second, 13, "restart all")
	for pid := 906; pid < 909; pid++ {
		assert.Equal(t, asked(kill.CauseServiceRestart, 13), ends(90*time.Second+2*ms, kill.SIGTERM, pid))
	}
}

// TestOwnManager has programs of which nobody knows what they ask for connect to a manager of one's own.
func TestOwnManager(t *testing.T) {
	manager := process(50, "/usr/bin/python3 /opt/manager.py", 0, nobody, "/system.slice/manager.service")
	asked := func(by int) expected {
		return expected{evidence: kill.EvidenceInferred, requester: by, login: 1000}
	}
	tests := map[string]struct {
		connects []time.Duration
		line     string
		want     expected
	}{
		"right before":         {[]time.Duration{0}, "python3 /opt/client.py stop %", asked(10)},
		"long before":          {[]time.Duration{-time.Second}, "python3 /opt/client.py stop %", expected{login: nobody}},
		"again and again":      {[]time.Duration{-3 * time.Second, -2 * time.Second, -time.Second, 0}, "python3 /opt/exporter.py", expected{login: nobody}},
		"two at the same time": {[]time.Duration{0, ms}, "python3 /opt/client.py stop %", expected{candidates: 2, login: nobody}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			processes := known{}
			table := New(Config{Processes: processes})
			for i, at := range tt.connects {
				line := strings.ReplaceAll(tt.line, "%", strings.Repeat("x", i))
				client := process(10+i, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
				processes[client.PID] = client
				f := connects(at, client)
				f.Request.Manager, f.Request.Socket = 50, "/run/ops.sock"
				table.Learn(&f)
			}
			e := sends(100*ms, kill.SIGTERM, ofUnit(900, "worker", "manager.service"))
			e.Sender = *manager
			settled := table.Explain(e)
			assert.Equal(t, tt.want, told(e, settled))
		})
	}
}
