// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestStories(t *testing.T) {
	systemctl := func(pid int, line string, more ...kill.Ancestor) *kill.Process {
		if len(more) == 0 {
			more = []kill.Ancestor{parent(95, "sudo "+line), bash, sshd}
		}
		return process(pid, line, 0, 1000, "/user.slice/user-1000.slice/session-17.scope", more...)
	}
	restart := systemctl(136, "systemctl restart mariadb")
	stop := systemctl(137, "systemctl stop mariadb", script, parent(92, "/bin/sh -c /root/cleanup.sh"), cron)
	status := systemctl(138, "systemctl status mariadb")
	stopOther := systemctl(139, "systemctl stop nginx")
	stopDatabase := systemctl(140, "systemctl stop database.target")
	startDatabase := systemctl(149, "systemctl start database.target")
	unprivileged := process(141, "systemctl stop mariadb", 1000, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	own := process(142, "python3 /opt/ops.py", 0, nobody, "/system.slice/ops.service", parent(1, "/sbin/init"))
	fake := process(143, "sleep systemctl stop mariadb", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
	twin := systemctl(144, "systemctl stop mariadb")
	kills := systemctl(145, "systemctl kill -s KILL mariadb")
	alias := systemctl(146, "systemctl stop mysql")
	blocks := systemctl(147, "systemctl poweroff")
	logind := process(60, "/usr/lib/systemd/systemd-logind", 0, nobody, "/system.slice/systemd-logind.service")
	loginctl := systemctl(148, "loginctl terminate-session 21")
	mariadb := ofUnit(5932, "mariadbd", "mariadb.service")
	left := ofUnit(6000, "sleep", "session-21.scope")
	left.Login, left.Session = kill.User{ID: kill.NewID(1001)}, kill.NewID(21)
	alice := login(0, "17", 1000, "alice", "10.0.0.5")

	tests := map[string]struct {
		facts []Fact
		event *kill.Event
		later []Fact
		again *kill.Event // instead of event, after what is told later
		want  expected
	}{
		"a restart by sudo": {
			facts: []Fact{alice, connects(0, restart)},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			later: []Fact{begins(6*ms, 7, "restart", "mariadb.service")},
			want: expected{
				cause: kill.CauseServiceRestart, evidence: kill.EvidenceInferred, requester: 136, initiator: 95, login: 1000, address: "10.0.0.5",
			},
		},
		"a restart that is seen as a start": {
			facts: []Fact{connects(0, restart)},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			later: []Fact{begins(6*ms, 7, "start", "mariadb.service")},
			want:  expected{cause: kill.CauseServiceRestart, evidence: kill.EvidenceInferred, requester: 136, initiator: 95, login: 1000},
		},
		"a script of cron": {
			facts: []Fact{connects(0, stop)},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			later: []Fact{begins(6*ms, 7, "stop", "mariadb.service")},
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceInferred, requester: 137, initiator: 91, login: 1000},
		},
		"a call on the bus": {
			facts: []Fact{stops(0, own, "mariadb.service"), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(2*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, requester: 142, login: nobody},
		},
		"nothing is known": {
			event: sends(4*ms, kill.SIGTERM, mariadb),
			later: []Fact{begins(6*ms, 7, "stop", "mariadb.service")},
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"no manager says anything": {
			facts: []Fact{connects(0, restart)},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceRestart, evidence: kill.EvidenceInferred, requester: 136, initiator: 95, login: 1000},
		},
		"a status is no request": {
			facts: []Fact{connects(0, status), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"a unit that does not depend on the one that is stopped at the same time": {
			facts: []Fact{
				depends("mariadb.service", "network.target"),
				connects(0, stopDatabase), begins(1*ms, 6, "stop", "database.target"), begins(1*ms, 7, "stop", "mariadb.service"),
			},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"the stop of another unit": {
			facts: []Fact{connects(0, stopOther), begins(1*ms, 6, "stop", "nginx.service"), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, ofUnit(5, "x", "third.service")),
			want:  expected{login: nobody, unsettled: true},
		},
		"a unit that another one depends on": {
			facts: []Fact{
				depends("mariadb.service", "database.target"),
				connects(0, stopDatabase), begins(1*ms, 6, "stop", "database.target"), begins(1*ms, 7, "stop", "mariadb.service"),
			},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want: expected{
				cause: kill.CauseDependency, evidence: kill.EvidenceInferred, requester: 140, initiator: 95, login: 1000, named: "database.target",
			},
		},
		"a unit that another one depends on, which was just started": {
			facts: []Fact{
				depends("mariadb.service", "database.target"), connects(0, startDatabase), begins(1*ms, 3, "start", "database.target"), done(2*ms, 3, "database.target"),
				connects(100*ms, stopDatabase), begins(101*ms, 6, "stop", "database.target"), begins(101*ms, 7, "stop", "mariadb.service"),
			},
			event: sends(104*ms, kill.SIGTERM, mariadb),
			want: expected{
				cause: kill.CauseDependency, evidence: kill.EvidenceInferred, requester: 140, initiator: 95, login: 1000, named: "database.target",
			},
		},
		"two who fit equally well": {
			facts: []Fact{connects(0, stop), connects(1*ms, twin), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want: expected{
				cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, candidates: 2, login: nobody, unsettled: true,
			},
		},
		"one of them has called": {
			facts: []Fact{connects(0, stop), stops(1*ms, twin, "mariadb.service"), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, requester: 144, initiator: 95, login: 1000},
		},
		"a user whose call was read, and may have been refused": {
			facts: []Fact{sendsCall(0, unprivileged), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"a user whose call was obeyed": {
			facts: []Fact{stops(0, unprivileged, "mariadb.service"), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, requester: 141, login: 1000},
		},
		"a user who only connects": {
			facts: []Fact{connects(0, unprivileged), begins(1*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"a command line that only looks like it": {
			facts: []Fact{connects(0, fake), connects(1*ms, stop), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceInferred, requester: 137, initiator: 91, login: 1000},
		},
		"a watchdog beside a stop of something else": {
			facts: []Fact{connects(0, stopOther)},
			event: sends(4*ms, kill.SIGABRT, mariadb),
			later: []Fact{begins(2*ms, 6, "stop", "nginx.service"), enters(5*ms, "mariadb.service", "deactivating", "stop-watchdog", "watchdog")},
			want:  expected{cause: kill.CauseWatchdog, evidence: kill.EvidenceObserved, login: nobody},
		},
		"a stop that timed out": {
			facts: []Fact{
				connects(0, stop), begins(2*ms, 7, "stop", "mariadb.service"),
				enters(3*ms, "mariadb.service", "deactivating", "stop-sigterm", "success"),
			},
			event: sends(90*time.Second, kill.SIGKILL, mariadb),
			later: []Fact{enters(90*time.Second+ms, "mariadb.service", "deactivating", "stop-sigkill", "timeout")},
			want:  expected{cause: kill.CauseStopTimeout, evidence: kill.EvidenceInferred, requester: 137, initiator: 91, login: 1000},
		},
		"a start that timed out": {
			facts: []Fact{
				begins(0, 7, "start", "mariadb.service"), enters(3*ms, "mariadb.service", "activating", "start", "success"),
			},
			event: sends(90*time.Second, kill.SIGTERM, mariadb),
			later: []Fact{enters(90*time.Second+ms, "mariadb.service", "deactivating", "stop-sigterm", "timeout")},
			want:  expected{cause: kill.CauseStartTimeout, evidence: kill.EvidenceObserved, login: nobody},
		},
		"a service that has run for too long": {
			facts: []Fact{enters(0, "mariadb.service", "active", "running", "success")},
			event: sends(90*time.Second, kill.SIGTERM, mariadb),
			later: []Fact{enters(90*time.Second+ms, "mariadb.service", "deactivating", "stop-sigterm", "timeout")},
			want:  expected{cause: kill.CauseRuntimeLimit, evidence: kill.EvidenceObserved, login: nobody},
		},
		"what the main process leaves behind": {
			facts: []Fact{enters(0, "mariadb.service", "active", "running", "success")},
			event: sends(9*time.Second, kill.SIGTERM, mariadb),
			later: []Fact{enters(9*time.Second+ms, "mariadb.service", "deactivating", "stop-sigterm", "exit-code")},
			want:  expected{cause: kill.CauseMainProcessEnd, evidence: kill.EvidenceObserved, login: nobody},
		},
		"what the OOM killer leaves over": {
			event: sends(9*time.Second, kill.SIGKILL, mariadb),
			facts: []Fact{enters(0, "mariadb.service", "active", "running", "success")},
			later: []Fact{enters(9*time.Second+ms, "mariadb.service", "deactivating", "final-sigkill", "oom-kill")},
			want:  expected{cause: kill.CauseOOMPolicy, evidence: kill.EvidenceObserved, login: nobody},
		},
		"systemctl kill": {
			facts: []Fact{enters(0, "mariadb.service", "active", "running", "success"), connects(time.Second, kills)},
			event: sends(1005*ms, kill.SIGKILL, mariadb),
			want: expected{
				cause: kill.CauseServiceKill, evidence: kill.EvidenceInferred, requester: 145, initiator: 95, login: 1000, unsettled: true,
			},
		},
		"another name of the unit": {
			facts: []Fact{
				{Unit: &Unit{Time: after(0), Manager: 1, Name: "mariadb.service", Names: []string{"mariadb.service", "mysql.service"}}},
				connects(0, alias), begins(2*ms, 7, "stop", "mariadb.service"),
			},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceInferred, requester: 146, initiator: 95, login: 1000},
		},
		"a unit that nobody knows": {
			facts: []Fact{connects(0, alias), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"a program of one's own": {
			facts: []Fact{connects(0, own), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceInferred, requester: 142, login: nobody},
		},
		"a program that connects without a job": {
			facts: []Fact{connects(0, own), enters(0, "mariadb.service", "active", "running", "success")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{login: nobody, unsettled: true},
		},
		"the request of an earlier job, which was a call": {
			facts: []Fact{
				connects(0, stop), stops(ms, stop, "mariadb.service"), begins(2*ms, 7, "stop", "mariadb.service"),
			},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			later: []Fact{
				done(10*ms, 7, "mariadb.service"), connects(100*ms, twin), begins(102*ms, 8, "stop", "mariadb.service"),
			},
			again: sends(104*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceStop, evidence: kill.EvidenceInferred, requester: 144, initiator: 95, login: 1000},
		},
		"the request of an earlier job": {
			facts: []Fact{
				connects(0, stop), begins(2*ms, 7, "stop", "mariadb.service"), done(10*ms, 7, "mariadb.service"),
				begins(100*ms, 8, "restart", "mariadb.service"),
			},
			event: sends(104*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseServiceRestart, evidence: kill.EvidenceObserved, login: nobody, unsettled: true},
		},
		"the end of a session": {
			facts: []Fact{login(0, "21", 1001, "bob", "10.0.0.6"), stops(0, logind, "session-21.scope")},
			event: sends(4*ms, kill.SIGTERM, left),
			later: []Fact{begins(6*ms, 7, "stop", "session-21.scope")},
			want: expected{
				cause: kill.CauseSessionEnd, evidence: kill.EvidenceObserved, login: 1001, address: "10.0.0.6", unsettled: true,
			},
		},
		"a session that somebody ends": {
			facts: []Fact{alice, login(0, "21", 1001, "bob", "10.0.0.6"), connects(0, loginctl), begins(6*ms, 7, "stop", "session-21.scope")},
			event: sends(7*ms, kill.SIGTERM, left),
			want: expected{
				cause: kill.CauseSessionKill, evidence: kill.EvidenceInferred, requester: 148, initiator: 95, login: 1000, address: "10.0.0.5",
			},
		},
		"a shutdown": {
			facts: []Fact{connects(0, blocks), begins(2*ms, 6, "start", "poweroff.target"), begins(2*ms, 7, "stop", "mariadb.service")},
			event: sends(4*ms, kill.SIGTERM, mariadb),
			want:  expected{cause: kill.CauseShutdown, evidence: kill.EvidenceInferred, requester: 147, initiator: 95, login: 1000},
		},
		"a process outside of any unit": {
			facts: []Fact{connects(0, stop)},
			event: sends(4*ms, kill.SIGTERM, kill.Process{PID: 9, Instance: &kill.Instance{Cgroup: "/custom/group"}}),
			want:  expected{login: nobody},
		},
		"a kill of somebody who has logged in": {
			facts: []Fact{alice},
			event: &kill.Event{
				Kind: kill.KindSignal, Origin: kill.OriginUser, Time: after(0), Signal: kill.SIGTERM, SignalKnown: true,
				Sender:  *process(300, "pkill -f mariadbd", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", script, bash, sshd),
				Targets: []kill.Process{mariadb},
			},
			want: expected{initiator: 91, login: 1000, address: "10.0.0.5", unmanaged: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			processes := known{}
			for _, p := range []*kill.Process{
				restart, stop, status, stopOther, stopDatabase, unprivileged, own, fake, twin, kills, alias, blocks, logind, loginctl,
				startDatabase,
			} {
				processes[p.PID] = p
			}
			table := New(Config{Processes: processes})
			learn(table, tt.facts)
			e := *tt.event
			settled := table.Explain(&e)
			if len(tt.later) > 0 {
				learn(table, tt.later)
				if tt.again != nil {
					e = *tt.again
				}
				settled = table.Explain(&e)
			}
			assert.Equal(t, tt.want, told(&e, settled))
		})
	}
}

// TestJobsInARow stops a unit because of another one, starts it again and stops it for a third, all before anything
// is explained.
func TestJobsInARow(t *testing.T) {
	first := process(10, "systemctl stop database", 0, 1000, "/user.slice/session-17.scope", bash, sshd)
	last := process(11, "systemctl start other", 0, 1000, "/user.slice/session-17.scope", bash, sshd)
	table := New(Config{Processes: known{10: first, 11: last}})
	learn(table, []Fact{
		depends("part.service", "database.service"), excludes("part.service", "other.service"),
		connects(0, first), begins(2*ms, 1, "stop", "database.service"), begins(2*ms, 2, "stop", "part.service"),
		done(9*ms, 2, "part.service"), done(9*ms, 1, "database.service"),
		begins(12*ms, 3, "start", "part.service"), done(14*ms, 3, "part.service"),
		connects(16*ms, last), begins(18*ms, 4, "start", "other.service"), begins(18*ms, 5, "stop", "part.service"),
		done(25*ms, 5, "part.service"), done(25*ms, 4, "other.service"),
	})
	old, young := ofUnit(100, "server", "part.service"), ofUnit(101, "server", "part.service")
	old.Instance.Start, young.Instance.Start = after(-time.Hour), after(10*ms)
	for _, tt := range []struct {
		event *kill.Event
		named string
		by    int
	}{{sends(4*ms, kill.SIGTERM, old), "database.service", 10}, {sends(20*ms, kill.SIGTERM, young), "other.service", 11}} {
		table.Explain(tt.event)
		assert.Equal(t, kill.CauseDependency, tt.event.Cause)
		assert.Equal(t, tt.named, tt.event.Behind.Named)
		assert.Equal(t, tt.by, tt.event.Behind.Requester.PID)
	}
}
