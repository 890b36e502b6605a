// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// start is when the stories begin.
var start = time.Unix(1_800_000_000, 0)

// after returns a time of a story.
func after(d time.Duration) time.Time { return start.Add(d) }

const ms = time.Millisecond

// known is a table of processes.
type known map[int]*kill.Process

func (k known) Complete(p *kill.Process, _ time.Time) bool {
	found := k[p.PID]
	if found == nil {
		return false
	}
	user := p.User
	*p = *found
	if user.ID.Known {
		p.User = user
	}
	return true
}

func (k known) Titled(p *kill.Process, _ []kill.Ancestor) []kill.Ancestor { return p.Ancestry }

func (k known) LeftBefore(*kill.Process, time.Time) bool { return false }

// endings are processes of which it is known when they end, by their pids.
type endings struct {
	known
	at map[int]time.Time
}

func (l endings) LeftBefore(p *kill.Process, at time.Time) bool {
	end, ended := l.at[p.PID]
	return ended && end.Before(at)
}

func (k known) Programs() uint64 { return 0 }

func (k known) Begun(*kill.Process) (kill.ID, bool) { return kill.ID{}, false }

// Opening returns an sshd, which lets all users in.
func (k known) Opening(*kill.Process) (kill.Opening, bool) {
	root := kill.User{ID: kill.NewID(0)}
	return kill.Opening{By: kill.Process{PID: 80, Executable: "/usr/sbin/sshd", RealUser: root}}, true
}

// words returns a command line.
func words(line string) string { return strings.ReplaceAll(line, " ", "\x00") }

// process makes a process that runs a command line, by a user who has logged in as another one.
func process(pid int, line string, user, login uint32, cgroup string, parents ...kill.Ancestor) *kill.Process {
	title := words(line)
	executable := strings.Split(line, " ")[0]
	if !strings.HasPrefix(executable, "/") {
		executable = "/usr/bin/" + executable
	}
	p := &kill.Process{
		PID: pid, Command: path.Base(executable), Executable: executable, Title: title,
		User: kill.User{ID: kill.NewID(user)}, Login: kill.User{ID: kill.NewID(login)},
		Instance: &kill.Instance{SinceBoot: time.Duration(pid) * time.Second, CommandLine: title, Cgroup: cgroup},
		Home:     kill.Home{Users: kill.WhoseHost, Program: kill.WhoseHost, PIDs: kill.WhoseHost},
		Ancestry: parents,
	}
	if login != nobody {
		p.Session = kill.NewID(17)
	}
	return p
}

// nobody is the login user of what nobody has started.
const nobody = ^uint32(0)

func parent(pid int, line string) kill.Ancestor {
	return kill.Ancestor{PID: pid, Command: path.Base(strings.TrimPrefix(strings.Split(line, " ")[0], "-")), Title: words(line)}
}

var (
	bash   = parent(90, "-bash")
	sshd   = parent(80, "sshd: alice@pts/0")
	script = parent(91, "/bin/sh /root/cleanup.sh")
	cron   = parent(70, "/usr/sbin/cron -f")
)

// ofHost is the host's systemd.
var ofHost = kill.Process{
	PID: 1, Command: "systemd", Executable: "/usr/lib/systemd/systemd", User: kill.User{ID: kill.NewID(0)},
	Instance: &kill.Instance{Cgroup: "/init.scope"}, Home: kill.Home{Program: kill.WhoseHost},
}

func ofUnit(pid int, name, unit string) kill.Process {
	cgroup := "/system.slice/" + unit
	if strings.HasPrefix(unit, "session-") {
		cgroup = "/user.slice/user-1000.slice/" + unit
	}
	return kill.Process{PID: pid, Command: name, Instance: &kill.Instance{SinceBoot: time.Duration(pid) * time.Second, Cgroup: cgroup}}
}

// sends is a signal of the host's systemd.
func sends(at time.Duration, signal kill.Signal, to kill.Process) *kill.Event {
	return &kill.Event{
		Kind: kill.KindSignal, Origin: kill.OriginUser, Time: after(at), Signal: signal, SignalKnown: true, Sender: ofHost,
		Targets: []kill.Process{to}, TargetCount: 1,
	}
}

