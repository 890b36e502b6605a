// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// key identifies an event. The serial alone does not, because it restarts at boot; nor do
// time and serial together if several hosts write into one log.
type key struct {
	node  string
	stamp auditrecord.Stamp
}

// pending is an event that more records may arrive for.
type pending struct {
	key   key
	event *kill.Event
	// call is nil until the SYSCALL record has arrived.
	call   *call
	titled bool
	// starting is true if the call started a program that asks managers, listed if its arguments
	// are known from their own record.
	starting, listed bool
	// cut is true if a record of the event was incomplete or contradictory.
	cut      bool
	original []byte
	// denials are the targets that a security module protects, refused is the latest that has a
	// pid.
	denials []denial
	refused kill.Process
	// also is what else the same call did to the audit system.
	also []tampering
	// counted is true once the event has been counted as settled.
	counted bool
	// bytes is roughly how much memory the event holds.
	bytes int

	// first and last are the positions of its first and last record in the log.
	first, last Position
	// record is the number of records that the correlator had received up to the last one
	// of this event; touched is when that arrived.
	record  int64
	touched time.Time

	older, newer *pending
}

// starts reports whether the event is the start of a program, not a signal.
func (p *pending) starts() bool { return p.starting && !p.tamper() }

// tamper reports whether the event is about the audit system, not a signal.
func (p *pending) tamper() bool { return p.event.Kind == kill.KindTamper }

// settled reports whether the event needs nothing more. More may still arrive if the call
// was addressed to many, or if it changed the audit system: the kernel does not always
// record who did that.
func (p *pending) settled() bool {
	switch {
	case p.tamper():
		return true
	case p.call == nil || !p.titled:
		return false
	case p.starting:
		return true
	}
	return len(p.event.Targets) > 0 || p.single() && p.nobody()
}

// whole reports whether nothing more can arrive.
func (p *pending) whole() bool {
	if p.tamper() || p.starting {
		return p.call != nil && p.titled
	}
	return p.settled() && p.single()
}

// single reports whether there can be at most one target.
func (p *pending) single() bool { return p.event.Scope.Single() }

// nobody reports whether the call failed because there is no such target, so that no record
// will name one. Other errors may come before or after the kernel has found the target.
func (p *pending) nobody() bool {
	switch p.event.Result.Error {
	case "ESRCH", "EINVAL", "EBADF":
		return true
	}
	return false
}

// targetExpected reports whether the kernel must have written an OBJ_PID record. It does so
// once it has found a process, before it checks the right to signal it (kernel/signal.c,
// check_kill_permission). The calls with a siginfo may be refused with EPERM before that.
func (p *pending) targetExpected() bool {
	r := p.event.Result
	if r.Succeeded() {
		return true
	}
	return r.Error == "EAGAIN" || r.Error == "EPERM" && (p.call.name == "kill" || p.call.name == "tkill" || p.call.name == "tgkill")
}

// finish completes the event once no more records are awaited.
func (p *pending) finish(evicted bool) *kill.Event {
	e := p.event
	// OBJ_PID is written only if a rule asks for the call: beside one, the SYSCALL record was lost.
	denied := p.call == nil && len(p.denials) > 0 && len(e.Targets) == 0
	if p.call == nil && len(p.denials) > 0 && !denied {
		e.Result = kill.Result{}
		p.attributeDenials()
	}
	p.addUnrecorded()
	// The order in which the kernel names the targets means nothing (newest chunk first).
	// Sorted, the event is the same however it was read.
	slices.SortStableFunc(e.Targets, func(a, b kill.Process) int { return a.PID - b.PID })
	e.Targets = slices.CompactFunc(e.Targets, func(a, b kill.Process) bool { return a.PID == b.PID })
	p.decide()
	lost := !p.tamper() && !denied && (p.call == nil || len(e.Targets) == 0 && p.targetExpected())
	if !lost && !p.tamper() && !denied {
		e.TargetCount = len(e.Targets)
	}
	e.Original = string(bytes.TrimSuffix(p.original, []byte("\n")))
	e.Complete = !lost && !p.cut && !evicted
	return e
}

// table holds the pending events, by key and in the order of their arrival.
type table struct {
	byKey          map[key]*pending
	oldest, newest *pending
	bytes          int
	// anonymous counts the events without a SYSCALL record so far, settled those that need
	// nothing more, though more may arrive, tampers those about the audit system, starts those
	// that are the start of a program.
	anonymous, settled, tampers, starts int
	// free is a closed event that can be reused.
	free *pending
}

// open adds an empty pending event.
func (t *table) open(k key, at Position) *pending {
	p := t.free
	if p == nil {
		p = new(pending)
	}
	t.free = nil
	*p = pending{key: k, first: at, original: p.original[:0]}
	t.add(p)
	return p
}

func (t *table) add(p *pending) {
	t.byKey[p.key] = p
	p.older = t.newest
	if t.newest != nil {
		t.newest.newer = p
	} else {
		t.oldest = p
	}
	t.newest = p
	t.bytes += p.bytes
	if p.call == nil {
		t.anonymous++
	}
}

// settle counts an event once it is settled.
func (t *table) settle(p *pending) {
	if !p.counted && p.settled() {
		p.counted = true
		t.settled++
	}
}

func (t *table) remove(p *pending) {
	delete(t.byKey, p.key)
	if p.older != nil {
		p.older.newer = p.newer
	} else {
		t.oldest = p.newer
	}
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		t.newest = p.older
	}
	p.older, p.newer = nil, nil
	t.bytes -= p.bytes
	if p.call == nil {
		t.anonymous--
	}
	if p.counted {
		t.settled--
	}
	if p.tamper() {
		t.tampers--
	}
	if p.starting {
		t.starts--
	}
}
