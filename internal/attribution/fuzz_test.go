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

// chaos makes facts and events of bytes, as they could come from anybody.
type chaos struct {
	data []byte
	now  time.Duration
}

func (c *chaos) byte() byte {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b
}

// one returns one of some values.
func one[T any](c *chaos, values ...T) T { return values[int(c.byte())%len(values)] }

// at returns a time near the last one, or any.
func (c *chaos) at() time.Time {
	c.now += time.Duration(int8(c.byte())) * one(c, time.Millisecond, 10*time.Millisecond, time.Second, time.Hour)
	switch c.byte() {
	case 255:
		return time.Time{}
	case 254:
		return time.Unix(1<<62, 0)
	}
	return after(c.now)
}

func (c *chaos) unit() string {
	return one(c, "a.service", "b.service", "session-5.scope", "user@1000.service", "poweroff.target", "", "\xff", strings.Repeat("x", 300))
}

func (c *chaos) cgroup() string {
	return one(c, "/system.slice/", "/user.slice/user-1000.slice/", userManager+"/app.slice/", "/machine.slice/box/system.slice/", "//", "", "/machine.slice/box") +
		one(c, c.unit(), "init.scope", "", "..")
}

func (c *chaos) pid() int { return one(c, 0, 1, 2, 3, 50, 51, -1, 1<<31) }

func (c *chaos) id() kill.ID {
	return one(c, kill.ID{}, kill.NewID(0), kill.NewID(1000), kill.NewID(5), kill.NewID(1<<31))
}

func (c *chaos) title() string {
	return words(one(c, "systemctl ", "loginctl ", "docker ", "supervisorctl ", "shutdown ", "busctl call ", "", "sh -c ") +
		one(c, "stop ", "kill -s ", "restart ", "terminate-session ", "StopUnit ", "now", "") + one(c, c.unit(), "*", "5", "[", "--"))
}

func (c *chaos) process() kill.Process {
	p := kill.Process{
		PID: c.pid(), ParentPID: c.pid(), Command: one(c, "systemd", "systemctl", "sudo", "runc", "supervisord", ""),
		Executable: one(c, "/usr/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/runc", ""), Title: c.title(),
		User: kill.User{ID: c.id()}, Login: kill.User{ID: c.id()}, Session: c.id(),
	}
	p.Home.Program = one(c, kill.WhoseHost, kill.WhoseOther, kill.WhoseUnknown)
	if c.byte()%4 != 0 {
		p.Instance = &kill.Instance{SinceBoot: time.Duration(c.byte()), Cgroup: c.cgroup(), CommandLine: one(c, "", c.title())}
	}
	for range c.byte() % 3 {
		p.Ancestry = append(p.Ancestry, kill.Ancestor{PID: c.pid(), Command: one(c, "bash", "sshd", "containerd-shim", ""), Title: c.title()})
	}
	return p
}

