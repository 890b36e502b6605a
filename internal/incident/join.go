// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// find returns the incident that a record belongs to, and by what; nil if there is none. What it unites is merged.
func (t *Table) find(r *Record, k *keys, from *host) (*incident, kind) {
	i, joined := t.chosen(r, k, from)
	if i != nil && i.reaches(r.Time, &t.config) {
		i = t.linked(i, r, k)
	}
	return i, joined
}

// chosen returns the incident that a record belongs to, and by what; nil if there is none. Those with a strong key of it are one.
func (t *Table) chosen(r *Record, k *keys, from *host) (*incident, kind) {
	candidates, joined := t.united(r, k)
	if i := t.followed(r, k, from); i != nil {
		if joined = byTarget; !slices.Contains(candidates, i) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return t.attracted(r, k)
	}
	oldest := slices.MinFunc(candidates, byAge)
	for _, other := range candidates {
		if other != oldest && t.fits(oldest, other) {
			t.merge(oldest, other)
		}
	}
	return oldest, joined
}

// byAge compares incidents by their first members.
func byAge(a, b *incident) int {
	return cmp.Or(a.first.Compare(b.first), bytes.Compare(a.id[:], b.id[:]))
}

// linked returns an incident together with those that a record links to it, as it came late: it is near to each, and all members of
// both have a weak key of it. Had it come in order, it would have joined the earlier one, and what is later would have joined that.
func (t *Table) linked(i *incident, r *Record, k *keys) *incident {
	for _, weak := range k.weak {
		for slices.Contains(i.weak, weak) {
			n := slices.IndexFunc(t.byKey[weak], func(other *incident) bool { return other != i && t.links(r, i, other) })
			if n < 0 {
				break
			}
			other := t.byKey[weak][n]
			if byAge(other, i) < 0 {
				i, other = other, i
			}
			t.merge(i, other)
		}
	}
	return i
}

// links reports whether two incidents, to one of which a record belongs, are one by it.
func (t *Table) links(r *Record, i, other *incident) bool {
	return other.reaches(r.Time, &t.config) && !other.contradicts(r) && !i.addresses.differs(other.addresses.Value) && t.fits(i, other)
}

// followed returns the incident that has the target of a record already, unless somebody else is behind that. What
// follows a signal may come much later: a SIGKILL after 90 s, the end after two minutes. Nothing follows a signal that was refused, or
// may have been: anybody can send one to any process.
func (t *Table) followed(r *Record, k *keys, from *host) *incident {
	if r.Target.PID == 0 || !r.reaches() {
		return nil
	}
	at, start := place{from, r.Target.PID}, t.startOf(r)
	var perhaps *incident
	for i := range t.holders(k.target) {
		known, _ := i.process(at, start)
		if known == nil || !known.reached || i.contradicts(r) {
			continue
		}
		same, near := known.start == start && start != 0, i.reaches(r.Time, &t.config)
		late := (r.Kind == kill.KindOutcome || goesOn(r)) && i.span(r.Time, r.Time) <= t.config.MaxDuration
		if same && (near || late) {
			return i
		}
		if near && perhaps == nil { // one of the two does not say when the process was created
			perhaps = i
		}
	}
	return perhaps
}

// united returns the incidents that have a strong key of a record, and the most telling of these.
func (t *Table) united(r *Record, k *keys) (candidates []*incident, joined kind) {
	add := func(i *incident, by kind) {
		if len(candidates) == 0 {
			joined = by
		}
		if !slices.Contains(candidates, i) {
			candidates = append(candidates, i)
		}
	}
	for _, strong := range k.strong {
		for i := range t.holders(strong) {
			if i.reaches(r.Time, &t.config) && !i.contradicts(r) {
				add(i, strong.kind())
			}
		}
	}
	if i := t.only(k.origin, byHop, r); i != nil {
		add(i, byHop)
	}
	if i := t.only(k.hop, byOrigin, r); i != nil {
		add(i, byOrigin)
	}
	return candidates, joined
}

// only returns the only incident to which the way of a login over hosts leads: of several, it could be any.
func (t *Table) only(way key, as kind, r *Record) (found *incident) {
	if way == (key{}) {
		return nil
	}
	way[0] = byte(as)
	for i := range t.holders(way) {
		if !i.reaches(r.Time, &t.config) || i.users.differs(r.user()) {
			continue
		}
		if found != nil {
			return nil
		}
		found = i
	}
	return found
}

// attracted returns the largest incident of which all members have a weak key of the record.
func (t *Table) attracted(r *Record, k *keys) (best *incident, joined kind) {
	for _, weak := range k.weak {
		for i := range t.holders(weak) {
			if i.reaches(r.Time, &t.config) && !i.contradicts(r) && (best == nil || i.processes > best.processes) {
				best, joined = i, weak.kind()
			}
		}
	}
	return best, joined
}

