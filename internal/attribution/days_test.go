// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// place is a system of a host, or a user's part of it, with a systemd of its own.
type place struct {
	systemd kill.Process
	// below is the control group in which its services are.
	below string
	// user is who may ask it.
	user uint32
}

// places are the host, a container, whose root is somebody else outside, and a user.
var places = []place{
	{systemd: ofHost, below: "/system.slice/", user: 0},
	{systemd: *systemdIn(50, "/machine.slice/box", 100000, kill.WhoseOther), below: "/machine.slice/box/system.slice/", user: 100000},
	{systemd: *systemdIn(60, userManager, 1001, kill.WhoseHost), below: userManager + "/app.slice/", user: 1001},
}

// life is a random day with more than stops: jobs that take their time, and that others join, units that stop because of
// others, services that end by themselves, agents that nobody sees ask, and people who come and go. Units have the same
// names everywhere.
type life struct {
	day
	// late is how much later facts may be told than they were, lost how many of a hundred of a systemd are not told at all.
	late time.Duration
	lost int
}

func (l *life) tells(in *place, at time.Duration, f Fact) {
	if l.random.IntN(100) < l.lost {
		return
	}
	switch pid := in.systemd.PID; {
	case f.Job != nil:
		f.Job.Manager = pid
	case f.Unit != nil:
		f.Unit.Manager = pid
	}
	l.add(at+time.Duration(l.random.Int64N(int64(l.late)+1)), f)
}

// starts starts a program of who may ask a systemd.
func (l *life) starts(in *place, line string) *kill.Process {
	l.pid++
	p := process(l.pid, line, in.user, 1000+l.random.Uint32N(10), "/user.slice/session-17.scope", parent(95, "sudo "+line), bash, sshd)
	l.processes[p.PID] = p
	return p
}

func (l *life) turnsTo(in *place, at time.Duration, p *kill.Process) {
	f := connects(at, p)
	f.Request.Manager = in.systemd.PID
	if in.systemd.PID != 1 {
		f.Request.Socket = "/run/user/1001/systemd/private"
	}
	l.add(at+time.Duration(l.random.Int64N(int64(l.late)/8+1)), f)
}

// asks has somebody run systemctl.
func (l *life) asks(in *place, at time.Duration, line string) *kill.Process {
	p := l.starts(in, "systemctl "+line)
	l.turnsTo(in, at, p)
	return p
}

// signals has a systemd signal a process of a unit, because of who has a pid.
func (l *life) signals(in *place, at time.Duration, signal kill.Signal, pid int, unit string, by int) {
	e := sends(at, signal, kill.Process{PID: pid, Command: "server", Instance: &kill.Instance{
		SinceBoot: time.Duration(pid) * time.Second, Cgroup: in.below + unit,
	}})
	e.Sender = in.systemd
	l.moments = append(l.moments, moment{at: at, event: e, by: by})
}

// carriesOut has a systemd do a job that stops some units.
func (l *life) carriesOut(in *place, at time.Duration, kind string, by int, units ...string) {
	for _, unit := range units {
		l.job++
		id, target := l.job, l.newTarget()
		signaled := l.soon(at)
		reported := at + time.Duration(l.random.Int64N(int64(10*ms)))
		first := kind
		if l.random.IntN(3) == 0 {
			first = "" // its type is told later
			l.tells(in, reported+3*ms, begins(reported+3*ms, id, kind, unit))
		}
		l.tells(in, reported, begins(reported, id, first, unit))
		l.signals(in, signaled, kill.SIGTERM, target, unit, by)
		l.tells(in, reported+ms, enters(reported+ms, unit, "deactivating", "stop-sigterm", "success"))
		ended := max(reported, signaled) + time.Duration(l.random.Int64N(int64(100*ms))) + 5*ms
		if l.random.IntN(5) == 0 { // it does not stop, while others lose their patience
			ended = at + 5*time.Second
			l.asks(in, at+2500*ms, "stop "+unit)
			l.signals(in, ended, kill.SIGKILL, target, unit, by)
			l.tells(in, ended+ms, enters(ended+ms, unit, "deactivating", "stop-sigkill", "timeout"))
			ended += 5 * ms
		}
		l.tells(in, ended, enters(ended, unit, "inactive", "dead", "success"))
		l.tells(in, ended, done(ended, id, unit))
	}
}

