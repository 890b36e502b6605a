// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

// Session is the audit session of a process, and its real user at the same time.
type Session struct {
	// Number is 4294967295 if it is in none (kernel/audit.c), and 0 if that is not known.
	Number uint32
	// User is in the host's numbers.
	User uint32
}

// unset is the kernel's number for no session, and for nobody.
const unset = 1<<32 - 1

// begun is by whom the session of a process was begun. Each session has a number of its own, and whatever runs in it has inherited that.
// So the first one of whom the kernel reports it, while it had none before or a lower one, has begun it, and has run no other program
// since: that of an exec is reported after the fact. Its real user then is who has begun it, whatever sudo(8) makes of him later.
type begun struct {
	// session is its number, unset if it is in none; 0 if that is not known.
	session uint32
	// by is the real user; unset if that is not known.
	by uint32
}

// learn adds what the kernel reports.
func (b *begun) learn(s Session) {
	switch {
	case s.Number == 0, s.Number == b.session:
	case b.session == 0:
		*b = begun{session: s.Number, by: unset}
	case s.Number == unset: // a thread may have another session than others
	case b.session == unset, s.Number > b.session:
		*b = begun{session: s.Number, by: s.User}
	}
}

// Witness reports in which session a process is. Reports have to be in the order of what they are about.
func (t *Table) Witness(key Key, session Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.memory.find(key.rounded()); e != nil {
		e.begun.learn(session)
	}
}