// holders returns the incidents with a key, newest first.
func (t *Table) holders(k key) iter.Seq[*incident] {
	return func(yield func(*incident) bool) {
		all := t.byKey[k]
		for n := range all {
			if !yield(all[len(all)-1-n]) {
				return
			}
		}
	}
}

// fits reports whether two incidents can be one.
func (t *Table) fits(a, b *incident) bool {
	return a.span(b.start, b.end) <= t.config.MaxDuration && a.processes+b.processes <= t.config.MaxMembers &&
		!a.users.differs(b.users.Value)
}

// merge moves all of one incident into an older one.
func (t *Table) merge(into, from *incident) {
	before := into.size()
	for k := range from.keys {
		t.addKey(into, k)
	}
	t.narrow(into, from.weak)
	for _, h := range from.hosts {
		t.addHost(into, h)
	}
	for _, uid := range from.records {
		t.byUID[uid] = into
	}
	into.records = append(into.records, from.records...)
	into.shared.absorb(&from.shared)
	t.absorbPods(into, from)
	for moved := range from.all {
		t.remove(t.targetKey(moved), from)
		t.move(into, moved)
	}
	into.hops = append(into.hops, from.hops...)
	into.hops = into.hops[:min(len(into.hops), maxListed)]
	into.extend(from.start, from.end)
	into.absorb(from)
	t.size += into.size() - before
	t.drop(from, into)
}

// absorb adds what another incident has counted, but for its targets.
func (i *incident) absorb(from *incident) {
	i.Signals += from.Signals
	i.Failed += from.Failed
	i.Doubtful += from.Doubtful
	i.Loose += from.Loose
	i.Incomplete = i.Incomplete || from.Incomplete
	i.Inferred = i.Inferred || from.Inferred
	i.Act = i.Act || from.Act
	i.joined |= from.joined
	i.users.absorb(&from.users)
	i.addresses.absorb(&from.addresses)
}

// move moves a target into an incident, which may have it already.
func (t *Table) move(into *incident, moved *target) {
	known, _ := into.process(moved.place, moved.start)
	if known == nil {
		moved.dirty = false // it is stored once more, with its new incident
		into.put(moved)
		into.outcome(moved.outcome, 1)
		if moved.killed {
			into.Escalated++
		}
		t.findable(into, moved)
		t.store.touch(into, moved)
		return
	}
	known.has = into.shared.overlap(known.has, moved.has)
	known.reached = known.reached || moved.reached
	t.findable(into, known)
	if known.start == 0 {
		known.start = moved.start
	}
	known.recent = append(known.recent, moved.recent...)
	known.recent = known.recent[max(0, len(known.recent)-maxRecent):]
	if moved.at > known.at {
		into.outcome(known.outcome, -1)
		known.outcome, known.at = moved.outcome, moved.at
		into.outcome(known.outcome, 1)
	}
	if moved.killed && !known.killed {
		known.killed = true
		into.Escalated++
	}
	t.store.touch(into, known)
}

// findable makes an incident be found by a target, unless all signals to that were refused: anybody could send so many that those who
// have reached it are found no more.
func (t *Table) findable(i *incident, by *target) {
	if by.reached {
		t.index(t.targetKey(by), i)
	}
}

func (t *Table) targetKey(of *target) key {
	return t.hasher.key(byTarget, of.host.id, number(of.pid))
}

func (t *Table) addKey(i *incident, k key) {
	if _, known := i.keys[k]; known || len(i.keys) >= recordsPerMember*t.config.MaxMembers {
		return
	}
	i.keys[k] = struct{}{}
	t.index(k, i)
	t.store.addKey(i, k)
}

// addHop notes where the login of a member can have gone, and where it came from.
func (t *Table) addHop(i *incident, r *Record, k *keys, to *host) {
	if k.hop != (key{}) {
		t.addKey(i, k.hop)
	}
	if k.origin == (key{}) {
		return
	}
	t.addKey(i, k.origin)
	if from := t.hosts.from(r); from != nil {
		way := Hop{from.label(), to.label()}
		if len(i.hops) < maxListed && !slices.Contains(i.hops, way) {
			i.hops = append(i.hops, way)
		}
	}
}

// index makes an incident be found by a key.
func (t *Table) index(k key, i *incident) {
	all := t.byKey[k]
	if slices.Contains(all, i) {
		return
	}
	if len(all) >= maxHolders {
		all = slices.Delete(all, 0, 1)
	}
	t.byKey[k] = append(all, i)
}

func (t *Table) remove(k key, i *incident) {
	if len(t.byKey[k]) == 0 {
		return
	}
	all := slices.DeleteFunc(t.byKey[k], func(holds *incident) bool { return holds == i })
	if len(all) == 0 {
		delete(t.byKey, k)
		return
	}
	t.byKey[k] = all
}
