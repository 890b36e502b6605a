// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// These are stories in which somebody could be named who has not asked.

// byRoot makes a process of root, for a user who has logged in.
func byRoot(pid int, line string) *kill.Process {
	return process(pid, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", parent(95, "sudo "+line), bash, sshd)
}

// tableOf returns a table that knows some processes, and whose host's systemd reports its jobs.
func tableOf(told bool, processes ...*kill.Process) *Table {
	all := known{}
	for _, p := range processes {
		all[p.PID] = p
	}
	t := New(Config{Processes: all})
	t.Follow(1, told, false)
	return t
}

// askedBy returns the pid of who is named; 0 if nobody is.
func askedBy(e *kill.Event) int {
	if e.Behind == nil || e.Behind.Requester == nil {
		return 0
	}
	return e.Behind.Requester.PID
}

func explain(t *Table, e *kill.Event) *kill.Event {
	t.Explain(e)
	return e
}

// TestKilledTwice has a second person kill what has survived the first one.
func TestKilledTwice(t *testing.T) {
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	for _, told := range []bool{true, false} {
		for _, first := range []string{"systemctl kill mariadb", "systemctl kill -s HUP mariadb", "systemctl reload mariadb"} {
			alice, bob := byRoot(10, first), byRoot(11, "systemctl kill -s KILL mariadb")
			table := tableOf(told, alice, bob)
			learn(table, []Fact{connects(0, alice)})
			explain(table, sends(ms, kill.SIGTERM, mariadb))
			e := explain(table, sends(30*time.Second, kill.SIGKILL, mariadb))
			assert.Zero(t, askedBy(e), "nobody has asked for that")

			learn(table, []Fact{connects(time.Minute, bob)})
			e = explain(table, sends(time.Minute+ms, kill.SIGKILL, mariadb))
			assert.Equal(t, 11, askedBy(e), "after %s", first)
		}
	}
}

// TestKilledWhileItStops has somebody kill what another one has stopped, and which takes its time.
func TestKilledWhileItStops(t *testing.T) {
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	alice, bob, carol := byRoot(10, "systemctl stop mariadb"), byRoot(11, "systemctl kill -s KILL mariadb"), byRoot(12, "systemctl stop mariadb")
	table := tableOf(true, alice, bob, carol)
	learn(table, []Fact{connects(0, alice), begins(ms, 7, "stop", "mariadb.service")})
	assert.Equal(t, 10, askedBy(explain(table, sends(2*ms, kill.SIGTERM, mariadb))))

	learn(table, []Fact{connects(time.Second, bob)})
	e := explain(table, sends(time.Second+ms, kill.SIGKILL, mariadb))
	assert.Zero(t, askedBy(e))
	assert.Equal(t, 2, e.Behind.Candidates)

	// Whoever joins later has not asked for the job.
	learn(table, []Fact{connects(80*time.Second, carol), enters(90*time.Second, "mariadb.service", "deactivating", "stop-sigkill", "timeout")})
	assert.Equal(t, 10, askedBy(explain(table, sends(90*time.Second, kill.SIGKILL, mariadb))))
	again := tableOf(true, carol)
	learn(again, []Fact{begins(ms, 7, "stop", "mariadb.service"), connects(80*time.Second, carol)})
	assert.Zero(t, askedBy(explain(again, sends(90*time.Second, kill.SIGKILL, mariadb))))
}

// TestSecondThoughts learns of somebody who fits as well after somebody was thought to have asked.
func TestSecondThoughts(t *testing.T) {
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	alice, twin := byRoot(10, "systemctl stop mariadb"), byRoot(11, "systemctl stop mariadb")
	table := tableOf(true, alice, twin)
	learn(table, []Fact{connects(0, alice), begins(2*ms, 7, "", "mariadb.service")})
	e := sends(3*ms, kill.SIGTERM, mariadb)
	require.Equal(t, 10, askedBy(explain(table, e)))
	learn(table, []Fact{connects(ms, twin), begins(2*ms, 7, "stop", "mariadb.service")})
	require.Zero(t, askedBy(explain(table, e)))
	learn(table, []Fact{enters(90*time.Second, "mariadb.service", "deactivating", "stop-sigkill", "timeout")})
	assert.Zero(t, askedBy(explain(table, sends(90*time.Second, kill.SIGKILL, mariadb))), "the end of the same stop")
}

// TestLostEnd loses what systemd says of the end of a job.
func TestLostEnd(t *testing.T) {
	alice := byRoot(10, "systemctl stop mariadb")
	young := ofUnit(6000, "mariadbd", "mariadb.service")
	tests := map[string]func(*Table){
		"it reports no longer": func(table *Table) { table.Follow(1, false, false); table.Follow(1, true, false) },
		"the unit has stopped": func(table *Table) {
			learn(table, []Fact{enters(50*ms, "mariadb.service", "inactive", "dead", "success")})
		},
		"there is another job": func(table *Table) {
			learn(table, []Fact{begins(60*ms, 8, "start", "mariadb.service"), done(70*ms, 8, "mariadb.service")})
		},
		"the unit was started again": func(table *Table) {
			learn(table, []Fact{enters(50*ms, "mariadb.service", "inactive", "dead", "success"), enters(60*ms, "mariadb.service", "active", "running", "success")})
		},
		"another job that is unknown": func(table *Table) {
			learn(table, []Fact{begins(60*ms, 8, "", "mariadb.service"), done(70*ms, 8, "mariadb.service")})
		},
	}
	for name, lose := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, alice)
			learn(table, []Fact{
				enters(0, "mariadb.service", "active", "running", "success"), connects(0, alice), begins(2*ms, 7, "stop", "mariadb.service"),
				enters(3*ms, "mariadb.service", "deactivating", "stop-sigterm", "success"),
			})
			explain(table, sends(3*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
			lose(table)
			e := explain(table, sends(time.Hour, kill.SIGTERM, young))
			assert.Zero(t, askedBy(e))
			assert.Equal(t, kill.CauseNone, e.Cause)
		})
	}
}

