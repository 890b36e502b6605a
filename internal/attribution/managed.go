// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"maps"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// managed is what a manager has said about its units.
type managed struct {
	manager
	// told is true if it reports its jobs, recorded if audit records tell of its services.
	told, recorded bool
	// monitored is true if every call on its bus is seen.
	monitored bool
	units     map[string]*unit
	// shutdown is when it began to end the whole system; zero if it does not. shutdownJob is the job that has said
	// so; 0 if something else has.
	shutdown    time.Time
	shutdownJob uint32
	// located is true once root is known.
	located bool
	// heard counts what it was told, and who has turned to it.
	heard uint64
}

// managerOf returns what a manager has said.
func (t *Table) managerOf(pid int) *managed {
	m := t.managers[pid]
	if m != nil {
		return m
	}
	if len(t.managers) >= maxManagers {
		t.forgetManager()
	}
	m = &managed{manager: manager{pid: pid}, units: map[string]*unit{}}
	if pid == hostInit {
		m.root, m.located = "/", true
	}
	t.managers[pid] = m
	for _, other := range t.managers { // the share of each is smaller now
		if len(other.units) > other.maxUnits(len(t.managers)) {
			other.forgetUnits()
		}
	}
	return m
}

// forgetManager forgets any manager but the host's, and, if possible, but those that report their jobs.
func (t *Table) forgetManager() {
	forgotten := 0
	for pid, m := range t.managers {
		if pid != hostInit {
			if forgotten = pid; !m.told {
				break
			}
		}
	}
	delete(t.managers, forgotten)
}

// locate finds out what a manager manages that has reported something.
func (t *Table) locate(m *managed) {
	if m.located || t.config.Processes == nil {
		return
	}
	p := kill.Process{PID: m.pid}
	if !t.config.Processes.Complete(&p, time.Now()) {
		return
	}
	if found, ok := systemdOf(&p); ok {
		t.settle(m, found)
	}
}

// settle notes which systemd it is that has reported something. What another one had reported, whose pid it has, counts
// no longer.
func (t *Table) settle(m *managed, found manager) {
	if !m.sameProcess(&found) {
		clear(m.units)
		m.end(time.Time{}, true)
		maps.DeleteFunc(t.logins, func(k loginKey, _ *session) bool { return k.manager == m.pid })
	}
	m.manager, m.located = found, true
}

// Follow says whether a manager is about to report its jobs, so that its signals may wait for that, and
// whether every call on its bus is seen.
func (t *Table) Follow(pid int, follows, monitored bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.managerOf(hostFor0(pid))
	if m.told && !follows {
		m.loseJobs(time.Now())
	}
	m.told, m.monitored = follows, monitored
	m.heard++
	if follows {
		m.located = m.pid == hostInit // the pid may be another one's by now
	}
	t.locate(m)
}

// loseJobs notes that nobody will say when the jobs end that are under way.
func (m *managed) loseJobs(at time.Time) {
	for _, u := range m.units {
		u.endJobs(at, func(*job) bool { return true })
	}
}

// maxUnits returns how many units of a manager are remembered if there are so many managers.
func (m *managed) maxUnits(managers int) int {
	if m.pid == hostInit {
		return maxUnits
	}
	return min(maxUnits, maxOthersUnits/managers)
}

// unitOf returns what one of some managers has said about a unit, and makes room for it.
func (m *managed) unitOf(name string, at time.Time, managers int) *unit {
	u := m.units[name]
	if u == nil {
		if len(m.units) >= m.maxUnits(managers) {
			m.forgetUnits()
		}
		u = &unit{name: name}
		m.units[name] = u
	}
	u.touch = at
	u.heard++
	return u
}

// forgetUnits forgets the half that was not heard of for the longest time.
func (m *managed) forgetUnits() {
	names := slices.SortedFunc(maps.Keys(m.units), func(a, b string) int { return m.units[a].touch.Compare(m.units[b].touch) })
	for _, name := range names[:len(names)/2] {
		delete(m.units, name)
	}
}

func (t *Table) learnJob(j *Job) {
	m := t.managerOf(hostFor0(j.Manager))
	t.locate(m)
	if j.ID == 0 { // an audit record, which tells only that a service has stopped or started
		m.recorded = true
		if u := m.unitOf(j.Unit, j.Time, len(t.managers)); j.Type == "stop" {
			u.stopped = j.Time
		}
		return
	}
	m.told = true
	if shutdownUnits[j.Unit] {
		m.learnShutdown(j)
	}
	m.unitOf(j.Unit, j.Time, len(t.managers)).learnJob(j)
}

