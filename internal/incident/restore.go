// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ErrStore says that a store could not be read; what is in it may be all right.
var ErrStore = errors.New("the store of open incidents cannot be read")

// Restore reads what was stored. What is damaged is left out, and returned as an error; after ErrStore nothing may be stored. Whatever is open has as much time
// to go on as if it had grown now.
func (t *Table) Restore(get func(key string) ([]byte, error), now time.Time) error {
	read := func(key string) ([]byte, error) {
		value, err := get(key)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrStore, err)
		}
		return value, err
	}
	value, err := read(slotsKey)
	if err != nil || value == nil {
		return err
	}
	slots, err := strconv.Atoi(string(value))
	if err != nil || slots < 0 || slots > maxSlots {
		return fmt.Errorf("the number of stored incidents is damaged: %q", value)
	}
	t.store.slots = slots
	var errs []error
	var all []*incident
	for slot := range slots {
		i, err := t.restore(slot, read, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading incident %d: %w", slot, err))
		}
		switch {
		case i != nil:
			all = append(all, i)
		case len(t.held.all) == 0 || t.held.all[len(t.held.all)-1].slot != slot:
			t.store.free = append(t.store.free, slot)
		}
	}
	slices.SortFunc(all, func(a, b *incident) int { return cmp.Compare(a.sequence, b.sequence) })
	for _, i := range all {
		t.adopt(i)
	}
	t.bound()
	return errors.Join(errs...)
}

// maxSlots bounds how many places are looked at; there are never more than incidents and records that are held back.
const maxSlots = 1 << 24

// restore reads one incident, or a record that is held back; nil if there is no incident.
func (t *Table) restore(slot int, get func(key string) ([]byte, error), now time.Time) (*incident, error) {
	value, err := get(strconv.Itoa(slot))
	if err != nil || value == nil {
		return nil, err
	}
	var w whole
	err = json.Unmarshal(value, &w)
	if err != nil {
		return nil, err
	}
	if w.Held != nil {
		t.restoreHeld(w.Held, slot, now)
		return nil, nil
	}
	i := &incident{
		sequence: w.Sequence, start: time.Unix(0, w.Start), end: time.Unix(0, w.End), arrived: now, closed: w.Closed, users: w.Users,
		origins: w.Addresses, joined: w.Joined, tally: w.Tally, told: told{state: w.Told, final: w.Final, fixed: w.Fixed || w.First == 0},
		first: time.Unix(0, cmp.Or(w.First, w.Start)),
		keys:  map[key]struct{}{}, targets: map[place]*target{}, members: map[*host]presence{}, revision: 1,
		saved: persisted{slot: slot, pieces: w.Pieces},
	}
	copy(i.id[:], w.ID)
	copy(i.shared[:], w.Shared)
	i.pods.others = w.Others
	if !w.Changed {
		i.told.revision = i.revision
	}
	if w.Final != nil {
		if w.Final.damaged() {
			return nil, errors.New("the last report is damaged")
		}
		w.Final.of = i
		return i, nil
	}
	for _, k := range split(w.Weak) {
		i.weak = append(i.weak, key(k))
	}
	from, err := t.restoreHost(storedHost{ID: w.PayerID, Name: w.PayerName}, get)
	t.charge(i, from, w.Payer)
	for n := 0; n < w.Pieces && err == nil; n++ {
		if value, err = get(pieceKey(slot, n)); err == nil {
			err = t.restorePiece(i, value, get)
		}
	}
	i.saved.records, i.saved.hosts = len(i.records), len(i.hosts)
	return i, err
}

// damaged reports whether a stored report has what no report of a table has, and cannot be told.
func (r *Report) damaged() bool {
	for f := range r.Shared {
		if f >= Fields {
			return true
		}
	}
	return r.HostCount == 1 && len(r.Hosts) == 0
}

func (t *Table) restorePiece(i *incident, value []byte, get func(key string) ([]byte, error)) error {
	if value == nil {
		return errors.New("a piece is missing")
	}
	var p piece
	if err := json.Unmarshal(value, &p); err != nil {
		return err
	}
	for _, h := range p.Hosts {
		from, err := t.restoreHost(h, get)
		t.addHost(i, from)
		if h.Origin > 0 {
			known := i.members[from]
			known.origin = h.Origin
			i.members[from] = known
		}
		if err != nil {
			return err
		}
	}
	i.records = append(i.records, split(p.Records)...)
	for _, k := range split(p.Keys) {
		i.keys[key(k)] = struct{}{}
	}
	for _, stored := range p.Pods {
		var pod digest
		copy(pod[:], stored.Pod)
		i.pods.set(pod, stored.reason)
	}
	for _, stored := range p.Targets {
		if stored.Host < 0 || stored.Host >= len(i.hosts) {
			return errors.New("a target is on no host")
		}
		i.restoreTarget(&stored)
	}
	return nil
}

// restoreTarget puts a target into its place, or replaces what an earlier piece says about it.
func (i *incident) restoreTarget(stored *storedTarget) {
	at := place{i.hosts[stored.Host], stored.PID}
	known, _ := i.process(at, stored.Start)
	if known == nil {
		known = &target{place: at, name: stored.Name}
		i.put(known)
	}
	known.start, known.has, known.outcome, known.at = stored.Start, stored.Has, stored.Outcome, stored.At
	known.killed, known.reached = stored.Killed, stored.Reached
	known.recent = nil
	for rest := stored.Recent; len(rest) >= 24 && len(known.recent) < maxRecent; rest = rest[24:] {
		signal := int64(binary.BigEndian.Uint64(rest[8:]))
		death := signal > 0 && signal&storedDeath != 0 // it is -1 if not known
		if death {
			signal -= storedDeath
		}
		known.recent = append(known.recent, sent{
			at: int64(binary.BigEndian.Uint64(rest)), signal: signal, death: death,
			sender: int64(binary.BigEndian.Uint64(rest[16:])), source: stored.Source,
		})
	}
}

// adopt makes a restored incident be found.
func (t *Table) adopt(i *incident) {
	t.sequence = max(t.sequence, i.sequence)
	if i.told.final != nil {
		t.demand(i)
		return
	}
	t.all[i] = struct{}{}
	i.weigh()
	t.size += i.size()
	for k := range i.keys {
		t.index(k, i)
	}
	for _, k := range i.weak {
		t.index(k, i)
	}
	for known := range i.all {
		t.findable(i, known)
	}
	for _, uid := range i.records {
		t.byUID[uid] = i
	}
	if i.told.state == None && i.reportable(&t.config) {
		t.demand(i)
	}
}

// restoreHost returns a host that was stored, also if its addresses cannot be read. An incident has to refer to it at once.
func (t *Table) restoreHost(s storedHost, get func(key string) ([]byte, error)) (*host, error) {
	if known := t.hosts.byID[s.ID]; known != nil {
		return known, nil
	}
	h := &host{id: s.ID, name: s.Name}
	value, err := get(t.hostKey(h.id))
	if err != nil || value == nil {
		return h, err
	}
	var addresses []string
	if json.Unmarshal(value, &addresses) == nil { // what is damaged costs no incident: the host's next record has them again
		t.hosts.learn(h, addresses)
	}
	return h, nil
}

// split cuts bytes into digests.
func split(all []byte) (parts []digest) {
	for ; len(all) >= len(digest{}); all = all[len(digest{}):] {
		var part digest
		copy(part[:], all)
		parts = append(parts, part)
	}
	return parts
}
