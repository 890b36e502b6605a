// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// dynamicUser is one that systemd makes for a service.
const dynamicUser = 61234

// daemon is a process of a service.
func daemon(line string, user uint32, cgroup string) *kill.Process {
	return process(70, line, user, nobody, cgroup)
}

// TestPressure has daemons kill because memory is short, and others that are only called like them.
func TestPressure(t *testing.T) {
	const www = 33
	unplaced := func(p *kill.Process) *kill.Process {
		p.Instance, p.Home = nil, kill.Home{}
		return p
	}
	inside := func(p *kill.Process) *kill.Process {
		p.Home.Program = kill.WhoseOther
		return p
	}
	box := *systemdIn(50, "/machine.slice/box", 0, kill.WhoseOther)
	ofBox := kill.Process{PID: 900, Instance: &kill.Instance{Cgroup: "/machine.slice/box/system.slice/mariadb.service"}}
	const nohang = "/usr/bin/python3.11 /usr/sbin/nohang --monitor"
	tests := map[string]struct {
		sender *kill.Process
		target kill.Process
		want   bool
	}{
		"earlyoom as Debian runs it": {sender: daemon("/usr/bin/earlyoom -r 3600", dynamicUser, "/system.slice/earlyoom.service"), want: true},
		"nohang as Debian runs it":   {sender: daemon(nohang, 0, "/hostcritical.slice/nohang.service"), want: true},
		"nohang for desktops":        {sender: daemon(nohang, 0, "/hostcritical.slice/nohang-desktop.service"), want: true},
		"systemd-oomd":               {sender: daemon("/usr/lib/systemd/systemd-oomd", 998, "/system.slice/systemd-oomd.service"), want: true},
		"one that root has started":  {sender: daemon("/usr/local/bin/earlyoom", 0, "/system.slice/rc-local.service"), want: true},
		"one in an audit record":     {sender: unplaced(daemon("/usr/bin/earlyoom", dynamicUser, "")), want: true},
		"one in a container":         {inside(daemon("/usr/bin/earlyoom", dynamicUser, "/machine.slice/box/system.slice/earlyoom.service")), ofBox, true},

		"what kills outside of its container":  {sender: inside(daemon("/usr/bin/earlyoom", 0, "/machine.slice/box/system.slice/earlyoom.service"))},
		"a container's own root":               {sender: inside(daemon("/usr/bin/earlyoom", 0, "/docker/0e2e/system.slice/earlyoom.service"))},
		"by a user who has logged in":          {sender: process(70, "/usr/bin/earlyoom", 1000, 1000, "/user.slice/user-1000.slice/session-17.scope")},
		"by sudo":                              {sender: process(70, "/usr/bin/earlyoom", 0, 1000, "/user.slice/user-1000.slice/session-17.scope")},
		"the program, by a user":               {sender: daemon("/usr/bin/earlyoom", www, "/system.slice/apache2.service")},
		"a program of that name, by a user":    {sender: daemon("/tmp/earlyoom", www, "/system.slice/cron.service")},
		"a script of that name, by a user":     {sender: daemon("/usr/bin/python3 /usr/sbin/nohang", www, "/system.slice/apache2.service")},
		"a script of that name, by root":       {sender: daemon(nohang, 0, "/system.slice/cron.service")},
		"a user's service of that name":        {sender: daemon("/usr/bin/earlyoom", 1000, "/user.slice/user-1000.slice/user@1000.service/app.slice/earlyoom.service")},
		"a group in a user's service":          {sender: daemon("/usr/bin/earlyoom", www, "/system.slice/apache2.service/earlyoom.service")},
		"another program in that service":      {sender: daemon("/usr/bin/kill 900", dynamicUser, "/system.slice/earlyoom.service")},
		"a user's program in an audit record":  {sender: unplaced(daemon("/usr/bin/earlyoom", www, ""))},
		"a name that only contains that name":  {sender: daemon("/usr/bin/earlyoom-notify", 0, "/system.slice/earlyoom.service")},
		"a service with another one's program": {sender: daemon("/usr/bin/earlyoom", www, "/system.slice/nohang.service")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := tableOf(true, &box)
			learn(table, []Fact{{Job: &Job{Time: after(0), Manager: box.PID, ID: 1, Type: "start", Unit: "mariadb.service"}}})
			if tt.target.PID == 0 {
				tt.target = ofUnit(5932, "mariadbd", "mariadb.service")
			}
			e := sends(time.Second, kill.SIGTERM, tt.target)
			e.Sender = *tt.sender
			table.Explain(e)
			if !tt.want {
				assert.Equal(t, kill.CauseNone, e.Cause)
				return
			}
			assert.Equal(t, kill.CauseMemoryPressure, e.Cause)
			assert.Equal(t, kill.EvidenceInferred, e.Behind.Evidence)
			assert.Nil(t, e.Behind.Requester)
		})
	}
}