// TestLostConnection goes on with a job once systemd reports its jobs again.
func TestLostConnection(t *testing.T) {
	alice := byRoot(10, "systemctl stop mariadb")
	table := tableOf(true, alice)
	learn(table, []Fact{connects(0, alice), begins(2*ms, 7, "stop", "mariadb.service")})
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	explain(table, sends(3*ms, kill.SIGTERM, mariadb))
	table.Follow(1, false, false)
	table.Follow(1, true, false)
	learn(table, []Fact{begins(time.Second, 7, "stop", "mariadb.service"), enters(90*time.Second, "mariadb.service", "deactivating", "stop-sigkill", "timeout")})
	assert.Equal(t, 10, askedBy(explain(table, sends(90*time.Second, kill.SIGKILL, mariadb))))
}

// TestShutdownThatIsNone calls a shutdown off.
func TestShutdownThatIsNone(t *testing.T) {
	reboots, alice := byRoot(9, "systemctl reboot"), byRoot(10, "systemctl stop mariadb")
	canceled := Fact{Job: &Job{Time: after(20 * ms), Manager: 1, ID: 5, Unit: "reboot.target", Done: true, Result: "canceled"}}
	tests := map[string][]Fact{
		"its job was canceled":     {begins(ms, 5, "start", "reboot.target"), canceled},
		"its job was one to stop":  {begins(ms, 5, "", "reboot.target"), begins(2*ms, 5, "stop", "reboot.target")},
		"it was called off":        {{Shutdown: &Shutdown{Time: after(ms)}}, {Shutdown: &Shutdown{Time: after(2 * ms), Canceled: true}}},
		"the system has lived on":  {{Shutdown: &Shutdown{Time: after(-2 * time.Hour)}}},
		"it comes only afterwards": {{Shutdown: &Shutdown{Time: after(2 * time.Hour)}}},
	}
	for name, facts := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, reboots, alice)
			learn(table, append([]Fact{connects(0, reboots)}, facts...))
			learn(table, []Fact{connects(5*time.Second, alice), begins(5*time.Second+ms, 7, "stop", "mariadb.service")})
			e := explain(table, sends(5*time.Second+2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
			assert.Equal(t, 10, askedBy(e))
			assert.Equal(t, kill.CauseServiceStop, e.Cause)
		})
	}
}

