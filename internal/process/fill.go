// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"math"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// Fill adds to an event what the host knows about its processes, if the source knew only pids and
// names. It adds nothing that may belong to another process: events come late, pids are reused, and
// a log may have been copied from another host.
func (t *Table) Fill(e *kill.Event) {
	t.fill(e)
	t.fillNames(e)
}

// fillNames adds the names of users that are not the host's.
func (t *Table) fillNames(e *kill.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nameOwn(&e.Sender)
	for i := range e.Targets {
		t.nameOwn(&e.Targets[i])
	}
}

func (t *Table) fill(e *kill.Event) {
	if identified(e) || e.Audit.Node != "" && !machine.Same(e.Audit.Node, t.host) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Time.Before(t.booted()) {
		return // pids from before the boot mean nothing now
	}
	in := &inquiry{Table: t, at: t.batch.sinceBoot(t, e.Time)}
	in.fillSender(e)
	for i := range e.Targets {
		in.fillTarget(e, &e.Targets[i])
	}
}

const (
	// clockSamples is how often two clocks are compared at most, while this thread is
	// interrupted in between for longer than clockBracket.
	clockSamples = 16
	clockBracket = time.Millisecond
)

// sinceBoot returns the time since boot of a moment by the wall clock. An interruption must not
// make an event seem older: its pid may have been another process's then.
func (t *Table) sinceBoot(at time.Time) time.Duration {
	var best time.Duration
	bracket := time.Duration(math.MaxInt64)
	for range clockSamples {
		before := t.now()
		wall := t.wall()
		if width := t.now() - before; width < bracket {
			bracket, best = width, before+width/2-wall.Sub(at)
		}
		if bracket < clockBracket {
			break
		}
	}
	return best
}

// booted returns when the host was started, by the wall clock as it is set now.
func (t *Table) booted() time.Time {
	now := t.wall()
	if since := now.Sub(t.bootAsked); since < 0 || since >= time.Second {
		t.bootNow, t.bootAsked = now.Add(-t.now()), now
	}
	return t.bootNow
}

// identified reports whether the source has identified all processes, as the kernel can.
func identified(e *kill.Event) bool {
	known := e.Sender.PID == 0 || e.Sender.Instance != nil
	for i := 0; known && i < len(e.Targets); i++ {
		known = e.Targets[i].Instance != nil
	}
	return known
}

// inquiry finds out about the processes of one event.
type inquiry struct {
	*Table
	// at is the time of the event, since boot.
	at time.Duration
	// later is a snapshot after the event, once it has been taken: that of the batch, if there is one.
	later snapshot
}

func (in *inquiry) fillSender(e *kill.Event) {
	sender := &e.Sender
	if sender.PID == 0 || sender.Instance != nil {
		return
	}
	who := in.bearer(sender.PID)
	program := who.fitting(sender)
	if program != nil {
		in.askPIDs(who)
		sender.Instance = in.share(who, program)
		sender.Home = sender.Instance.Home
		sender.Home.Program = program.whoseIs(sender.Executable, sender.Home.Program)
	}
	if sender.Ancestry != nil {
		return
	}
	if program != nil {
		sender.Ancestry = in.parents(who, sender.ParentPID)
	} else if in.sameLogin(sender) {
		sender.Home = in.inherited(in.bearer(sender.ParentPID))
		sender.Ancestry, _ = in.ancestry(sender.ParentPID, in.at)
	}
}

func (in *inquiry) fillTarget(e *kill.Event, target *kill.Process) {
	if target.PID == 0 || target.Instance != nil {
		return
	}
	who := in.bearer(target.PID)
	program := who.fitting(target)
	if program == nil && target.PID == e.Sender.PID {
		program = who.fitting(&e.Sender) // the name may be that of another thread
	}
	if program == nil && who != nil && who.program != nil && e.Scope == kill.ScopeThread && in.hasThread(who, target) {
		program, target.Leader = who.program, who.program.command
	}
	if program == nil {
		return
	}
	target.Instance = in.share(who, program)
	target.Home = target.Instance.Home
	target.Home.Program = program.whoseIs(target.Executable, target.Home.Program)
	if target.Executable == "" {
		target.Executable = program.executable
	}
}