func (c *chaos) fact() *Fact {
	f := &Fact{Node: one(c, "", "", "", "a", "b")}
	switch c.byte() % 9 {
	case 0:
		f.Request = &Request{Time: c.at(), Requester: c.process(), Manager: c.pid(), Socket: one(c, "", "/run/systemd/private", "/run/docker.sock", "/x/bus")}
		if c.byte()%2 == 0 {
			f.Request.Call = &Call{Member: one(c, "StopUnit", "KillUnit", "TerminateSession", "Reboot", ""), Object: c.unit(), Job: uint32(c.byte() % 8)}
		}
	case 1, 2:
		f.Job = &Job{Time: c.at(), Manager: c.pid(), ID: uint32(c.byte() % 8), Unit: c.unit(), Type: one(c, "", "stop", "start", "restart", "x")}
		f.Job.Done = c.byte()%3 == 0
		f.Job.Result = one(c, "", "done", "canceled")
	case 3:
		f.Unit = &Unit{
			Time: c.at(), Manager: c.pid(), Name: c.unit(), Active: one(c, "", "active", "inactive", "deactivating", "failed"), Sub: one(c, "", "stop-sigkill"),
			Result: one(c, "", "success", "timeout", "watchdog", "oom-kill"), Bases: []string{c.unit()}, Rivals: []string{c.unit()}, Names: []string{c.unit()},
			Main: c.pid(), MainExit: c.at(), StopTimeout: time.Duration(c.byte()),
		}
	case 4:
		f.Login = &Login{Time: c.at(), Manager: c.pid(), User: kill.User{ID: c.id()}, Leader: c.pid(), Session: kill.Session{ID: one(c, "5", "", "c1"), UserName: one(c, "", "alice")}}
	case 5:
		f.Logout = &Logout{Time: c.at(), Manager: c.pid(), ID: one(c, "5", "", "c1")}
	case 6:
		f.Shutdown = &Shutdown{Time: c.at(), Manager: c.pid(), Canceled: c.byte()%2 == 0}
	case 7:
		f.Pressure = &Pressure{Time: c.at(), Cgroup: c.cgroup(), Swap: c.byte()%2 == 0}
	case 8:
		f.Command = &Command{Time: c.at(), PID: c.pid(), Self: c.byte()%2 == 0, Title: c.title(), User: kill.User{ID: c.id()}, Login: kill.User{ID: c.id()}}
	}
	return f
}

func (c *chaos) event() *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Origin: kill.OriginUser, Time: c.at(), Signal: one(c, kill.SIGTERM, kill.SIGKILL, kill.SIGHUP, 0), SignalKnown: true,
		Sender: c.process(),
	}
	e.Audit.Node = one(c, "", "", "a")
	for range c.byte() % 3 {
		e.Targets = append(e.Targets, c.process())
	}
	return e
}

// explanation is what an event says that must not depend on how often it was explained.
func explanation(e *kill.Event) string { return fmt.Sprint(e.Cause, askedBy(e), e.Behind != nil) }

// FuzzTable tells facts and explains events in any order: nothing panics, everything is bounded, and what an event says
// makes sense.
func FuzzTable(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("any bytes will do, as long as there are many of them: 0123456789"))
	for seed := range byte(8) {
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(i*i)*31 + byte(i>>3)*17 + seed*59
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { driveTable(t, data) })
}

func driveTable(t *testing.T, data []byte) {
	t.Helper()
	c := &chaos{data: data}
	processes := known{}
	for range 4 {
		p := c.process()
		processes[p.PID] = &p
	}
	table := New(Config{
		Processes: processes, Local: func(node string) bool { return node == "b" },
		Session: func(manager int, id string) (Login, bool) { return Login{Session: kill.Session{ID: id}}, manager == 0 },
	})
	for len(c.data) > 0 {
		switch c.byte() % 8 {
		case 0:
			table.Follow(c.pid(), c.byte()%2 == 0, c.byte()%2 == 0)
		case 1, 2, 3:
			e := c.event()
			table.Explain(e)
			makesSense(t, e)
			before := explanation(e)
			table.Explain(e)
			assert.Equal(t, before, explanation(e), "explained again with nothing told: %+v %+v %+v", e, e.Sender, e.Behind)
		default:
			table.Learn(c.fact())
		}
	}
}

// makesSense checks what holds for every event (DESIGN).
func makesSense(t *testing.T, e *kill.Event) {
	t.Helper()
	b := e.Behind
	if b == nil {
		assert.False(t, e.Cause.Managed())
		return
	}
	assert.Equal(t, b.Requester != nil || e.Cause.Managed(), b.Evidence != "", "evidence of %v: %+v", e.Cause, b)
	assert.False(t, b.Requester != nil && b.Candidates > 0, "it is one, or it is not known")
	assert.NotEqual(t, 1, b.Candidates)
	assert.False(t, b.Session != nil && b.User.ID.Known && b.Session.UserName == "" && b.Session.ID == "" && b.Session.Service == "", "a session without anything")
}
