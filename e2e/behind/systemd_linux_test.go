// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
)

// awaitJob waits for a job, which may have ended.
func (f *facts) awaitJob(h *host.Host, unit, kind string, done bool) {
	f.t.Helper()
	f.await(kind+" of "+unit, func(f *fact) bool {
		j := f.Job
		return j != nil && j.Manager == h.PID && j.Unit == unit && j.Type == kind && j.Done == done
	})
}

// awaitUnit waits for a state of a unit.
func (f *facts) awaitUnit(h *host.Host, name string, is func(*unit) bool) {
	f.t.Helper()
	f.await("a state of "+name, func(f *fact) bool {
		return f.Unit != nil && f.Unit.Manager == h.PID && f.Unit.Name == name && is(f.Unit)
	})
}

func TestJobs(t *testing.T) {
	h, f := start(t)
	h.Service("mysql", host.Mysqld+"TimeoutStopSec=30s\n[Install]\nAlias=database.service\n")
	h.Root("systemctl", "enable", "--now", "mysql")
	h.Root("systemctl", "restart", "mysql")
	f.awaitJob(h, "mysql.service", "restart", true)
	h.Root("systemctl", "stop", "database")
	f.awaitJob(h, "mysql.service", "stop", true)
	f.awaitUnit(h, "mysql.service", func(u *unit) bool {
		return u.Active == "deactivating" && u.Sub == "stop-sigterm" && u.Result == "success" && u.StopTimeout == 30*time.Second
	})
	f.awaitUnit(h, "mysql.service", func(u *unit) bool { return strings.Contains(strings.Join(u.Names, " "), "database.service") })
}

// TestLimits has services that stop or start too slowly, run too long, or do not report that they are alive.
func TestLimits(t *testing.T) {
	h, f := start(t)
	h.Service("stubborn", host.Stubborn+"TimeoutStopSec=1s\n")
	h.Service("slow", host.Mysqld+"Type=notify\nTimeoutStartSec=2s\n")
	h.Service("long", host.Mysqld+"RuntimeMaxSec=3s\n")
	h.Service("hung", host.Mysqld+"WatchdogSec=4s\n")
	h.Root("systemctl", "start", "stubborn", "long", "hung")
	_, err := h.Try("systemctl", "start", "slow")
	require.Error(t, err)
	h.Root("systemctl", "stop", "stubborn")
	f.awaitUnit(h, "stubborn.service", func(u *unit) bool {
		return u.Sub == "stop-sigkill" && u.Result == "timeout" && u.StopTimeout == time.Second
	})
	f.awaitUnit(h, "slow.service", func(u *unit) bool { return u.Result == "timeout" && u.StartTimeout == 2*time.Second })
	f.awaitUnit(h, "long.service", func(u *unit) bool { return u.Result == "timeout" && u.RuntimeLimit == 3*time.Second })
	f.awaitUnit(h, "hung.service", func(u *unit) bool { return u.Result == "watchdog" && u.Watchdog == 4*time.Second })
}

func TestLogins(t *testing.T) {
	h, f := start(t)
	ssh := h.Start("alice", "10.0.0.5", "sleep infinity")
	var id string
	f.await("the login of alice", func(f *fact) bool {
		l := f.Login
		if l == nil || l.Session.UserName != "alice" {
			return false
		}
		id = l.Session.ID
		assert.Equal(t, h.PID, l.Manager)
		assert.Equal(t, "sshd", l.Session.Service)
		assert.Equal(t, "10.0.0.5", l.Session.Address)
		assert.Equal(t, uint32(1000), l.User.ID.Value)
		assert.Contains(t, commandLine(l.Leader), "sshd: alice")
		return true
	})
	ssh.Terminate()
	f.await("the logout of alice", func(f *fact) bool { return f.Logout != nil && f.Logout.ID == id && f.Logout.Manager == h.PID })
}

// awaitRequest repeats a call until it is seen together with who has made it: systemd answers so fast that he may be
// gone before the bus is asked for his pid.
func (f *facts) awaitRequest(h *host.Host, member, object string, call func()) (r request) {
	f.t.Helper()
	harness.Until(f.t, func() bool {
		return f.has(func(f *fact) bool {
			if f.Request == nil || f.Request.Manager != h.PID || f.Request.Call.Member != member || f.Request.Call.Object != object {
				return false
			}
			r = *f.Request
			return true
		})
	}, call, member+" of "+object)
	return r
}

