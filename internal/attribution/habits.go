// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import "hash/maphash"

// maxHabits is of how many programs it is remembered at least that they connect, whether or not anything comes of it.
const maxHabits = 2048

// habits remembers programs whose command lines do not say what they ask for. One that connects again and again only
// watches.
type habits struct {
	seed maphash.Seed
	// latest is filled first; what it had when it was full is in older.
	latest, older map[habit]*habitual
}

// habit identifies a program, with its arguments, and who runs it.
type habit struct {
	user    uint32
	program uint64
}

// habitual are the last process that has connected, and the one before, of those that explain nothing.
type habitual struct{ last, before requester }

func newHabits() *habits {
	return &habits{seed: maphash.MakeSeed(), latest: map[habit]*habitual{}, older: map[habit]*habitual{}}
}

// habitsOf returns the habits among which those of a requester are: nobody makes those of the host's root forgotten.
func (t *Table) habitsOf(r *request) *habits {
	if askerOf(r) == (asker{}) {
		return t.habits
	}
	return t.othersHabits
}

// of returns what is known of the program that has made a request; nil if that is nothing.
func (h *habits) of(r *request) (habit, *habitual) {
	p := &r.Requester
	k := habit{p.User.ID.Value, maphash.String(h.seed, p.Executable+"\x00"+commandLine(p))}
	if x := h.latest[k]; x != nil {
		return k, x
	}
	return k, h.older[k]
}

// add notes that a program has connected.
func (h *habits) add(r *request) {
	k, x := h.of(r)
	if x == nil {
		x = &habitual{}
	}
	if by := r.requester(); by != x.last {
		if x.last != (requester{}) {
			x.before = x.last
		}
		x.last = by
	}
	if len(h.latest) >= maxHabits {
		h.latest, h.older = map[habit]*habitual{}, h.latest
	}
	h.latest[k] = x
}

// explains notes that a request explains something.
func (h *habits) explains(r *request) {
	if _, x := h.of(r); x != nil && x.last == r.requester() {
		x.last = requester{}
	}
}

// has reports whether a program has connected before without any consequence. Its user has to be known.
func (h *habits) has(r *request) bool {
	_, x := h.of(r)
	none := requester{}
	return !r.Requester.User.ID.Known ||
		x != nil && (x.before != none && x.before != r.requester() || x.last != none && x.last != r.requester())
}