func connects(at time.Duration, p *kill.Process) Fact {
	return Fact{Request: &Request{
		Time: after(at), Manager: 1, Socket: "/run/systemd/private",
		Requester: kill.Process{PID: p.PID, User: p.User, Instance: p.Instance},
	}}
}

// stops is a call to stop a unit.
func stops(at time.Duration, p *kill.Process, unit string) Fact {
	f := connects(at, p)
	f.Request.Socket, f.Request.Call = "", &Call{Member: "StopUnit", Object: unit}
	return f
}

// sendsCall is a call that was read from what a process has sent.
func sendsCall(at time.Duration, p *kill.Process) Fact {
	f := stops(at, p, "mariadb.service")
	f.Request.Socket = "/run/dbus/system_bus_socket"
	return f
}

func begins(at time.Duration, id uint32, kind, unit string) Fact {
	return Fact{Job: &Job{Time: after(at), Manager: 1, ID: id, Type: kind, Unit: unit}}
}

func done(at time.Duration, id uint32, unit string) Fact {
	return Fact{Job: &Job{Time: after(at), Manager: 1, ID: id, Unit: unit, Done: true, Result: "done"}}
}

func enters(at time.Duration, unit, active, sub, result string) Fact {
	return Fact{Unit: &Unit{
		Time: after(at), Manager: 1, Name: unit, Active: active, Sub: sub, Result: result,
		Main: 77, StopTimeout: 90 * time.Second, StartTimeout: 90 * time.Second, RuntimeLimit: time.Hour, Watchdog: 30 * time.Second,
	}}
}

// depends tells because of which units another one may be stopped.
func depends(unit string, bases ...string) Fact {
	return Fact{Unit: &Unit{Time: after(0), Manager: 1, Name: unit, Bases: bases}}
}

// excludes tells because of whose start a unit may be stopped.
func excludes(unit string, rivals ...string) Fact {
	return Fact{Unit: &Unit{Time: after(0), Manager: 1, Name: unit, Rivals: rivals}}
}

func login(manager int, id string, user uint32, name, address string) Fact {
	return Fact{Login: &Login{
		Time: start.Add(-time.Hour), Manager: manager, User: kill.User{ID: kill.NewID(user), Name: name},
		Session: kill.Session{ID: id, Service: "sshd", TTY: "pts/0", UserName: name, Address: address},
	}}
}

// expected is what an event should say.
type expected struct {
	cause      kill.Cause
	evidence   kill.Evidence
	requester  int
	initiator  int
	candidates int
	login      uint32
	address    string
	named      string
	unsettled  bool
	unmanaged  bool
}

func learn(t *Table, facts []Fact) {
	for i := range facts {
		t.Learn(&facts[i])
	}
}

// told returns what an event says.
func told(e *kill.Event, settled bool) expected {
	x := expected{cause: e.Cause, unsettled: !settled, login: nobody}
	b := e.Behind
	if b == nil {
		return x
	}
	x.evidence, x.candidates, x.named, x.unmanaged = b.Evidence, b.Candidates, b.Named, !b.Managed
	if b.Requester != nil {
		x.requester = b.Requester.PID
	}
	if b.Initiator != nil {
		x.initiator = b.Initiator.PID
	}
	if b.User.ID.Known {
		x.login = b.User.ID.Value
	}
	if b.Session != nil {
		x.address = b.Session.Address
	}
	return x
}

// atDocker returns a table to which programs were told that have connected to Docker, one after the other, as processes 10, 11, and so on.
func atDocker(lines []string) *Table {
	processes := known{50: process(50, "/usr/sbin/dockerd", 0, nobody, "/system.slice/docker.service")}
	table := New(Config{Processes: processes})
	for i, line := range lines {
		client := process(10+i, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
		processes[client.PID] = client
		f := connects(time.Duration(i)*ms, client)
		f.Request.Manager, f.Request.Socket = 50, "/run/docker.sock"
		table.Learn(&f)
	}
	return table
}
