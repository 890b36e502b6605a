// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// ownerFor is how long the users of a process are taken as they were: a storm of
// refused signals to one process asks for them once a second.
const ownerFor = time.Second

// owner is on whose behalf a process runs.
type owner struct {
	// user is its real user, login and session the audit system's.
	user, login, session kill.ID
	// command is its name now, which it may have changed.
	command string
	// at is when /proc was asked; 0 if it never was.
	at time.Duration
}

// Known is what is known of a process.
type Known struct {
	Key
	Parent              int
	Command, Executable string
	Instance            *kill.Instance
	// RealUser, Login and Session are unset where /proc was not asked, because it
	// was asked too often.
	RealUser, Login, Session kill.ID
}

// Lookup returns the process that bears a pid now, or that a thread belongs to.
func (t *Table) Lookup(pid int) (Known, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	e := t.living(pid)
	if e == nil || now >= e.owner.at+ownerFor {
		e = t.lookAt(pid, e)
	}
	if e == nil || e.program == nil {
		return Known{}, false
	}
	if e.instance == nil {
		e.instance = t.describe(e, e.program)
	}
	command := e.program.command
	if e.owner.at != 0 {
		command = e.owner.command
	}
	return Known{
		Key: e.Key, Parent: e.parent, Command: command, Executable: e.program.executable,
		Instance: e.instance, RealUser: e.owner.user, Login: e.owner.login, Session: e.owner.session,
	}, true
}

// Lives reports whether a process has not ended, as far as can be seen: a zombie has,
// unless it is but the first thread that has ended before the others. Where /proc
// cannot be looked at, everybody lives.
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

// living returns the process that bears a pid as far as the table knows.
func (t *Table) living(pid int) *entry {
	if e := t.memory.newest[pid]; e != nil && !e.gone {
		return e
	}
	return nil
}

// lookAt asks /proc about a process, unless it cannot be or was asked too often.
func (t *Table) lookAt(pid int, known *entry) *entry {
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

// askOwner asks /proc on whose behalf a living process runs.
func (t *Table) askOwner(e *entry) {
	now := t.now()
	if e.owner.at != 0 && now < e.owner.at+ownerFor {
		return
	}
	dir, s, ok := t.proc.openLife(e.Key)
	if !ok {
		return
	}
	defer dir.close()
	e.owner = dir.owner()
	e.owner.command, e.owner.at = s.Command, now
}

// openLife opens the folder of a process, unless its pid is another's by now.
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
