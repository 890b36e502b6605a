// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// scanInterval is how long a new process may go unnoticed with a source that reports only
	// signals. If no process was created, a scan reads only two small files.
	scanInterval = 250 * time.Millisecond
	// scanPause is the minimum pause between scans, as a multiple of the processor time that one takes,
	// so that scanning takes a fifth of a percent of a processor on the largest host.
	scanPause = 500
	// settling is the age at which a process runs its actual program: between fork and exec it is a
	// copy of its parent.
	settling = time.Second
	// freshFor is how long the control group and the title of a process are considered current:
	// they may change without a trace in /proc/<pid>/stat.
	freshFor = time.Second
)

// Prime reads all existing processes and control groups. What the kernel reports meanwhile takes
// precedence, because it is newer.
func (t *Table) Prime() error {
	mounts := cgroupMounts(t.cgroups.root, t.proc.hierarchies())
	var all []found
	for hierarchy, mount := range mounts {
		all = append(all, walkCgroups(hierarchy, mount)...)
	}
	t.mu.Lock()
	t.cgroups.mounts = mounts
	for _, f := range all {
		if t.cgroups.find(f.id) == nil {
			t.cgroups.add(f.id, f.path)
		}
	}
	t.mu.Unlock()
	if err := t.scan(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.memory.newest { // what has come before can only be taken for what it is
		e.begun.own = e.begun.own || e.begun.session == 0
	}
	return nil
}

// Run keeps the table up to date until ctx is done, for sources that do not report every process.
func (t *Table) Run(ctx context.Context) {
	// On a busy host, a scan takes much longer than it runs, and new processes would stay unknown for as much longer.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer := time.NewTimer(scanInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := threadTime()
		if err := t.scan(); err != nil {
			t.logger.Warn("cannot list the processes: names of targets will be missing", zap.Error(err))
		}
		timer.Reset(max(scanInterval, scanPause*(threadTime()-start)))
	}
}

// scan finds processes that were created or have ended since the last scan.
//
// A process can have replaced another only if its pid was given out since then, so only those of
// the known processes are checked.
func (t *Table) scan() error {
	t.mu.Lock()
	last := t.scanned
	now := t.snapshot() // before the list, which may miss what comes later
	t.mu.Unlock()
	if now.births != 0 && now.births == last.births && now.cursor == last.cursor {
		return nil
	}
	pids, err := t.proc.pids()
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.round++
	t.mu.Unlock()
	for _, pid := range pids {
		t.note(pid, mayBeNew(pid, last, now), now.at)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scanned = now
	t.settle(now)
	return nil
}

// snapshot reads the state of the pid allocator from /proc.
func (t *Table) snapshot() snapshot {
	m := snapshot{at: t.now()}
	m.cursor, m.births = t.proc.births()
	return m
}

// note notes that a process exists. It holds the lock only for that one process.
func (t *Table) note(pid int, maybeNew bool, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.memory.newest[pid]
	if known := e != nil && !e.gone && e.program != nil; !known || maybeNew || e.young(now) {
		if e = t.refresh(pid); e == nil {
			return
		}
	}
	e.round = t.round
}

// young reports whether the process was so young when it was read that it may run something else by
// now.
func (e *entry) young(now time.Duration) bool {
	return !e.reported && e.read < e.Start+settling && e.read+settling < now
}

// settle notes which processes have ended, and until when each pid was certainly not given out again.
func (t *Table) settle(now snapshot) {
	for _, e := range t.memory.newest {
		if e.round != t.round {
			t.memory.leave(e)
		}
		if !e.gone || e.notReusedUntil.at != 0 && !mayBeNew(e.PID, e.notReusedUntil, now) {
			e.notReusedUntil = now
		}
	}
}

// refresh updates what is known about a pid from /proc, and returns the process that has it; nil if
// there is none.
func (t *Table) refresh(pid int) *entry {
	now := t.now()
	dir, ok := t.proc.open(pid)
	if !ok {
		t.miss(pid)
		return nil
	}
	defer dir.close()
	s, ok := dir.stat()
	if !ok || s.PID != pid {
		t.miss(pid)
		return nil
	}
	key := keyOf(&s)
	e := t.memory.find(key)
	if e == nil {
		e = &entry{Key: key, round: t.round}
		t.memory.add(e)
	}
	if e.notReusedUntil.at == 0 {
		e.notReusedUntil = t.scanned
	}
	e.notReusedUntil.at, e.seen, e.batch = now, now, t.batch.number
	if !e.reported || e.program == nil {
		t.learn(e, &s, dir, now)
	}
	return e
}

// miss notes that no process has a pid.
func (t *Table) miss(pid int) {
	t.batch.miss(pid)
	if e := t.memory.newest[pid]; e != nil && t.proc.err == nil {
		t.memory.leave(e)
	}
}

// learn adopts what /proc shows about a living process. A process that is ending has already lost
// its program and its command line, so the old ones remain.
func (t *Table) learn(e *entry, s *procstat.Stat, dir folder, now time.Duration) {
	e.parent = s.Parent
	executable := dir.executable()
	old := e.program
	same := old != nil && old.command == s.Command && (executable == "" || executable == old.executable)
	if same && (s.Zombie || now < e.read+freshFor) {
		return
	}
	e.read = now
	commandLine := dir.commandLine()
	switch {
	case !same:
		t.programs.Add(1)
		e.before, e.program = old, &program{command: s.Command, executable: executable, commandLine: commandLine}
		e.instance = nil
	case commandLine != "" && commandLine != old.commandLine:
		t.programs.Add(1)
		e.program = &program{command: old.command, executable: old.executable, commandLine: commandLine}
		e.instance = nil
	}
	age := time.Duration(0)
	if same {
		age = spaceFor
	}
	t.lookAround(e, dir, executable, age)
	path := parseCgroups(dir.cgroups())
	if path == "/" {
		// The kernel shows this for any process that is about to end, wherever it was.
		if last, ok := dir.stat(); !ok || last.Zombie || last.Exiting {
			path = ""
		}
	}
	if path != "" && (e.place == nil || e.place.path != path && !s.Zombie) {
		e.place, e.cgroup, e.instance = t.cgroups.newPlace(path), CgroupID{}, nil
	}
}
