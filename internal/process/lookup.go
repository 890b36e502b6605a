// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// ownerFor is how long the users of a process are considered current: a storm of refused signals to
// one process reads them once a second.
const ownerFor = time.Second

// owner says on whose behalf a process runs.
type owner struct {
	// user is its real user; login and session are those of the audit system.
	user, login, session kill.ID
	// command is its current name, which it may have changed.
	command string
	// at is when /proc was read; 0 if it never was.
	at time.Duration
}

// Known is what is known about a process.
type Known struct {
	Key
	Parent              int
	Command, Executable string
	Instance            *kill.Instance
	// RealUser, Login and Session are unset if /proc was not read, because it had been read too often.
	RealUser, Login, Session kill.ID
}

// Lookup returns the process that currently has a pid, or that the thread with this id belongs to.
func (t *Table) Lookup(pid int) (Known, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	e := t.living(pid)
	if e == nil || now >= e.owner.at+ownerFor {
		e = t.readProc(pid, e)
	}
	if e == nil || e.program == nil {
		return Known{}, false
	}
	command := e.program.command
	if e.owner.at != 0 {
		command = e.owner.command
	}
	return Known{
		Key: e.Key, Parent: e.parent, Command: command, Executable: e.program.executable,
		Instance: t.instanceOf(e), RealUser: e.owner.user, Login: e.owner.login, Session: e.owner.session,
	}, true
}

// Lives reports whether a process has not ended, as far as can be seen. A zombie has ended, unless
// it is only the first thread, which has ended before the others. If /proc cannot be read, every
// process counts as alive.
func (t *Table) Lives(key Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key = key.rounded()
	dir, ok := t.proc.open(key.PID)
	if !ok {
		return t.proc.hides(key.PID)
	}
	defer dir.close()
	s, ok := dir.stat()
	if !ok {
		return t.proc.hides(key.PID)
	}
	return keyOf(&s) == key && !s.Dead()
}

// living returns the living process with a pid, as far as the table knows.
func (t *Table) living(pid int) *entry {
	if e := t.memory.newest[pid]; e != nil && !e.gone {
		return e
	}
	return nil
}

// readProc reads a process from /proc, unless that is impossible or was done too often.
func (t *Table) readProc(pid int, known *entry) *entry {
	if t.proc.err != nil || !t.reads.take() {
		return known
	}
	if known == nil {
		pid = t.proc.processOf(pid)
	}
	e := t.refresh(pid)
	if e != nil {
		t.askOwner(e)
	}
	return e
}

// askOwner reads from /proc on whose behalf a living process runs.
func (t *Table) askOwner(e *entry) {
	if e.owner.at == 0 || t.now() >= e.owner.at+ownerFor {
		t.readOwner(e)
	}
}

// readOwner reads it even if it was just read, and reports whether the process still lives.
func (t *Table) readOwner(e *entry) bool {
	now := t.now()
	dir, s, ok := t.proc.openLife(e.Key)
	if !ok {
		return false
	}
	defer dir.close()
	e.owner = dir.owner()
	e.owner.command, e.owner.at = s.Command, now
	return true
}

// openLife opens the folder of a process, unless its pid now belongs to another.
func (p *proc) openLife(key Key) (folder, procstat.Stat, bool) {
	dir, ok := p.open(key.PID)
	if !ok {
		return folder{}, procstat.Stat{}, false
	}
	s, ok := dir.stat()
	if !ok || keyOf(&s) != key {
		dir.close()
		return folder{}, procstat.Stat{}, false
	}
	return dir, s, true
}