// learnShutdown notes what is told of the job of a unit that ends the system. Its type may be told later than the job.
func (m *managed) learnShutdown(j *Job) {
	switch begins := j.Type != "stop" && !j.Done; {
	case begins && !m.shuttingDown():
		m.end(j.Time, false)
		m.shutdownJob = j.ID
	case !begins && m.shutdownJob == j.ID && (j.Type == "stop" || j.Result != "done"):
		m.end(j.Time, true)
	}
}

// end notes that a manager begins to end the whole system, or no longer does.
func (m *managed) end(at time.Time, canceled bool) {
	m.heard++
	switch {
	case canceled:
		m.shutdown, m.shutdownJob = time.Time{}, 0
	case !m.shuttingDown():
		m.shutdown = at
	}
}

func (m *managed) shuttingDown() bool { return !m.shutdown.IsZero() }

// ending reports whether a manager is ending the whole system at a time, and not only before or long after that.
func (m *managed) ending(at time.Time) bool {
	return m.shuttingDown() && at.Sub(m.shutdown) > -jobLag && at.Sub(m.shutdown) < longestShutdown
}

// shutdownUnits are those whose start ends the system, or the manager of a user.
var shutdownUnits = map[string]bool{
	"shutdown.target": true, "poweroff.target": true, "reboot.target": true, "halt.target": true, "kexec.target": true,
	"exit.target": true, "soft-reboot.target": true, "umount.target": true,
}

// hostFor0 returns the pid of a manager that facts call 0 if it is the host's.
func hostFor0(pid int) int {
	if pid == 0 {
		return hostInit
	}
	return pid
}

// zeroForHost is the opposite.
func zeroForHost(pid int) int {
	if pid == hostInit {
		return 0
	}
	return pid
}

// containerOf returns the innermost manager of another system that a control group belongs to; nil if
// it is the host's.
func (t *Table) containerOf(cgroup string) *managed {
	var inner *managed
	for pid, m := range t.managers {
		if pid == hostInit || !m.located || !m.ofSystem() || !within(cgroup, m.root) {
			continue
		}
		if inner == nil || len(m.root) > len(inner.root) {
			inner = m
		}
	}
	return inner
}

// knownAs returns what a manager has said, which is nothing if it was never heard of.
func (t *Table) knownAs(m manager) *managed {
	known := t.managers[m.pid]
	if known == nil {
		return &managed{manager: m, located: true}
	}
	if !known.located || !known.sameProcess(&m) {
		t.settle(known, m)
	}
	return known
}

// above returns the manager that has started a process or an ancestor of it, and which of these is its child. nil if there is
// none.
func (t *Table) above(p *kill.Process) (m *managed, child int) {
	if m := t.managers[p.ParentPID]; m != nil {
		return m, p.PID
	}
	for i := 1; i < len(p.Ancestry); i++ {
		if m := t.managers[p.Ancestry[i].PID]; m != nil {
			return m, p.Ancestry[i-1].PID
		}
	}
	return nil, 0
}

// beganFor reports whether a child of a manager was started for a job: a script such as that of ExecStop=, whose programs act for
// the manager. What the main process of a service starts does not.
func (t *Table) beganFor(j *job, child int, e *kill.Event) bool {
	p := kill.Process{PID: child}
	if t.config.Processes == nil || !t.config.Processes.Complete(&p, e.Time) || p.Instance == nil || e.Targets[0].Instance == nil {
		return false
	}
	return !p.Instance.Start.Before(j.Time.Add(-jobLag)) && e.Targets[0].Instance.Start.Before(j.Time)
}

// controls returns the manager whose job the sender carries out: a process of the unit, such as ExecStop= or
// ExecReload= has started, or a program that it runs. nil if the sender is none.
func (t *Table) controls(e *kill.Event) *managed {
	m, child := t.above(&e.Sender)
	if m == nil || !m.located || !m.told || len(e.Targets) == 0 {
		return nil
	}
	// What the host's systemd starts has no login. What a user's program left behind, such as in cron.service, is its child as well.
	if m.pid == hostInit && e.Sender.Login.ID.Known {
		return nil
	}
	name := m.unitIn(cgroupOf(&e.Sender))
	u := m.units[name]
	if name == "" || u == nil || m.unitIn(cgroupOf(&e.Targets[0])) != name {
		return nil
	}
	// What a service does as it starts is its own business. Most of its own processes are no children of the manager.
	if j := u.jobFor(e); j == nil || j.Type == "start" || child != e.Sender.PID && !t.beganFor(j, child, e) {
		return nil
	}
	return m
}
