// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Managed reports whether an event is a signal of a systemd, of which more may be known a moment later.
func Managed(e *kill.Event) bool {
	if e.Kind != kill.KindSignal || e.Origin != kill.OriginUser || e.Signal == 0 {
		return false
	}
	_, ok := systemdOf(&e.Sender)
	return ok
}

// Explain adds to an event what is behind it. It returns false if the sender's manager may still tell more
// within a moment. It may be called again for the same event.
func (t *Table) Explain(e *kill.Event) (settled bool) {
	settled, _ = t.Reconsider(e, 0)
	return settled
}

// Reconsider is as Explain. It does nothing if nothing was told since it has returned the number that it is given, of what
// may explain the event: what is told of other units than the target's only counts once it explains the event anyway.
func (t *Table) Reconsider(e *kill.Event, last uint64) (settled bool, heard uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	host := t.host(e.Audit.Node)
	e.Sender.Claimed = host == nil || host.claims(&e.Sender, e.Time)
	if e.Kind != kill.KindSignal || e.Origin != kill.OriginUser && !explainable(e) {
		return true, 0
	}
	if host == nil {
		if e.Origin == kill.OriginUser {
			e.Cause, e.Behind = kill.CauseNone, nil
		}
		return true, 0
	}
	if last != 0 && host.heard(e) == last {
		return false, last
	}
	settled = host.reconsider(e)
	return settled, host.heard(e)
}

// heard returns a number that changes whenever something is told of the sender, or of the unit that it acts upon.
func (t *Table) heard(e *kill.Event) uint64 {
	m := t.managers[e.Sender.PID]
	if m == nil {
		m, _ = t.above(&e.Sender)
	}
	if m == nil {
		return 1
	}
	heard := 1 + m.heard
	if e.Behind != nil {
		if u := m.units[e.Behind.Unit]; u != nil {
			heard += u.heard
		}
	}
	return heard
}

func (t *Table) reconsider(e *kill.Event) (settled bool) {
	if e.Origin == kill.OriginKernel {
		settled = t.explainKernel(e)
		withoutForeignSession(e)
		return settled
	}
	e.Cause, e.Behind = kill.CauseNone, nil
	settled = t.explain(e)
	withoutForeignSession(e)
	if b := e.Behind; b != nil && b.Managed {
		e.Sender.Ancestry, _ = t.lineageOf(&e.Sender, e.Time)
	}
	t.noteRelay(e)
	return settled
}

func (t *Table) explain(e *kill.Event) (settled bool) {
	if m, ok := systemdOf(&e.Sender); ok {
		return t.explainUnit(e, t.knownAs(m))
	}
	if m := t.controls(e); m != nil {
		return t.explainUnit(e, m)
	}
	if id, ok := containerOf(&e.Sender); ok && t.explainContainer(e, id) {
		return true
	}
	if t.relieves(e) {
		return t.explainPressure(e)
	}
	if t.listeners[e.Sender.PID] > 0 && t.explainListener(e) {
		return true
	}
	if t.explainRelay(e) {
		return true
	}
	e.Behind = t.direct(e)
	return true
}

// direct returns what is behind a sender that acts for itself; nil if that is nothing more.
func (t *Table) direct(e *kill.Event) *kill.Behind {
	var known *lineage
	e.Sender.Ancestry, known = t.lineageOf(&e.Sender, e.Time)
	if known == nil {
		return withoutClaimedSession(behindOf(nil, t.sessionOf(&e.Sender), &e.Sender), &e.Sender)
	}
	if !known.complete {
		known.completeWith(behindOf(initiatorOf(known.parents), t.sessionOf(&e.Sender), &e.Sender))
	}
	return withoutClaimedSession(known.behind, &e.Sender)
}

// withoutClaimedSession removes the session of a login that the sender only claims to have: it may be that of somebody else who was let
// in from there, as su(1) does.
func withoutClaimedSession(b *kill.Behind, sender *kill.Process) *kill.Behind {
	if b == nil || b.Session == nil || !sender.Claimed {
		return b
	}
	return behindOf(b.Initiator, nil, sender)
}

func behindOf(initiator *kill.Ancestor, session *kill.Session, sender *kill.Process) *kill.Behind {
	if initiator == nil && session == nil {
		return nil
	}
	return &kill.Behind{Initiator: initiator, Session: session, User: sender.Person()}
}

// withoutForeignSession removes the session of a sender of which only a container knows, unless the signal stays inside. What a
// manager does for somebody in there may lead anywhere.
func withoutForeignSession(e *kill.Event) {
	if e.Behind == nil || e.Behind.Session == nil || e.Behind.Session.Root == "" || e.Behind.Requester != nil {
		return
	}
	root := e.Behind.Session.Root
	if !slices.ContainsFunc(e.Targets, func(p kill.Process) bool { return !within(cgroupOf(&p), root) }) {
		return
	}
	behind := *e.Behind // other events share it
	behind.Session = nil
	e.Behind = &behind
}

// within reports whether a control group is below another one.
func within(cgroup, root string) bool {
	return root == "/" || cgroup == root || strings.HasPrefix(cgroup, root) && cgroup[len(root)] == '/'
}
