// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Result says what became of a record.
type Result uint8

const (
	// Joined is a new member of an incident, perhaps its first one.
	Joined Result = iota
	// Repeated is one that was counted before, perhaps as another source told it.
	Repeated
	// Ignored is one that incidents have nothing to do with: a signal 0, which only asks whether a process exists, and what each
	// logout brings along.
	Ignored
	// Uncounted is a member of an incident that has no room for more.
	Uncounted
	// Held is one that is held back, and joins later.
	Held
)

// Counts is what the table has, and what it has given up.
type Counts struct {
	// Open is how many incidents are open, single signals among them; Closed those that still take in what comes late.
	Open, Closed int
	// Members is how many processes all have.
	Members int
	// Evicted is how many open incidents were given up because the table was full.
	Evicted int64
}

// Table joins records. It is not safe for concurrent use.
type Table struct {
	// Released, if it is set, is called with what became of a record for which Add has returned Held.
	Released func(*Record, Result)

	config   Config
	sequence uint64
	hasher   hasher
	keys     keys
	hosts    hosts
	all      map[*incident]struct{}
	byKey    map[key][]*incident
	byUID    map[digest]*incident
	due      []*incident
	// gone is how many of due are given up since they were last taken out of it.
	gone   int
	closed int
	// size is the sum of all incidents' sizes.
	size   int
	counts Counts
	store  store

	held      holding
	podEvents podEvents
}

// NewTable returns an empty table.
func NewTable(config Config) *Table {
	return &Table{
		config: config, hosts: newHosts(config.Persistent), all: map[*incident]struct{}{}, byKey: map[key][]*incident{},
		byUID: map[digest]*incident{}, store: newStore(config.Persistent),
	}
}

// Counts returns what the table has, and what it has given up.
func (t *Table) Counts() Counts {
	counts := t.counts
	counts.Open, counts.Closed = len(t.all)-t.closed, t.closed
	for i := range t.all {
		counts.Members += i.processes
	}
	return counts
}

// Add adds a record that has arrived now, or holds it back.
func (t *Table) Add(r *Record, now time.Time) Result {
	if r.Kind == kill.KindSignal && r.SignalNumber == 0 || r.logout() {
		return Ignored
	}
	if r.HostID == "" {
		r.HostID = r.HostName
	}
	r.HostID, r.HostName = cutTo(r.HostID, longestName), cutTo(r.HostName, longestName)
	uid := t.hasher.sum(r.identity()...)
	if t.config.Delay > 0 {
		return t.hold(r, uid, now)
	}
	return t.add(r, uid, now)
}

// add adds a record.
func (t *Table) add(r *Record, uid digest, now time.Time) Result {
	from := t.hosts.of(r)
	if _, known := t.byUID[uid]; known {
		return Repeated
	}
	r.parseClient()
	t.hosts.hear(from, r)
	k := t.keysOf(r, from)
	i, joined := t.find(r, k, from)
	if i == nil {
		i = t.open(r, k, from, uid)
	} else {
		i.joined |= 1 << joined
	}
	before := i.size()
	result := t.join(i, r, k, from, uid)
	i.weigh()
	t.size += i.size() - before
	i.arrived = now
	if from.incidents == 0 { // there was no room for its record
		t.hosts.forget(from)
	}
	t.note(i, result != Repeated)
	t.bound()
	return result
}

// open begins an incident.
func (t *Table) open(r *Record, k *keys, from *host, uid digest) *incident {
	t.sequence++
	i := &incident{
		id: t.idOf(uid), first: r.Time, sequence: t.sequence, start: r.Time, end: r.Time, weak: slices.Clone(k.weak),
		keys: map[key]struct{}{}, targets: map[place]*target{}, members: map[*host]presence{},
	}
	t.all[i] = struct{}{}
	for _, weak := range i.weak {
		t.index(weak, i)
	}
	t.charge(i, from, strings.Clone(r.Payer()))
	t.store.open(i)
	return i
}

// idOf returns the id of an incident by its earliest member. Whoever gets the same records in another order finds the same. By what they
// are joined is no part of it: that depends on which of them have come so far, and changes when two incidents become one.
func (t *Table) idOf(uid digest) digest {
	if t.config.Scope == "" {
		return t.hasher.sum("incident", string(uid[:]))
	}
	return t.hasher.sum("incident", string(uid[:]), t.config.Scope)
}

// identify gives an incident that nobody was told of the id of its earliest member.
func (i *incident) identify(id digest, at time.Time) {
	if i.told.state == None && !i.told.fixed && older(at, id, i.first, i.id) {
		i.id, i.first = id, at
	}
}

// older reports whether one of two members comes first, by their own time.
func older(at time.Time, id digest, than time.Time, other digest) bool {
	return cmp.Or(at.Compare(than), bytes.Compare(id[:], other[:])) < 0
}