// TestCalls has programs call systemd over the bus. systemctl of root does not use the bus by itself.
func TestCalls(t *testing.T) { calls(t) }

// TestCallsOverBroker is the same with the other bus that Debian has.
func TestCallsOverBroker(t *testing.T) { calls(t, "dbus-broker") }

func calls(t *testing.T, packages ...string) {
	t.Helper()
	h, f := start(t, packages...)
	h.Service("mysql", host.Mysqld)
	h.Root("systemctl", "start", "mysql")
	const call = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1"
	r := f.awaitRequest(h, "RestartUnit", "mysql.service", func() {
		h.Root("sh", "-c", call+" org.freedesktop.systemd1.Manager RestartUnit ss mysql.service replace")
	})
	assert.Positive(t, r.Requester.PID)
	assert.True(t, r.Requester.User.ID.Known)
	assert.Zero(t, r.Requester.User.ID.Value)
	f.await("its job", func(f *fact) bool { return f.Job != nil && f.Job.ID == r.Call.Job && f.Job.Unit == "mysql.service" })

	r = f.awaitRequest(h, "KillUnit", "mysql.service", func() {
		h.Root("systemctl", "start", "mysql")
		h.SSH("alice", "10.0.0.5", "sudo "+call+"/unit/mysql_2eservice org.freedesktop.systemd1.Unit Kill si all 15")
	})
	assert.Equal(t, 15, r.Call.Signal)

	// systemctl waits until the service has stopped, which shows that the pid is the one on this machine.
	h.Service("stubborn", host.Stubborn)
	h.Root("systemctl", "start", "stubborn")
	stop := h.Background("env", "SYSTEMCTL_FORCE_BUS=1", "systemctl", "stop", "stubborn")
	r = f.awaitRequest(h, "StopUnit", "stubborn.service", func() {})
	assert.Equal(t, "systemctl stop stubborn ", commandLine(r.Requester.PID))
	h.Root("systemctl", "kill", "--signal=KILL", "stubborn")
	_, ended := stop.Wait()
	assert.True(t, ended)
}

// TestCallsThatAreRefused has a user without rights call systemd.
func TestCallsThatAreRefused(t *testing.T) {
	h, f := start(t)
	h.Service("mysql", host.Mysqld)
	h.Root("systemctl", "start", "mysql")
	h.SSH("bob", "10.0.0.5", "! systemctl --no-ask-password stop mysql; ! systemctl --no-ask-password kill mysql; "+
		"! busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager PowerOff b false")
	restarted := func(f *fact) bool { return f.Request != nil && f.Request.Call.Member == "RestartUnit" }
	harness.Until(t, func() bool { return f.has(restarted) }, func() {
		h.Root("env", "SYSTEMCTL_FORCE_BUS=1", "systemctl", "restart", "mysql")
	}, "a call that is not refused is seen")
	assert.False(t, f.has(func(f *fact) bool {
		return f.Request != nil && (f.Request.Requester.User.ID.Value == 1001 || f.Request.Call.Member == "StopUnit")
	}))
}

func TestPowerOff(t *testing.T) {
	h, f := start(t)
	h.PowerOff()
	f.await("the shutdown", func(f *fact) bool { return f.Shutdown != nil && f.Shutdown.Manager == h.PID })
	f.await("the call", func(f *fact) bool { return f.Request != nil && f.Request.Call.Member == "PowerOff" })
}

// TestWithoutBus listens to systemd's own socket while there is no bus, as the host's root.
func TestWithoutBus(t *testing.T) {
	h := host.Boot(t)
	f := listenInside(t, h, "root")
	f.awaitBegin(h)
	h.Service("mysql", host.Mysqld)
	h.Root("systemctl", "stop", "dbus.socket", "dbus.service")
	stopped := func(f *fact) bool {
		return f.Job != nil && f.Job.Manager == 1 && f.Job.Unit == "mysql.service" && f.Job.Done && f.Job.Type == "stop"
	}
	harness.Until(t, func() bool { return f.has(stopped) }, func() {
		h.Root("systemctl", "start", "mysql")
		h.Root("systemctl", "stop", "mysql")
	}, "systemd's own socket is listened to")
	h.Root("systemctl", "start", "dbus.socket")
	harness.Until(t, func() bool {
		return f.has(func(f *fact) bool { return f.Login != nil && f.Login.Manager == 0 && f.Login.Session.UserName == "bob" })
	}, func() { h.SSH("bob", "10.0.0.5", "true") }, "the bus is listened to again")
}

