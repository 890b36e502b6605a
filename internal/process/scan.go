// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// scanInterval is how long a new process may go unnoticed by a source that
	// tells only of signals. If no process was born, a scan reads two small files.
	scanInterval = 250 * time.Millisecond
	// scanPause is how many times longer than a scan the pause after it is, so
	// that scanning takes a fifth of a percent of a processor on the largest host.
	scanPause = 500
	// settling is the age at which a process runs what it is going to run: between
	// fork and exec it is a copy of its parent.
	settling = time.Second
	// freshFor is how long what may change without a trace in /proc/<pid>/stat, the
	// control group and a title, is taken as it was.
	freshFor = time.Second
)

// Prime learns of all processes and control groups that there are. What the
// kernel tells meanwhile is newer.
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
	return t.scan()
}

// Run keeps the table fresh until ctx is done, for sources that do not tell it
// of every process.
func (t *Table) Run(ctx context.Context) {
	timer := time.NewTimer(scanInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := time.Now()
		if err := t.scan(); err != nil {
			t.logger.Warn("cannot see which processes there are: names of targets will be missing", zap.Error(err))
		}
		timer.Reset(max(scanInterval, scanPause*time.Since(start)))
	}
}

// scan looks for processes that were born or have ended since the last scan.
//
// One process can have taken another's place only if its pid was given out since,
// so of those that were known already only these are looked at.
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
		t.look(pid, mayBeNew(pid, last, now), now.at)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scanned = now
	t.settle(now)
	return nil
}

// snapshot asks /proc for the state of the pid allocator.
func (t *Table) snapshot() snapshot {
	m := snapshot{at: t.now()}
	m.cursor, m.births = t.proc.births()
	return m
}

// look notes that a process exists. It holds the lock for one process only.
func (t *Table) look(pid int, maybeNew bool, now time.Duration) {
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

// young reports whether the process was so young when it was read that it may
// run something else by now.
func (e *entry) young(now time.Duration) bool {
	return !e.told && e.read < e.Start+settling && e.read+settling < now
}

// settle notes who has ended, and up to when each pid was surely not given out
// again.
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

// refresh brings what is known of a pid in line with /proc, and returns the
// process that bears it; nil if there is none.
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
	e.notReusedUntil.at, e.seen = now, now
	if !e.told || e.program == nil {
		t.learn(e, &s, dir, now)
	}
	return e
}

// miss notes that nobody bears a pid.
func (t *Table) miss(pid int) {
	if e := t.memory.newest[pid]; e != nil && t.proc.err == nil {
		t.memory.leave(e)
	}
}

// learn takes over what /proc tells of a living process. One that is dying has
// lost its program and its command line already, so the old ones stand.
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
		e.before, e.program = old, &program{command: s.Command, executable: executable, commandLine: commandLine}
		e.instance = nil
	case commandLine != "" && commandLine != old.commandLine:
		e.program = &program{command: old.command, executable: old.executable, commandLine: commandLine}
		e.instance = nil
	}
	path := parseCgroups(dir.cgroups())
	if path == "/" {
		// So the kernel says of whoever is about to end, wherever it was.
		if last, ok := dir.stat(); !ok || last.Zombie || last.Exiting {
			path = ""
		}
	}
	if path != "" && (e.place == nil || e.place.path != path && !s.Zombie) {
		e.place, e.cgroup, e.instance = newPlace(path), CgroupID{}, nil
	}
}
