// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"time"
)

const (
	// maxLogins and maxCommands bound a memory. The commands of one login are at most maxOfOne, so that
	// nobody makes it forget those of others. Sessions that were only claimed, of which anybody can begin many, have places of
	// their own.
	maxLogins, maxClaims, maxCommands, maxOfOne = 512, 256, 128, 16
	// commandTime is how long a command matters.
	commandTime = time.Minute
)

// Memory keeps what a reader of audit records must not forget over a restart: who is logged in, and what was run
// by the right of another user just before. It is not safe for concurrent use.
type Memory struct {
	logins, claims, commands []*Fact
	changed                  bool
}

// Add takes note of a fact.
func (m *Memory) Add(f *Fact) {
	switch {
	case f.Login != nil && f.Login.Claimed:
		m.claims = put(m.claims, f, sameClaim, maxClaims)
	case f.Login != nil:
		m.logins = put(m.logins, f, sameLogin, maxLogins)
	case f.Logout != nil:
		m.logins = slices.DeleteFunc(m.logins, func(known *Fact) bool {
			return known.Node == f.Node && known.Login.Session.ID == f.Logout.ID
		})
	case f.Command != nil:
		m.commands = put(m.commands, f, sameCommand, maxCommands)
		m.forgetCommands(f.Command)
	default:
		return
	}
	m.changed = true
}

// put adds a fact in the place of the one that it completes, or else at the end, if necessary instead of the oldest.
func put(facts []*Fact, f *Fact, same func(a, b *Fact) bool, limit int) []*Fact {
	if i := slices.IndexFunc(facts, func(known *Fact) bool { return same(known, f) }); i >= 0 {
		facts[i] = f
		return facts
	}
	if len(facts) == limit {
		facts = slices.Delete(facts, 0, 1)
	}
	return append(facts, f)
}

// forgetCommands forgets the commands that are old, and the oldest of who has run so many.
func (m *Memory) forgetCommands(latest *Command) {
	ofOne := 0
	for _, known := range m.commands {
		if known.Command.Login == latest.Login {
			ofOne++
		}
	}
	m.commands = slices.DeleteFunc(m.commands, func(known *Fact) bool {
		if known.Command.Login == latest.Login && ofOne > maxOfOne {
			ofOne--
			return true
		}
		return latest.Time.Sub(known.Command.Time) > commandTime
	})
}

func sameLogin(a, b *Fact) bool { return a.Node == b.Node && a.Login.Session.ID == b.Login.Session.ID }

func sameClaim(a, b *Fact) bool { return a.Node == b.Node && a.Login.Audit == b.Login.Audit }

func sameCommand(a, b *Fact) bool {
	return a.Node == b.Node && a.Command.PID == b.Command.PID && a.Command.Time.Equal(b.Command.Time)
}

// Changed reports whether there is something new since the last call.
func (m *Memory) Changed() bool {
	changed := m.changed
	m.changed = false
	return changed
}

// Facts returns what is worth to be told again, each kind in the order in which it was told first.
func (m *Memory) Facts() []*Fact { return slices.Concat(m.logins, m.claims, m.commands) }