// join makes a record a member.
func (t *Table) join(i *incident, r *Record, k *keys, from *host, uid digest) Result {
	i.extend(r.Time, r.last(t.config.MaxDuration-i.span(r.Time, r.Time)))
	i.Inferred = i.Inferred || r.Evidence == string(kill.EvidenceInferred)
	i.Act = i.Act || r.act()
	known, follows := t.targetOf(i, r, k, from)
	if !follows {
		t.narrow(i, k.weak)
	}
	_, member := i.members[from]
	if known == nil && r.Target.PID != 0 || len(i.records) >= recordsPerMember*t.config.MaxMembers || !member && len(i.hosts) >= t.config.MaxMembers {
		i.Incomplete = true
		i.shared.exceed(r)
		return Uncounted
	}
	t.byUID[uid] = i
	i.records = append(i.records, uid)
	i.identify(t.idOf(uid), r.Time)
	i.addUser(r)
	t.addHost(i, from)
	t.addOrigin(i, r, k, from)
	for _, strong := range k.strong {
		t.addKey(i, strong)
	}
	for _, way := range [...]key{k.hop, k.attempt} {
		if way != (key{}) {
			t.addKey(i, way)
		}
	}
	if known == nil {
		i.Loose++
	}
	again, dies := false, false
	if known != nil {
		again, dies = duplicate(known, r)
	}
	switch { // what a process dies of does not say why the signal was sent
	case again && r.Kind == kill.KindAbend:
		told := *r
		told.Cause = ""
		r = &told
	case dies:
		i.shared.withdraw(int(Cause), known)
	}
	i.shared.add(r, known, again)
	if again {
		return Repeated
	}
	i.count(r, known)
	return Joined
}

// narrow removes the weak keys that not all members have in common.
func (t *Table) narrow(i *incident, weak []key) {
	for _, k := range i.weak {
		if !slices.Contains(weak, k) {
			t.remove(k, i)
		}
	}
	i.keep(weak)
}

func (t *Table) addHost(i *incident, from *host) {
	if _, known := i.members[from]; known {
		return
	}
	i.members[from] = presence{}
	i.hosts = append(i.hosts, from)
	t.hosts.refer(from)
}

// targetOf returns the target of a record, and whether it was known; nil if it has none, or there is no room for it.
func (t *Table) targetOf(i *incident, r *Record, k *keys, from *host) (known *target, follows bool) {
	if r.Target.PID == 0 {
		return nil, false
	}
	at, start := place{from, r.Target.PID}, t.startOf(r)
	known, length := i.process(at, start)
	follows = known != nil
	if !follows {
		if i.processes >= t.config.MaxMembers || length >= maxReused {
			return nil, false
		}
		t.addHost(i, from)
		known = &target{place: at, name: strings.Clone(cutTo(r.Target.Name, visible.NameLimit))}
		i.put(known)
		t.addPod(i, r)
	}
	if known.start == 0 {
		known.start = start
	}
	known.reached = known.reached || r.reaches()
	if known.reached { // see findable
		t.index(k.target, i)
	}
	t.store.touch(i, known)
	return known, follows
}

// startOf returns a digest of when the target was created; 0 if that is not known.
func (t *Table) startOf(r *Record) uint64 {
	if r.Target.Start == "" {
		return 0
	}
	sum := t.hasher.sum(r.Target.Start)
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// duplicate reports whether another source has told the same signal, or the same source both the signal and that the process dies
// of it, and remembers it if not. dies is true if only the latter was told: the kernel may say it first.
func duplicate(known *target, r *Record) (again, dies bool) {
	if r.Kind == kill.KindOutcome {
		return false, false
	}
	s := sentOf(r)
	n := slices.IndexFunc(known.recent, s.same)
	if n >= 0 && (s.death || !known.recent[n].death) {
		return true, false
	}
	s.source = strings.Clone(s.source)
	if n >= 0 {
		known.recent[n] = s
		return true, true
	}
	if len(known.recent) >= maxRecent {
		known.recent = slices.Delete(known.recent, 0, 1)
	}
	known.recent = append(known.recent, s)
	return false, false
}

// sentOf returns what a record says of its signal. Its source is still a part of the record's.
func sentOf(r *Record) sent {
	s := sent{
		at: r.Time.UnixNano(), signal: r.SignalNumber, sender: r.Sender.PID, source: cutTo(r.Source, longestSource), death: r.Kind == kill.KindAbend,
	}
	if s.death { // it does not say who has sent the signal
		s.sender = 0
	}
	return s
}

// same reports whether two records tell the same signal.
func (s *sent) same(earlier sent) bool {
	if earlier.signal != s.signal || earlier.sender != s.sender && earlier.sender != 0 && s.sender != 0 {
		return false
	}
	apart := time.Duration(s.at - earlier.at).Abs()
	return earlier.source != s.source && apart <= duplicateWindow || (s.death || earlier.death) && apart <= deathWindow
}

// count counts what a record says.
func (i *incident) count(r *Record, known *target) {
	if r.Kind != kill.KindOutcome {
		i.Signals += r.Signals()
		switch {
		case r.Failed:
			i.Failed += r.Signals()
		case r.Doubtful:
			i.Doubtful += r.Signals()
		}
		return
	}
	if known == nil {
		return
	}
	if r.Escalated && !known.killed {
		known.killed = true
		i.Escalated++
	}
	if at := r.Time.UnixNano(); known.outcome == "" || at >= known.at {
		i.outcome(known.outcome, -1)
		known.outcome, known.at = outcomeOf(r.Outcome), at
		i.outcome(known.outcome, 1)
	}
}

// outcome counts how a target has ended.
func (i *incident) outcome(verdict string, n int) {
	switch kill.Verdict(verdict) {
	case kill.VerdictExited:
		i.Exited += n
	case kill.VerdictKilled:
		i.Killed += n
	case kill.VerdictCoreDumped:
		i.Cored += n
	case kill.VerdictSurvived:
		i.Survived += n
	}
}

// outcomeOf returns a verdict that there is, so that nothing else is stored.
func outcomeOf(verdict string) string {
	for _, known := range []kill.Verdict{
		kill.VerdictExited, kill.VerdictKilled, kill.VerdictCoreDumped, kill.VerdictSurvived, kill.VerdictEnded,
	} {
		if string(known) == verdict {
			return string(known)
		}
	}
	return string(kill.VerdictUnknown)
}
