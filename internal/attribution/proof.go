// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxProofs is how many sessions are remembered of which it is known who has begun them.
	maxProofs = 4096
	// doubtFor is how long a session is in doubt before the question is asked again: more may be known then.
	doubtFor = time.Second
)

// proofs says of sessions whether the login user that the kernel has for them can be believed. The kernel asks for no right to set
// one that is unset (kernel/audit.c, audit_set_loginuid_perm), so that any process of a service may say that it is anybody. It
// gives each session a number of its own, and all processes in it inherit that.
type proofs struct {
	// proven are sessions that root or the user himself has begun; doubted when it was not known who has.
	proven  map[uint32]bool
	doubted map[uint32]time.Time
	// claimed are sessions that an audit record shows to have been begun by another user, forgotten the highest number of one
	// that is not among them any more, as there were too many.
	claimed   map[uint32]bool
	forgotten uint32
}

func newProofs() *proofs {
	return &proofs{proven: map[uint32]bool{}, doubted: map[uint32]time.Time{}, claimed: map[uint32]bool{}}
}

// claim notes a session that a user has begun as somebody else.
func (p *proofs) claim(session uint32) {
	if len(p.claimed) >= maxProofs {
		for number := range p.claimed {
			p.forgotten = max(p.forgotten, number)
		}
		clear(p.claimed)
	}
	p.claimed[session] = true
	delete(p.proven, session)
}

// prove notes a session that root or the user himself has begun.
func (p *proofs) prove(session uint32) {
	if len(p.proven) >= maxProofs {
		clear(p.proven)
	}
	p.proven[session] = true
	delete(p.claimed, session) // of an earlier boot
	delete(p.doubted, session)
}

func (p *proofs) doubt(session uint32, at time.Time) {
	if len(p.doubted) >= maxProofs {
		clear(p.doubted)
	}
	p.doubted[session] = at
}

// claims reports whether a process may have become its login user without any right, so that nobody is to be accused of what it does.
func (t *Table) claims(p *kill.Process, at time.Time) bool {
	user := p.RealUser.ID
	if !user.Known {
		user = p.User.ID
	}
	if !p.Login.ID.Known || !p.Session.Known || user == p.Login.ID {
		return false
	}
	number := p.Session.Value
	known := t.proofs
	switch last, doubted := known.doubted[number]; {
	case known.proven[number]:
		return false
	case known.claimed[number]:
		return true
	case doubted && at.Sub(last).Abs() < doubtFor:
		return true
	}
	if t.session(0, idOf(p.Session), p.Login.ID) != nil {
		known.prove(number)
		return false
	}
	if t.config.Processes == nil { // as in a log: the record of the login may be in an older file
		return known.forgotten != 0 && number <= known.forgotten
	}
	switch opener := t.config.Processes.Opener(p); {
	case opener == p.Login.ID, opener.Known && opener.Value == 0:
		known.prove(number)
		return false
	case !opener.Known && user.Known && user.Value == 0: // who is root needs no pretext
		return false
	}
	known.doubt(number, at)
	return true
}
