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
// So the first process of which the kernel reports it, while that had none before or a lower one, has begun it.
//
// A user may have sudo(8) begin it, or what that runs: a file that he has opened in their place takes what they print. So who has become
// another user without being root is no witness, nor is what he starts.
type begun struct {
	// session is its number, unset if the process is in none; 0 if nothing was reported.
	session uint32
	// by is the real user who has begun it; unset if it was not seen, or begun by one who is no witness.
	by uint32
	// user is the real user at the last report.
	user uint32
	// seen is true if the session was seen to begin.
	seen bool
	// own is true if neither the process nor an ancestor has become another user without being root, as far as is known.
	own bool
}

// learn adds what the kernel reports.
func (b *begun) learn(s Session) {
	if s.Number == 0 {
		return
	}
	first := b.session == 0
	b.own = b.own && (first || b.user == 0 || b.user == s.User)
	b.user = s.User
	switch {
	case first:
		b.session, b.seen, b.by = s.Number, false, unset
	case s.Number == b.session, s.Number == unset: // a thread may have another session than others
	case b.session == unset, s.Number > b.session:
		b.session, b.seen, b.by = s.Number, true, unset
		if b.own {
			b.by = s.User
		}
	}
}

// doubt notes that reports were lost. Who was in no session may have begun one by now, and have become root since.
func (b *begun) doubt() {
	if b.session == unset {
		b.session, b.own = 0, b.own && b.user == 0
	}
}

// who returns the user who has begun a session, unset if he is no witness. It returns false if the process is not in that, or nobody was
// seen to begin it.
func (b *begun) who(session uint32) (by uint32, seen bool) {
	if !b.seen || b.session != session {
		return unset, false
	}
	return b.by, true
}

// Witness reports in which session a process is. Reports have to be in the order of what they are about.
func (t *Table) Witness(key Key, session Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.memory.find(key.rounded()); e != nil {
		e.begun.learn(session)
	}
}