func (l *life) newTarget() int {
	l.pid++
	return l.pid
}

// happens has something happen to a unit.
func (l *life) happens(in *place, at time.Duration, n int) {
	unit, part := fmt.Sprintf("unit%d.service", n), fmt.Sprintf("part%d.service", n)
	l.tells(in, at-time.Minute, enters(at-time.Minute, unit, "active", "running", "success"))
	asked := l.soon(at)
	switch l.random.IntN(9) {
	case 0, 1: // somebody stops it
		l.carriesOut(in, asked, "stop", l.asks(in, at, "stop "+unit).PID, unit)
	case 2: // with what depends on it
		f := depends(part, unit)
		f.Unit.Time = after(at - time.Minute)
		l.tells(in, at-time.Minute, f)
		l.carriesOut(in, asked, "stop", l.asks(in, at, "stop "+unit).PID, unit, part)
	case 3: // several at once
		l.carriesOut(in, asked, "restart", l.asks(in, at, "restart "+unit+" "+part).PID, unit, part)
	case 4: // somebody kills it
		target, signal, name := l.newTarget(), kill.SIGTERM, "TERM"
		if l.random.IntN(2) == 0 {
			signal, name = kill.SIGHUP, "HUP"
		}
		l.signals(in, asked, signal, target, unit, l.asks(in, at, "kill -s "+name+" "+unit).PID)
		if l.random.IntN(2) == 0 { // and somebody else does so as well, later
			later := at + 3*time.Second + time.Duration(l.random.Int64N(int64(3*time.Second)))
			l.signals(in, l.soon(later), kill.SIGKILL, target, unit, l.asks(in, later, "kill -s KILL "+unit).PID)
		}
	case 5: // an agent stops it, whose call nobody sees, while somebody looks on, and stops something else
		l.carriesOut(in, asked, "stop", 0, unit)
		l.asks(in, at, "status "+unit)
		l.asks(in, at, "stop other"+unit)
		if in.systemd.PID == 1 {
			l.turnsTo(in, at, l.starts(in, "sudo ls"))
		}
	case 6: // its watchdog bites
		l.signals(in, at, kill.SIGABRT, l.newTarget(), unit, 0)
		l.tells(in, asked, enters(asked, unit, "deactivating", "stop-watchdog", "watchdog"))
	case 7: // somebody looks on
		l.turnsTo(in, at, l.starts(in, "python3 /opt/exporter.py"))
		l.asks(in, at, "status "+unit)
	case 8: // the same name is stopped elsewhere
		other := &places[l.random.IntN(len(places))]
		l.carriesOut(other, asked, "stop", l.asks(other, at, "stop "+unit).PID, unit)
		if other != in {
			l.carriesOut(in, asked, "stop", 0, unit)
		}
	}
}

// TestDays names who was behind the signals of random days, on which facts are late or get lost, and compares that with
// who was.
func TestDays(t *testing.T) {
	for name, tt := range map[string]struct {
		late   time.Duration
		lost   int
		recall float64
	}{
		"all is told at once":      {0, 0, 0.95},
		"much is told late":        {80 * ms, 0, 0.9},
		"some of it gets lost":     {0, 5, 0.85},
		"late, and much is lost":   {80 * ms, 20, 0.6},
		"systemd says very little": {20 * ms, 70, 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked, named int
			for seed := range uint64(20) {
				l := &life{day: day{random: rand.New(rand.NewPCG(seed, 11)), processes: known{}, pid: 1000}, late: tt.late, lost: tt.lost} //nolint:gosec // the same in each run
				for i := range places[1:] {
					p := places[1+i].systemd
					l.processes[p.PID] = &p
				}
				for i := range places { // it does so all day
					l.turnsTo(&places[i], -time.Minute, l.starts(&places[i], "python3 /opt/exporter.py"))
				}
				for n := range 300 {
					in := &places[l.random.IntN(len(places))]
					l.happens(in, time.Duration(l.random.Int64N(int64(20*time.Second))), n)
				}
				a, n := l.play(t)
				asked, named = asked+a, named+n
			}
			t.Logf("%d of %d are named", named, asked)
			assert.GreaterOrEqual(t, float64(named), tt.recall*float64(asked), "%d of %d are named", named, asked)
		})
	}
}
