// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxLineages is how many lists of parents are remembered.
	maxLineages = 1024
	// lineageFor is how long what is known about a sender's parents is considered current, unless one of them runs
	// another program meanwhile.
	lineageFor = time.Second
)

// lineage is what is known about the parents of a sender. Events share the list, and what is behind, as long as both are
// the same, so that who writes them finds what he has written before.
type lineage struct {
	// at is when it was found out, programs what the table of processes was at then.
	at       time.Time
	programs uint64
	// instance, login, session and claimed are those of the sender then.
	instance *kill.Instance
	login    kill.User
	session  kill.ID
	claimed  bool
	parents  []kill.Ancestor
	// behind is what is behind signals that the sender sends on its own, once complete is true.
	behind   *kill.Behind
	complete bool
}

// lineageOf returns the parents of a sender with their command lines, and what is remembered of it; nil if
// its parents are not known. The sources share the list of a sender's parents between events, so that it
// identifies the sender.
func (t *Table) lineageOf(p *kill.Process, at time.Time) ([]kill.Ancestor, *lineage) {
	if len(p.Ancestry) == 0 {
		return p.Ancestry, nil
	}
	first := &p.Ancestry[0]
	programs := t.programs()
	last := t.lineages[first]
	current := last != nil && at.Sub(last.at).Abs() < lineageFor && last.of(p)
	if current && last.programs == programs {
		return last.parents, last
	}
	known := &lineage{
		at: at, programs: programs, instance: p.Instance, login: p.Login, session: p.Session, claimed: p.Claimed, parents: p.Ancestry,
	}
	if t.config.Processes != nil {
		known.parents = t.config.Processes.Titled(p, last.list())
	}
	if last != nil && last.parents != nil && &last.parents[0] == &known.parents[0] {
		if current { // it was another process that runs another program now
			last.programs = programs
			return last.parents, last
		}
		known.behind = last.behind // which completeWith compares
	}
	if len(t.lineages) >= maxLineages {
		clear(t.lineages)
	}
	t.lineages[first] = known
	t.lineages[&known.parents[0]] = known // if the event is explained again
	return known.parents, known
}

// programs returns a number that changes whenever a process may run another program.
func (t *Table) programs() uint64 {
	if t.config.Processes == nil {
		return 0
	}
	return t.config.Processes.Programs()
}

// of reports whether a sender is still what it was: it may have run another program, logged in anew, or moved.
func (l *lineage) of(p *kill.Process) bool {
	return l.instance == p.Instance && l.session == p.Session && l.login == p.Login && l.claimed == p.Claimed
}

// list returns the parents; nil if nothing is known.
func (l *lineage) list() []kill.Ancestor {
	if l == nil {
		return nil
	}
	return l.parents
}

// completeWith notes what is behind signals. It keeps what was behind the ones before, if that says the same.
func (l *lineage) completeWith(b *kill.Behind) {
	l.complete = true
	if b != nil && l.behind != nil && b.Initiator == l.behind.Initiator && b.User == l.behind.User && sameSession(b.Session, l.behind.Session) {
		return
	}
	l.behind = b
}

func sameSession(a, b *kill.Session) bool {
	return a == b || a != nil && b != nil && *a == *b
}