// TestShutdownByAnother asks for a shutdown that another one has begun already.
func TestShutdownByAnother(t *testing.T) {
	bob := byRoot(9, "systemctl reboot")
	table := tableOf(true, bob)
	learn(table, []Fact{{Shutdown: &Shutdown{Time: after(0)}}, connects(3*time.Second, bob), begins(4*time.Second, 7, "stop", "mariadb.service")})
	e := explain(table, sends(4*time.Second, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
	assert.Equal(t, kill.CauseShutdown, e.Cause)
	assert.Zero(t, askedBy(e))
}

// TestOfOtherSystems has an audit record tell of a command that does not reach the host's systemd, or has not the right.
func TestOfOtherSystems(t *testing.T) {
	inContainer := process(20, "sudo systemctl stop mariadb", 0, nobody, "/machine.slice/box/system.slice/ssh.service")
	inContainer.Home.Program = kill.WhoseOther
	user := kill.User{ID: kill.NewID(1000)}
	tests := map[string]struct {
		command Command
		want    bool
	}{
		"sudo":                   {Command{PID: 21, Title: words("systemctl stop mariadb")}, true},
		"sudo to root":           {Command{PID: 21, Title: words("systemctl stop mariadb"), User: kill.User{Name: "root"}}, true},
		"sudo to somebody else":  {Command{PID: 21, Title: words("systemctl stop mariadb"), User: kill.User{Name: "www"}}, false},
		"in a container":         {Command{PID: 20, Title: words("systemctl stop mariadb")}, false},
		"without the right":      {Command{PID: 21, Self: true, Title: words("systemctl stop mariadb"), User: user}, false},
		"to a user's systemd":    {Command{PID: 21, Title: words("systemctl --user stop mariadb")}, false},
		"to a container's":       {Command{PID: 21, Title: words("systemctl -M box stop mariadb")}, false},
		"to another host's":      {Command{PID: 21, Title: words("systemctl --host=db2 stop mariadb")}, false},
		"which takes effect not": {Command{PID: 21, Title: words("systemctl --dry-run stop mariadb")}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, inContainer)
			tt.command.Time, tt.command.Command, tt.command.Login = after(0), "systemctl", user
			learn(table, []Fact{{Command: &tt.command}, begins(ms, 7, "stop", "mariadb.service")})
			e := explain(table, sends(2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
			assert.Equal(t, tt.want, e.Behind.Requester != nil)
		})
	}
}

// TestContainersDoNotShareCommands has a container's systemd stop what somebody stops on the host, too.
func TestContainersDoNotShareCommands(t *testing.T) {
	table := tableOf(true)
	learn(table, []Fact{{Command: &Command{Time: after(0), PID: 21, Title: words("systemctl stop mariadb"), Command: "systemctl"}}})
	e := sends(ms, kill.SIGTERM, kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: "/machine.slice/box/system.slice/mariadb.service"}})
	e.Sender = *systemdIn(50, "/machine.slice/box", 0, kill.WhoseOther)
	assert.Zero(t, askedBy(explain(table, e)))
	assert.Nil(t, e.Behind.Requester)
}

