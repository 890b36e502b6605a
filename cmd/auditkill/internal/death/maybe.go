// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Maybe is what may have ended a target. Nothing says whether it did.
type Maybe struct {
	// Moment is what is most likely to have.
	Moment
	// Besides is what is less likely to have, near it or later, in the order of time.
	Besides []Moment
}

// GotThrough reports whether it is a fatal signal that has reached the target for certain.
func (m *Maybe) GotThrough() bool { return m.chance() == good }

// chance is how likely an event is to have ended its target, of which nothing says whether it did.
type chance uint8

const (
	noChance chance = iota
	// slight is that of a signal that may not have reached it, of a sender whose user has no right to send it: the kernel also names
	// those for whom it refuses, so that by `kill -9 -1` anybody can have it name all.
	slight
	// fair is that of what may not have reached it, may not be fatal, or may be handled by it.
	fair
	// good is that of a fatal signal that has reached it.
	good
)

// chance returns that of an event that is no certain death.
func (m *Moment) chance() chance {
	switch {
	case m.Kind == kill.KindAbend, m.Kind == kill.KindOutcome && m.Outcome.Verdict == kill.VerdictUnknown:
		return fair
	case m.Kind != kill.KindSignal || m.harmless():
		return noChance
	case m.fatal():
		return good
	case m.ResultFor(m.Target).Known || m.permitted():
		return fair
	}
	return slight
}

// permitted reports whether the users alone may permit the signal, as far as they are known.
func (m *Moment) permitted() bool {
	sender, target := m.Sender.User.ID, m.Target.User.ID
	return !sender.Known || sender.Value == 0 || !target.Known || sender == target || m.Sender.RealUser.ID == target
}

// maxCandidates is how many candidates are held.
const maxCandidates = 64

// candidates are what may have ended the target since it died last, in the order of time: of each process the last of each
// chance.
type candidates []Moment

func (c *candidates) add(m *Moment) {
	chance := m.chance()
	// The signal says more than the outcome that nobody knows.
	if chance == noChance || m.Kind == kill.KindOutcome && c.about(m.Target) {
		return
	}
	*c = slices.DeleteFunc(*c, func(old Moment) bool { return old.chance() == chance && sameProcess(old.Target, m.Target) })
	*c = append(*c, *m)
	if len(*c) > maxCandidates {
		least := 0
		for i := range *c {
			if (*c)[i].chance() < (*c)[least].chance() {
				least = i
			}
		}
		*c = slices.Delete(*c, least, least+1)
	}
}

// about reports whether there is one for a process.
func (c *candidates) about(p *kill.Process) bool {
	return slices.ContainsFunc(*c, func(m Moment) bool { return sameProcess(m.Target, p) })
}

// survive forgets those that a process has survived.
func (c *candidates) survive(p *kill.Process) {
	*c = slices.DeleteFunc(*c, func(m Moment) bool { return sameProcess(m.Target, p) })
}

// best returns the last one of the best chance, and the last ones of lower chances; nil if there is none.
func (c *candidates) best() *Maybe {
	var last [good + 1]*Moment
	for i := range *c {
		m := &(*c)[i]
		last[m.chance()] = m
	}
	var found *Maybe
	for _, m := range slices.Backward(last[:]) {
		switch {
		case m == nil:
		case found == nil:
			found = &Maybe{Moment: *m}
		case found.Time.Sub(m.Time) <= episode:
			found.Besides = append(found.Besides, *m)
		}
	}
	if found != nil {
		slices.SortStableFunc(found.Besides, func(a, b Moment) int { return a.Time.Compare(b.Time) })
	}
	return found
}
