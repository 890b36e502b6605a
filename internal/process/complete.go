// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Complete adds to a process that had a pid at a time what the table knows: what it runs, for whom, and its
// parents. If its Instance is known as well, only that process counts. It reports whether it has found the
// process. It never waits for a user database, as others wait for whoever asks: NameLate adds a name that was not
// read yet.
func (t *Table) Complete(p *kill.Process, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.hurry()()
	e := t.wanted(p, at)
	if e == nil || e.program == nil {
		return false
	}
	p.Instance = t.instanceOf(e)
	if p.ParentPID == 0 {
		p.ParentPID = e.parent
	}
	if p.Command == "" {
		p.Command = e.program.command
	}
	if p.Executable == "" {
		p.Executable = e.program.executable
	}
	if e.program.commandLine != "" {
		p.Title = e.program.commandLine
	}
	p.Home = p.Instance.Home
	if !e.gone {
		t.completeOwner(p, e)
	}
	if p.Ancestry == nil {
		p.Ancestry = t.parentsOf(e)
	}
	p.Ancestry = t.titled(e.Start, p.Ancestry, nil)
	t.nameOwn(p)
	return true
}

// NameLate adds what a process's own database calls its user, if that could not be said when the process was completed.
// It never waits either.
func (t *Table) NameLate(p *kill.Process) {
	if p.ContainerUser != "" || p.Home.Users == kill.WhoseHost || p.Instance == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.hurry()()
	t.nameOwn(p)
}

// hurry has nobody wait for a user database until what it returns is called. What is not known yet is read meanwhile.
func (t *Table) hurry() (done func()) {
	t.homes.spaces.hurried = true
	return func() { t.homes.spaces.hurried = false }
}

// wanted returns the process that Complete is asked about.
func (t *Table) wanted(p *kill.Process, at time.Time) *entry {
	if p.Instance != nil {
		return t.memory.find(Key{PID: p.PID, Start: p.Instance.SinceBoot}.rounded())
	}
	born := t.sinceBoot(at)
	e := t.bornBefore(p.PID, born)
	if e == nil || e.program == nil {
		e = t.readProc(p.PID, e)
	}
	if e != nil && e.Start > born {
		return nil // it has got the pid since
	}
	return e
}

// completeOwner adds for whom a process runs.
func (t *Table) completeOwner(p *kill.Process, e *entry) {
	if p.User.ID.Known && p.Login.ID.Known || t.proc.err != nil || !t.reads.take() {
		return
	}
	t.askOwner(e)
	if e.owner.at == 0 {
		return
	}
	if !p.RealUser.ID.Known {
		p.RealUser.ID = e.owner.user
	}
	if !p.User.ID.Known {
		p.User.ID = e.owner.user
	}
	if !p.Login.ID.Known {
		p.Login.ID, p.Session = e.owner.login, e.owner.session
	}
}

// parentsOf returns the parents of a process as far as the table knows them.
func (t *Table) parentsOf(e *entry) []kill.Ancestor {
	var all []kill.Ancestor
	pid, born := e.parent, e.Start
	for len(all) < maxAncestry {
		parent := t.bornBefore(pid, born)
		if parent == nil || parent.program == nil {
			break
		}
		all = append(all, kill.Ancestor{PID: parent.PID, Command: parent.program.command})
		pid, born = parent.parent, parent.Start
	}
	return all
}

// bornBefore returns the last known process with a pid that is not younger than its child.
func (t *Table) bornBefore(pid int, born time.Duration) *entry {
	if pid <= 0 {
		return nil
	}
	e := t.memory.newest[pid]
	for e != nil && e.Start > born {
		e = e.older
	}
	return e
}

// Titled returns the parents of a process with their command lines, as far as the table knows them: last itself, if it
// is the same, so that events share it.
func (t *Table) Titled(p *kill.Process, last []kill.Ancestor) []kill.Ancestor {
	if p.Instance == nil || len(p.Ancestry) == 0 {
		return p.Ancestry
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.titled(p.Instance.SinceBoot, p.Ancestry, last)
}

// titled implements Titled. born is when the process was created.
func (t *Table) titled(born time.Duration, parents, last []kill.Ancestor) []kill.Ancestor {
	var room [2 * maxAncestry]kill.Ancestor
	all := append(room[:0], parents...)
	for i := range all {
		parent := &all[i]
		e := t.bornBefore(parent.PID, born)
		if e == nil || e.program == nil {
			continue
		}
		born = e.Start
		// A parent that has given itself another name since may run another program by now.
		if parent.Title == "" && parent.Command == e.program.command {
			parent.Title = e.program.commandLine
		}
	}
	switch {
	case slices.Equal(all, parents):
		return parents
	case slices.Equal(all, last):
		return last
	}
	return slices.Clone(all) // events share the original
}

// Programs returns a number that changes whenever a process is seen to run another program, or what it runs is doubted.
func (t *Table) Programs() uint64 { return t.programs.Load() }

// Named returns the living processes that run a program with one of these names.
func (t *Table) Named(commands ...string) []Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []Key
	for _, e := range t.memory.newest {
		if e.gone || e.program == nil {
			continue
		}
		for _, command := range commands {
			if e.program.command == command {
				keys = append(keys, e.Key)
			}
		}
	}
	return keys
}