// TestSetUserID has a user run a program of root's, which connects by the right of root, with a command line that he has
// chosen: su(1) tells logind of a session.
func TestSetUserID(t *testing.T) {
	for real, want := range map[uint32]int{1001: 0, 0: 10} {
		bob := process(10, "systemctl -w stop -c mariadb bob", 0, 1001, "/user.slice/user-1001.slice/session-18.scope", bash, sshd)
		bob.Executable, bob.RealUser.ID = "/usr/bin/su", kill.NewID(real)
		table := tableOf(true, bob)
		f := connects(0, bob)
		f.Request.Requester.RealUser, f.Request.Socket = bob.RealUser, "/run/dbus/system_bus_socket"
		learn(table, []Fact{f, begins(10*ms, 7, "stop", "mariadb.service")})
		e := explain(table, sends(11*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
		assert.Equal(t, want, askedBy(e), real)
	}
}

// TestPeopleComeIn has people log in and use sudo, which tell logind over the bus, while a unit is stopped that nobody
// has been seen to stop.
func TestPeopleComeIn(t *testing.T) {
	for _, line := range []string{"sudo ls", "sshd: bob", "/usr/sbin/cron -f", "login -- bob", "sshd-session: bob", "su -"} {
		p := byRoot(10, line)
		p.Command = parent(10, line).Command
		if p.Command == "sshd:" {
			p.Command = "sshd"
		}
		if p.Command == "sshd-session:" {
			p.Command = "sshd-session"
		}
		table := tableOf(true, p)
		f := connects(0, p)
		f.Request.Socket = "/run/dbus/system_bus_socket"
		learn(table, []Fact{f, begins(10*ms, 7, "stop", "mariadb.service")})
		assert.Zero(t, askedBy(explain(table, sends(11*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))), line)
	}
}

// TestRivals stops one of two units that exclude each other, while another one is stopped by somebody unseen.
func TestRivals(t *testing.T) {
	for line, want := range map[string]int{"systemctl stop other": 0, "systemctl start other": 10} {
		p := byRoot(10, line)
		table := tableOf(true, p)
		kind := line[len("systemctl ") : len(line)-len(" other")]
		learn(table, []Fact{
			excludes("mariadb.service", "other.service"), connects(0, p), begins(ms, 6, kind, "other.service"), begins(ms, 7, "stop", "mariadb.service"),
		})
		assert.Equal(t, want, askedBy(explain(table, sends(2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))), line)
	}
	p := byRoot(10, "systemctl start base")
	table := tableOf(true, p)
	learn(table, []Fact{depends("mariadb.service", "base.service"), connects(0, p), begins(ms, 6, "start", "base.service"), begins(ms, 7, "stop", "mariadb.service")})
	assert.Zero(t, askedBy(explain(table, sends(2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))), "whose start stops nothing that needs it")
}

// TestStartOfItself has a service end a child of its own while it starts.
func TestStartOfItself(t *testing.T) {
	alice := byRoot(10, "systemctl restart mariadb")
	table := tableOf(true, alice)
	learn(table, []Fact{connects(0, alice), begins(ms, 7, "start", "mariadb.service"), enters(ms, "mariadb.service", "activating", "start", "success")})
	e := sends(50*ms, kill.SIGTERM, ofUnit(5933, "mariadbd", "mariadb.service"))
	e.Sender = ofUnit(5932, "mariadbd", "mariadb.service")
	e.Sender.ParentPID = 1
	explain(table, e)
	assert.Zero(t, askedBy(e))
	assert.Equal(t, kill.CauseNone, e.Cause)
}

// TestReconsider explains an event again only if something was told that may change what is behind it.
func TestReconsider(t *testing.T) {
	alice, bob := byRoot(10, "systemctl stop mariadb"), process(11, "systemctl stop mariadb", 1001, 1001, "/x")
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	other := begins(0, 6, "stop", "other.service")
	connected := connects(0, alice)
	for name, tt := range map[string]struct {
		fact  Fact
		again bool
	}{
		"a request of root":      {connected, true},
		"a request of a user":    {connects(0, bob), false},
		"a job of the unit":      {begins(0, 7, "stop", "mariadb.service"), true},
		"a job of another one":   {other, false},
		"a state of the unit":    {enters(0, "mariadb.service", "deactivating", "stop-sigterm", "success"), true},
		"a shutdown":             {Fact{Shutdown: &Shutdown{Time: after(0)}}, true},
		"a command of a record":  {Fact{Command: &Command{Time: after(0), PID: 7, Title: words("systemctl stop mariadb")}}, true},
		"a shutdown of another":  {Fact{Shutdown: &Shutdown{Time: after(0), Manager: 50}}, false},
		"a session that matters": {login(0, "17", 1000, "alice", "10.0.0.5"), false},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, alice, bob)
			learn(table, []Fact{enters(-time.Minute, "mariadb.service", "active", "running", "success")})
			e := sends(ms, kill.SIGTERM, mariadb)
			settled, heard := table.Reconsider(e, 0)
			require.False(t, settled)
			behind := e.Behind
			table.Learn(&tt.fact)
			_, now := table.Reconsider(e, heard)
			assert.Equal(t, tt.again, now != heard)
			assert.Equal(t, tt.again, behind != e.Behind)
		})
	}
}

