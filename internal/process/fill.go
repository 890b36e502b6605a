// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// coarseClock is how far the time of an audit record may lie before the event:
// the kernel takes it from its last tick, at least 100 of which are in a second,
// and prints milliseconds.
const coarseClock = tick + time.Millisecond

func hostname() string {
	name, _ := os.Hostname() // without it, no other host can be told apart
	return name
}

// Fill adds to an event what the host knows of its processes, where the source
// knew nothing but pids and names. It adds nothing that may be of another
// process: events come late, pids are used again, and a log may have been copied
// from another host.
func (t *Table) Fill(e *kill.Event) {
	if e.Audit.Node != "" && !sameHost(e.Audit.Node, t.host) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.now() - t.wall().Sub(e.Time) // since boot
	t.fillSender(e, at)
	for i := range e.Targets {
		t.fillTarget(e, &e.Targets[i], at)
	}
}

func (t *Table) fillSender(e *kill.Event, at time.Duration) {
	sender := &e.Sender
	if sender.PID == 0 || sender.Instance != nil {
		return
	}
	who := t.bearer(sender.PID, at)
	program := who.fitting(sender)
	if program != nil {
		sender.Instance = t.share(who, program)
	}
	if sender.Ancestry != nil {
		return
	}
	if program != nil {
		sender.Ancestry = t.ancestry(sender.ParentPID, at, who.Start)
	} else if t.sameLogin(sender, at) {
		sender.Ancestry = t.ancestry(sender.ParentPID, at, at)
	}
}

func (t *Table) fillTarget(e *kill.Event, target *kill.Process, at time.Duration) {
	if target.PID == 0 || target.Instance != nil {
		return
	}
	who := t.bearer(target.PID, at)
	program := who.fitting(target)
	if program == nil && target.PID == e.Sender.PID {
		program = who.fitting(&e.Sender) // the name may be that of another thread
	}
	if program == nil && who != nil && e.Scope == kill.ScopeThread && t.hasThread(who, target) {
		program = who.program
	}
	if program == nil {
		return
	}
	target.Instance = t.share(who, program)
	if target.Executable == "" {
		target.Executable = program.executable
	}
}

// hasThread reports whether the target's name is that of one of its threads.
func (t *Table) hasThread(e *entry, target *kill.Process) bool {
	if e.gone || target.Command == "" || target.Executable != "" {
		return false
	}
	dir, ok := t.proc.openLife(e.Key)
	if !ok {
		return false
	}
	defer dir.close()
	return dir.hasThread(target.Command)
}

// share returns what events share of a process that ran a program.
func (t *Table) share(e *entry, p *program) *kill.Instance {
	if p != e.program {
		return t.describe(e, p)
	}
	if e.instance == nil {
		e.instance = t.describe(e, p)
	}
	return e.instance
}

// bearer returns the process that bore a pid at some time, or nil if that is not
// certain.
func (t *Table) bearer(pid int, at time.Duration) *entry {
	if pid <= 0 {
		return nil
	}
	if e := t.remembered(pid, at); e != nil && at+coarseClock <= e.seen {
		return e // one look does for all events before it
	}
	t.refresh(pid)
	e := t.remembered(pid, at)
	if e == nil || e.clear.at == 0 {
		return nil
	}
	if at+coarseClock <= e.clear.at || !e.gone {
		return e
	}
	// It is dead, but nobody can have taken its pid before the event.
	if !e.closed && !given(pid, e.clear.cursor, t.proc.cursor()) {
		return e
	}
	return nil
}

// remembered returns the only process known that can have borne a pid at some
// time. Each was created within the tick after its start.
func (t *Table) remembered(pid int, at time.Duration) *entry {
	for e := t.memory.newest[pid]; e != nil; e = e.older {
		if e.Start+tick <= at {
			return e
		}
		if e.Start <= at+coarseClock {
			return nil // this one or the one before
		}
	}
	return nil
}

// fitting returns which of its programs an event tells of; nil if of none, or if
// the event does not say.
func (e *entry) fitting(p *kill.Process) *program {
	if e == nil {
		return nil
	}
	for _, program := range []*program{e.program, e.before} {
		if program != nil && program.fits(p) {
			return program
		}
	}
	return nil
}

// fits compares a program with what an event tells. The audit system sees the
// path from within a chroot, and the name of a thread.
func (p *program) fits(event *kill.Process) bool {
	sameName := event.Command != "" && event.Command == p.command
	if event.Executable == "" || p.executable == "" {
		return sameName
	}
	executable := withoutDeleted(event.Executable)
	return executable == p.executable || sameName && strings.HasSuffix(p.executable, executable)
}