// inherited returns what there is to know about the home of a process that is not in the table, from its
// parent: what is not the host's for that is not the host's for its child, but a child can leave the host for a
// namespace of its own.
func (in *inquiry) inherited(parent *entry) (h kill.Home) {
	in.askPIDs(parent)
	of := parent.whose(parent.program)
	for _, each := range []struct{ of, to *kill.Whose }{{&of.Users, &h.Users}, {&of.Program, &h.Program}, {&of.PIDs, &h.PIDs}} {
		if *each.of == kill.WhoseOther {
			*each.to = kill.WhoseOther
		}
	}
	return h
}

// hasThread reports whether the target's name is that of one of its threads.
func (t *Table) hasThread(e *entry, target *kill.Process) bool {
	if e.gone || target.Command == "" || target.Executable != "" {
		return false
	}
	dir, _, ok := t.proc.openLife(e.Key)
	if !ok {
		return false
	}
	defer dir.close()
	return dir.hasThread(target.Command)
}

// share returns what events share about a process that ran a program.
func (t *Table) share(e *entry, p *program) *kill.Instance {
	if p != e.program {
		return t.describe(e, p)
	}
	return t.instanceOf(e)
}

// bearer returns the process that had a pid when the event happened, or nil if that is not certain.
func (in *inquiry) bearer(pid int) *entry {
	if pid <= 0 {
		return nil
	}
	e := in.remembered(pid)
	switch {
	case e != nil && in.at+procstat.RecordLag <= e.seen:
		return e // reading it once is enough for all earlier events
	case e != nil && !e.gone && in.batch.covers(e.batch):
		return e // it was read after the event had arrived
	case e == nil && in.at+procstat.RecordLag <= in.scanned.at:
		return nil // it was gone by the last scan, like most processes in a log
	}
	if !in.batch.missing[pid] {
		in.refresh(pid)
		e = in.remembered(pid)
	}
	switch {
	case e == nil || e.notReusedUntil.at == 0:
		return nil
	case !e.gone, in.at+procstat.RecordLag <= e.notReusedUntil.at, e == in.memory.newest[pid] && !in.mayBeReused(e):
		return e
	}
	return nil
}

// remembered returns the last known process with a pid that was created before the event, even if
// at the end of the tick in its start time.
func (in *inquiry) remembered(pid int) *entry {
	e := in.memory.newest[pid]
	for e != nil && e.Start+procstat.Tick > in.at {
		e = e.older
	}
	return e
}

// mayBeReused reports whether the pid of a process may have been given out again by now, and so by
// the time of the event.
func (in *inquiry) mayBeReused(e *entry) bool {
	if in.later.at == 0 {
		in.later = in.batch.snapshot(in.Table)
	}
	return mayBeNew(e.PID, e.notReusedUntil, in.later)
}

// fitting returns which of its programs an event refers to; nil if none, or if the event does not
// say.
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

// whoseIs returns whose a path in an event is. The audit system has the path as seen from within a
// chroot, which is not the host's.
func (p *program) whoseIs(path string, whose kill.Whose) kill.Whose {
	if path != "" && p.executable != "" && withoutDeleted(path) != p.executable {
		return kill.WhoseOther
	}
	return whose
}

// fits compares a program with what an event says. The audit system has the path as seen from
// within a chroot, and the name of a thread.
func (p *program) fits(event *kill.Process) bool {
	sameName := event.Command != "" && event.Command == p.command
	if event.Executable == "" || p.executable == "" {
		return sameName
	}
	executable := withoutDeleted(event.Executable)
	return executable == p.executable || sameName && strings.HasSuffix(p.executable, executable)
}