// TestPressureThatIsReported has systemd-oomd say what it has killed for: a moment after the kill as a rule.
func TestPressureThatIsReported(t *testing.T) {
	reports := map[string]expected{
		"/system.slice/mariadb.service": {cause: kill.CauseSwapPressure, evidence: kill.EvidenceObserved, login: nobody},
		"/system.slice/mariadb":         {cause: kill.CauseMemoryPressure, evidence: kill.EvidenceInferred, login: nobody, unsettled: true},
	}
	for cgroup, want := range reports {
		for name, early := range map[string]bool{"before": true, "after": false} {
			t.Run(name+" "+cgroup, func(t *testing.T) {
				table := tableOf(true)
				report := []Fact{{Pressure: &Pressure{Time: after(2 * time.Second), Cgroup: cgroup, Swap: true}}}
				if early {
					learn(table, report)
				}
				e := sends(time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
				e.Sender = *process(70, "/usr/lib/systemd/systemd-oomd", 998, nobody, "/system.slice/systemd-oomd.service")
				e.Sender.ParentPID = hostInit
				settled, heard := table.Reconsider(e, 0)
				if !early {
					assert.False(t, settled, "it has yet to say")
					learn(table, report)
					settled, _ = table.Reconsider(e, heard)
				}
				assert.Equal(t, want, told(e, settled))
				assert.Equal(t, "mariadb.service", e.Behind.Unit)
			})
		}
	}
}

// TestPressureOfAnEarlierKill has a service be started again, and be killed for another reason a moment later.
func TestPressureOfAnEarlierKill(t *testing.T) {
	table := tableOf(true)
	reports := func(at time.Duration, swap bool) {
		learn(table, []Fact{{Pressure: &Pressure{Time: after(at), Cgroup: "/system.slice/mariadb.service", Swap: swap}}})
	}
	reports(time.Second, true)
	e := sends(2*time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
	e.Sender = *daemon("/usr/lib/systemd/systemd-oomd", 998, "/system.slice/systemd-oomd.service")
	assert.False(t, table.Explain(e), "what was said is of another kill")
	reports(2*time.Second+time.Millisecond, false)
	assert.True(t, table.Explain(e))
	assert.Equal(t, kill.CauseMemoryPressure, e.Cause)
	assert.Equal(t, kill.EvidenceObserved, e.Behind.Evidence)
	e.Sender.Instance, e.Sender.Home = nil, kill.Home{} // as in an audit record
	e.Sender.User = kill.User{ID: kill.ID{Value: dynamicUser, Known: true}}
	table.Explain(e)
	assert.Equal(t, kill.EvidenceObserved, e.Behind.Evidence, "the target's group is enough")
}

// TestPressureOfAnotherDaemon has systemd-oomd kill in a group in which earlyoom has sent a signal just before.
func TestPressureOfAnotherDaemon(t *testing.T) {
	table := tableOf(true)
	learn(table, []Fact{{Pressure: &Pressure{Time: after(2 * time.Second), Cgroup: "/system.slice/mariadb.service", Swap: true}}})
	e := sends(time.Second, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
	e.Sender = *daemon("/usr/bin/earlyoom -r 3600", dynamicUser, "/system.slice/earlyoom.service")
	assert.True(t, table.Explain(e))
	assert.Equal(t, kill.CauseMemoryPressure, e.Cause)
	assert.Equal(t, kill.EvidenceInferred, e.Behind.Evidence)
}

// TestPressureIsNotAwaited has nobody who will say what was killed for.
func TestPressureIsNotAwaited(t *testing.T) {
	for name, sender := range map[string]*kill.Process{
		"another daemon":            daemon("/usr/bin/earlyoom -r 3600", dynamicUser, "/system.slice/earlyoom.service"),
		"one that root has started": daemon("/usr/lib/systemd/systemd-oomd", 0, "/system.slice/rc-local.service"),
	} {
		e := sends(time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
		e.Sender = *sender
		assert.True(t, tableOf(true).Explain(e), name)
		assert.Equal(t, kill.CauseMemoryPressure, e.Cause, name)
	}
	e := sends(time.Second, kill.SIGKILL, ofUnit(5932, "mariadbd", "mariadb.service"))
	e.Sender = *daemon("/usr/lib/systemd/systemd-oomd", 998, "/system.slice/systemd-oomd.service")
	assert.True(t, tableOf(false).Explain(e), "the bus is out of reach")
}