// TestRestartByItself has systemd end what the main process of a service has left behind, and start the service again.
func TestRestartByItself(t *testing.T) {
	for lag, want := range map[time.Duration]kill.Cause{100 * ms: kill.CauseMainProcessEnd, 5 * ms: kill.CauseServiceRestart, -5 * ms: kill.CauseServiceRestart} {
		table := tableOf(true)
		crashed := enters(ms, "mariadb.service", "deactivating", "stop-sigterm", "exit-code")
		crashed.Unit.MainExit = after(-ms)
		learn(table, []Fact{
			enters(-time.Minute, "mariadb.service", "active", "running", "success"), crashed, begins(lag, 7, "restart", "mariadb.service"),
		})
		e := explain(table, sends(0, kill.SIGTERM, ofUnit(5932, "helper", "mariadb.service")))
		assert.Equal(t, want, e.Cause, "%v", lag)
	}
}

// TestRestartThatStopsNothing restarts a unit that does not run just before somebody else stops it.
func TestRestartThatStopsNothing(t *testing.T) {
	alice, bob := byRoot(10, "systemctl stop mariadb"), byRoot(11, "systemctl restart mariadb")
	table := tableOf(true, alice, bob)
	learn(table, []Fact{
		connects(0, bob), begins(ms, 6, "restart", "mariadb.service"), done(50*ms, 6, "mariadb.service"),
		connects(time.Second, alice), begins(time.Second+ms, 7, "stop", "mariadb.service"),
	})
	assert.Equal(t, 10, askedBy(explain(table, sends(time.Second+2*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))))
}

// TestManyAskers has somebody with sub-uids connect as very many users to a supervisord of his own, or to his systemd. What these
// signal is explained as fast as ever: all other events wait meanwhile.
func TestManyAskers(t *testing.T) {
	const user, group = 1000, "/user.slice/user-1000.slice/user@1000.service"
	supervisord := process(5000, "/usr/bin/supervisord", user, user, "/user.slice")
	systemd := process(5001, "/usr/lib/systemd/systemd", user, user, group+"/init.scope")
	for name, sender := range map[string]*kill.Process{"supervisord": supervisord, "systemd": systemd} {
		all := known{sender.PID: sender}
		table := New(Config{Processes: all})
		table.Follow(sender.PID, true, false)
		for n := range maxRequesters * maxUserRequests {
			p := process(10_000+n, "supervisorctl signal TERM web", uint32(100_000+n/maxUserRequests), user, "/user.slice")
			all[p.PID] = p
			f := connects(0, p)
			f.Request.Manager, f.Request.Socket = sender.PID, "/tmp/supervisor.sock"
			learn(table, []Fact{f})
		}
		e := sends(ms, kill.SIGTERM, ofUnit(5932, "web", "web.service"))
		e.Sender, e.Targets[0].Instance.Cgroup = *sender, group+"/app.slice/web.service"
		begun := time.Now()
		const events = 50
		for range events {
			explain(table, e)
		}
		assert.Less(t, time.Since(begun), events*2*ms, name)
		assert.Zero(t, askedBy(e), name)
	}
}

// TestHabitsAreOnesOwn has a program of root that only watches connect again and again. Others who connect with very many
// command lines do not make it forgotten, so that it could be named for what is asked for at that moment.
func TestHabitsAreOnesOwn(t *testing.T) {
	watches := func(n int) *kill.Process {
		return process(100+n, "node_exporter --collector.systemd", 0, nobody, "/system.slice/n.service")
	}
	eve := process(7000, "eve", 1000, 1000, "/user.slice")
	table := tableOf(true, watches(0), watches(1), watches(2), eve)
	learn(table, []Fact{connects(-time.Minute, watches(0)), connects(-30*time.Second, watches(1))})
	for n := range 2*maxHabits + 1 {
		eve.Title = words(fmt.Sprint("eve ", n))
		eve.Instance = &kill.Instance{SinceBoot: time.Duration(n) * time.Second, CommandLine: eve.Title}
		learn(table, []Fact{connects(-10*time.Second, eve)})
	}
	learn(table, []Fact{connects(0, watches(2)), begins(50*ms, 7, "stop", "mariadb.service")})
	e := explain(table, sends(51*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))
	assert.Zero(t, askedBy(e), "it only watches")
}
