// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	processes "github.com/auditkill/auditkillreceiver/internal/process"
)

const (
	// betweenStops is how long after each other units are stopped on a busy host: 1,000 a minute.
	betweenStops = 60 * ms
	// livesBetweenStops is how many other processes start and end meanwhile: 10,000 a second.
	livesBetweenStops = 600
	// mostOfTable is how many MB the table may take, whatever happens.
	mostOfTable = 20
)

// busyHost is a host on which processes start and end all the time, while units are stopped.
type busyHost struct {
	known *processes.Table
	// table is nil if nobody wants to know who is behind the stops.
	table *Table
	// agent makes all calls, if there is one; else each is the command of somebody.
	agent *kill.Process
	now   time.Duration
	lives int
	stops int
}

func newBusyHost(attributes, agent bool) *busyHost {
	h := &busyHost{known: processes.NewTable(processes.Config{})}
	if attributes {
		h.table = New(Config{Processes: h.known})
		h.table.Follow(1, true, agent)
	}
	h.known.MadeCgroup(processes.CgroupID{ID: 17}, "/user.slice/user-1000.slice/session-17.scope")
	for pid, line := range []string{"/usr/lib/systemd/systemd", "sshd: alice@pts/0", "-bash"} {
		h.runs(processes.Key{PID: pid + 1}, pid, line)
	}
	if agent {
		h.agent = h.asks("python3 /opt/agent.py")
	}
	return h
}

func (h *busyHost) at() time.Time { return processes.BootTime().Add(h.now) }

func (h *busyHost) runs(key processes.Key, by int, line string) {
	h.known.Exec(processes.Exec{
		Key: key, Parent: by, Command: "program", Executable: "/usr/bin/program", CommandLine: words(line),
		Cgroup: processes.CgroupID{ID: 17},
	})
}

// born returns a new process.
func (h *busyHost) born() processes.Key {
	h.lives++
	h.now += 10 * time.Microsecond
	key := processes.Key{PID: 100 + h.lives%100_000, Start: h.now}
	h.known.Fork(processes.Key{PID: 3}, key)
	return key
}

// asks starts a program that turns to the manager.
func (h *busyHost) asks(line string) *kill.Process {
	key := h.born()
	h.runs(key, 3, line)
	p := &kill.Process{
		PID: key.PID, ParentPID: 3, Command: "systemctl", Executable: "/usr/bin/systemctl", Title: words(line),
		User: kill.User{ID: kill.NewID(0)}, Login: kill.User{ID: kill.NewID(1000)}, Session: kill.NewID(17),
		Ancestry: []kill.Ancestor{{PID: 3, Command: "program"}, {PID: 2, Command: "program"}, {PID: 1, Command: "program"}},
	}
	p.Instance, _ = h.known.Identify(key, processes.CgroupID{ID: 17})
	return p
}

func (h *busyHost) learn(f Fact) {
	if h.table != nil {
		h.table.Learn(&f)
	}
}

// stop stops a unit that was never heard of before, as systemd-run(1) makes them, by another user's login, and reports
// whether it is known who has asked for it.
func (h *busyHost) stop() (named bool) {
	h.stops++
	id := uint32(h.stops)
	unit := fmt.Sprintf("run-u%d.service", h.stops)
	requester := h.agent
	if requester == nil {
		requester = h.asks("systemctl stop " + unit)
		defer h.known.Exit(processes.Key{PID: requester.PID, Start: requester.Instance.SinceBoot}, h.at())
	}
	request := &Request{Time: h.at(), Requester: *requester, Manager: 1, Socket: "/run/systemd/private"}
	if h.agent != nil {
		request.Call = &Call{Member: "StopUnit", Object: unit, Job: id}
	}
	h.learn(Fact{Request: request})
	other := *requester // somebody else turns to the manager for something else
	other.User.ID = kill.NewID(2000 + id%1000)
	h.learn(Fact{Request: &Request{Time: h.at(), Requester: other, Manager: 1, Socket: "/run/dbus/system_bus_socket"}})
	h.learn(Fact{Job: &Job{Time: h.at(), Manager: 1, ID: id, Type: "stop", Unit: unit}})
	h.learn(Fact{Login: &Login{
		Time: h.at(), User: kill.User{ID: kill.NewID(1000), Name: "alice"}, Leader: 1000 + h.stops,
		Session: kill.Session{ID: fmt.Sprint("c", h.stops), Service: "cron", UserName: "alice"},
	}})
	e := sends(0, kill.SIGTERM, ofUnit(h.born().PID, "server", unit))
	e.Time = h.at().Add(ms)
	if h.table != nil {
		h.table.Explain(e)
		named = e.Behind != nil && e.Behind.Requester != nil && e.Behind.Requester.PID == requester.PID
	}
	h.learn(Fact{Unit: &Unit{Time: h.at().Add(2 * ms), Manager: 1, Name: unit, Active: "inactive", Sub: "dead", Result: "success"}})
	h.learn(Fact{Job: &Job{Time: h.at().Add(2 * ms), Manager: 1, ID: id, Unit: unit, Done: true, Result: "done"}})
	return named
}

// live starts and ends processes that have nothing to do with the manager.
func (h *busyHost) live(lives int) {
	for range lives {
		key := h.born()
		h.runs(key, 3, "sleep 0.1")
		h.known.Exit(key, h.at())
		h.now += betweenStops / time.Duration(lives)
	}
}

// heap returns how many MB are in use.
func heap() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // which frees what had a finalizer
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc) / (1 << 20)
}

// takes returns how many MB a busy host takes, and how many stops are explained, after some stops.
func takes(attributes, agent bool, stops, lives int) (megabytes float64, named int) {
	before := heap()
	h := newBusyHost(attributes, agent)
	for range stops {
		if h.stop() {
			named++
		}
		h.live(lives)
	}
	megabytes = heap() - before
	runtime.KeepAlive(h)
	return megabytes, named
}

// TestBusyHostIsBounded stops so many units that everything has been forgotten once.
func TestBusyHostIsBounded(t *testing.T) {
	for name, agent := range map[string]bool{"each by somebody": false, "all by one": true} {
		t.Run(name, func(t *testing.T) {
			const stops = 2 * maxSessions
			without, _ := takes(false, agent, stops, 10)
			with, named := takes(true, agent, stops, 10)
			assert.LessOrEqual(t, with-without, float64(mostOfTable), "MB")
			assert.Equal(t, stops, named)
		})
	}
}

// BenchmarkBusyHost stops a unit while 600 processes start and end. 60,000 of these are an hour of a host on which 10,000
// processes a second start, and 1,000 units a minute stop (-benchtime 60000x).
func BenchmarkBusyHost(b *testing.B) {
	for _, test := range []struct {
		name              string
		attributes, agent bool
	}{
		{"without", false, false},
		{"each by somebody", true, false},
		{"all by one", true, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			before, named := heap(), 0
			h := newBusyHost(test.attributes, test.agent)
			for b.Loop() {
				if h.stop() {
					named++
				}
				h.live(livesBetweenStops)
			}
			b.ReportMetric(heap()-before, "MB")
			b.ReportMetric(float64(named)/float64(h.stops), "named")
			runtime.KeepAlive(h)
		})
	}
}