// TestWithoutRights listens as a user without rights, to whom the bus shows no calls.
func TestWithoutRights(t *testing.T) {
	h := host.Boot(t)
	f := listenInside(t, h, "bob")
	f.awaitBegin(h)
	h.Service("mysql", host.Mysqld)
	h.Root("systemctl", "start", "mysql")
	h.Root("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
		"RestartUnit", "ss", "mysql.service", "replace")
	f.await("the restart", func(f *fact) bool {
		return f.Job != nil && f.Job.Manager == 1 && f.Job.Unit == "mysql.service" && f.Job.Type == "restart" && f.Job.Done
	})
	h.SSH("alice", "10.0.0.5", "true")
	f.await("the login of alice", func(f *fact) bool { return f.Login != nil && f.Login.Session.Address == "10.0.0.5" })
	assert.False(t, f.has(func(f *fact) bool { return f.Request != nil }))
}

// TestUsersSystemd listens to the systemd of a user: as root, whom the bus of a user does not serve, and as that user.
func TestUsersSystemd(t *testing.T) {
	for _, user := range []string{"root", "alice"} {
		t.Run(user, func(t *testing.T) {
			h := host.Boot(t)
			h.Write("/home/alice/.config/systemd/user/worker.service", host.Mysqld, 0o644)
			h.Root("chown", "-R", "alice:alice", "/home/alice/.config")
			h.Root("loginctl", "enable-linger", "alice")
			h.MainPID("user@1000")
			inner := h.Root("systemctl", "show", "--property=MainPID", "--value", "user@1000")
			pid := harness.Number(inner)
			f := listenInside(t, h, user, inner)
			of := func(j *job) bool { return j != nil && j.Manager == pid && j.Unit == "worker.service" }
			harness.Until(t, func() bool { return f.has(func(f *fact) bool { return of(f.Job) }) }, func() {
				h.SSH("alice", "10.0.0.5", "systemctl --user start worker")
				h.SSH("alice", "10.0.0.5", "systemctl --user stop worker")
			}, "the systemd of alice is listened to")
			h.SSH("alice", "10.0.0.5", "systemctl --user restart worker; systemctl --user restart worker")
			f.await("a restart", func(f *fact) bool { return of(f.Job) && f.Job.Type == "restart" && f.Job.Done })
			f.await("its state", func(f *fact) bool { return f.Unit != nil && f.Unit.Manager == pid && f.Unit.Sub == "stop-sigterm" })
			stopped := func(f *fact) bool {
				r := f.Request
				return r != nil && r.Manager == pid && r.Call.Member == "StopUnit" && r.Requester.User.ID.Value == 1000
			}
			const stop = "busctl --user call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager " +
				"StopUnit ss worker.service replace"
			if user == "alice" {
				harness.Until(t, func() bool { return f.has(stopped) }, func() { h.SSH("alice", "10.0.0.5", stop) }, "the call is seen")
			}
			assert.False(t, f.has(func(f *fact) bool { return f.Job != nil && f.Job.Manager == 1 && f.Job.Unit == "worker.service" }))
		})
	}
}

// TestSystemdIsReplaced has systemd execute itself anew, as an upgrade does, and the bus be started again.
func TestSystemdIsReplaced(t *testing.T) {
	h, f := start(t)
	h.Service("mysql", host.Mysqld)
	for _, each := range []struct{ unit, verb, of string }{{"first", "daemon-reexec", ""}, {"second", "restart", "dbus.service"}} {
		h.Root("systemctl", strings.Fields(each.verb+" "+each.of)...)
		h.Service(each.unit, "[Service]\nType=oneshot\nExecStart=/bin/true\n")
		harness.Until(t, func() bool {
			return f.has(func(f *fact) bool { return f.Job != nil && f.Job.Unit == each.unit+".service" })
		},
			func() { h.Root("systemctl", "start", each.unit) }, "systemd is listened to after "+each.verb)
	}
}
