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
	candidates := t.united(r, k, from)
	if len(candidates) == 0 {
		return t.attracted(r, k)
	}
	first := candidates[0]
	oldest := first
	for _, other := range candidates[1:] { // a way alone leads to nobody else than the first one
		if byAge(other.incident, oldest.incident) < 0 && (!other.hops() || t.unites(&first, &other, from)) {
			oldest = other
		}
	}
	for _, other := range candidates {
		if other.incident != oldest.incident && t.unites(&oldest, &other, from) {
			t.merge(oldest.incident, other.incident)
			oldest.Inferred = oldest.Inferred || other.hops()
		}
	}
	// Somebody else may have come from that host: who does nothing there is not known to be logged in.
	oldest.Inferred = oldest.Inferred || oldest.hops()
	return oldest.incident, first.by
}

// unites reports whether two incidents are one by a record that may belong to both.
func (t *Table) unites(a, b *candidate, from *host) bool {
	return t.fits(a.incident, b.incident) && (!a.hops() && !b.hops() || t.sameWay(a.incident, b.incident, from))
}

// sameWay reports whether two incidents can be those of one person, by the ways of his logins over hosts, one of which is given.
func (t *Table) sameWay(a, b *incident, over *host) bool {
	return t.oneWay(&a.origins, &b.origins, func(h *host) bool { return h == over || a.on(h) || b.on(h) })
}

// candidate is an incident that a record may belong to, and the most telling of what they have in common.
type candidate struct {
	*incident
	by kind
}

// hops reports whether that is only the way of a login over hosts.
func (c *candidate) hops() bool { return c.by == byHop || c.by == byOrigin }

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
	return other.reaches(r.Time, &t.config) && !other.contradicts(r) && t.fits(i, other) &&
		(i.origins.within(&other.origins) || other.origins.within(&i.origins))
}

// followed returns the incident that has the target of a record already, unless somebody else is behind that. What
// follows a signal may come much later: a SIGKILL after 90 s, the end after two minutes. Nothing follows a signal that was refused, or
// may have been: anybody can send one to any process.
func (t *Table) followed(r *Record, k *keys, from *host) *incident {
	if r.Target.PID == 0 {
		return nil
	}
	if !r.reaches() {
		return t.attempted(r, k, from)
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

// attempted returns the incident in which another source has told the same signal, which was refused. It may not say when the sender was
// created, by which what one process sends is joined.
func (t *Table) attempted(r *Record, k *keys, from *host) *incident {
	at, start, signal := place{from, r.Target.PID}, t.startOf(r), sentOf(r)
	for i := range t.holders(k.attempt) {
		if known, _ := i.process(at, start); known != nil && !i.contradicts(r) && slices.ContainsFunc(known.recent, signal.same) {
			return i
		}
	}
	return nil
}

// united returns the incidents that have a target or a strong key of a record, or to which the way of its login over hosts leads. The
// first one has the most telling of these.
func (t *Table) united(r *Record, k *keys, from *host) (candidates []candidate) {
	add := func(i *incident, by kind) {
		if !slices.ContainsFunc(candidates, func(c candidate) bool { return c.incident == i }) {
			candidates = append(candidates, candidate{i, by})
		}
	}
	if i := t.followed(r, k, from); i != nil {
		add(i, byTarget)
	}
	for _, strong := range k.strong {
		for i := range t.holders(strong) {
			if i.reaches(r.Time, &t.config) && !i.contradicts(r) {
				add(i, strong.kind())
			}
		}
	}
	if k.hop == (key{}) {
		return candidates
	}
	if i := t.before(r, k, from); i != nil {
		add(i, byHop)
	}
	t.after(r, from, func(i *incident) { add(i, byOrigin) })
	return candidates
}

// before returns the only incident of the user of a record on the host that he came from: of several, it could be any.
func (t *Table) before(r *Record, k *keys, from *host) (found *incident) {
	if k.origin == (key{}) {
		return nil
	}
	for i := range t.holders(k.origin) {
		if !i.reaches(r.Time, &t.config) || !t.leadsTo(i, r, from) {
			continue
		}
		if found != nil {
			return nil
		}
		found = i
	}
	return found
}

// after calls for each incident in which the user of a record came from its host to others, by addresses that no other host has.
func (t *Table) after(r *Record, from *host, found func(*incident)) {
	for _, address := range from.addresses {
		if t.hosts.only(address) != from {
			continue
		}
		for i := range t.holders(t.hasher.key(byClient, r.user(), address.String(), "")) {
			if i.reaches(r.Time, &t.config) && t.leadsTo(i, r, from) {
				found(i)
			}
		}
	}
}

// attracted returns the largest incident of which all members have a weak key of the record: the most telling one that any has.
func (t *Table) attracted(r *Record, k *keys) (best *incident, joined kind) {
	for _, weak := range k.weak {
		for i := range t.holders(weak) {
			if i.reaches(r.Time, &t.config) && !i.contradicts(r) && (best == nil || i.processes > best.processes) {
				best = i
			}
		}
		if best != nil {
			return best, weak.kind()
		}
	}
	return nil, 0
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
		(!a.users.differs(b.users.Value) || a.shareSession(b))
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
		if address := from.origins.at(from.members[h].origin); address != "" {
			if place := into.origins.add(address); place > 0 {
				t.cameFrom(into, h, place)
			}
		}
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
	into.extend(from.start, from.end)
	into.absorb(from)
	into.weigh()
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
	i.absorbUsers(from)
	i.origins.absorb(&from.origins)
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
