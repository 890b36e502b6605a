// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Change is a key of a store and its new value, nil if the key is to be deleted.
type Change struct {
	Key   string
	Value []byte
}

// slotsKey is where the number of slots is. Each record that is held back is in one, and each incident: what is said about it as a whole at the number of
// the slot, and its members in pieces, which are only added to, at "slot.piece". The addresses of hosts are at "host.digest".
const slotsKey = "slots"

// maxPieces is how many pieces there are before they are made one.
const maxPieces = 256

// store knows what has changed since the last Changes.
type store struct {
	enabled bool
	dirty   map[*incident]struct{}
	free    []int
	slots   int
	grown   bool
	deleted []string
}

// persisted is where an incident is stored, and what of it is not.
type persisted struct {
	slot, pieces int
	// records and hosts are how many of these are stored.
	records, hosts int
	keys           []key
	targets        []*target
	// arrivals are hosts of which it has become known where somebody came from.
	arrivals  []*host
	pods      map[digest]struct{}
	forgotten bool
}

func newStore(enabled bool) store {
	return store{enabled: enabled, dirty: map[*incident]struct{}{}}
}

func (s *store) open(i *incident) {
	if !s.enabled {
		return
	}
	i.saved.slot = s.slot()
}

// slot returns a place that is free.
func (s *store) slot() (slot int) {
	if !s.enabled {
		return 0
	}
	if n := len(s.free); n > 0 {
		slot, s.free = s.free[n-1], s.free[:n-1]
		return slot
	}
	s.slots++
	s.grown = true
	return s.slots - 1
}

// vacate has a place be free again.
func (s *store) vacate(slot int) {
	if s.enabled {
		s.deleted = append(s.deleted, strconv.Itoa(slot))
		s.free = append(s.free, slot)
	}
}

func (s *store) change(i *incident) {
	if s.enabled && !i.saved.forgotten {
		s.dirty[i] = struct{}{}
	}
}

func (s *store) touch(i *incident, known *target) {
	if s.enabled && !known.dirty {
		known.dirty = true
		i.saved.targets = append(i.saved.targets, known)
	}
}

func (s *store) addKey(i *incident, k key) {
	if s.enabled {
		i.saved.keys = append(i.saved.keys, k)
	}
}

// came notes that it has become known where somebody came from to a host.
func (s *store) came(i *incident, to *host) {
	if s.enabled && slices.Contains(i.hosts[:min(i.saved.hosts, len(i.hosts))], to) {
		i.saved.arrivals = append(i.saved.arrivals, to)
	}
}

func (s *store) explain(i *incident, pod digest) {
	if !s.enabled {
		return
	}
	if i.saved.pods == nil {
		i.saved.pods = map[digest]struct{}{}
	}
	i.saved.pods[pod] = struct{}{}
}

// drop removes an incident that is gone, but for a last report that is not told yet.
func (s *store) drop(i *incident) {
	if !s.enabled {
		return
	}
	s.cut(i)
	i.saved.keys, i.saved.targets, i.saved.pods, i.saved.arrivals = nil, nil, nil, nil
	if i.told.final == nil {
		s.forget(i)
	} else {
		s.dirty[i] = struct{}{}
	}
}

// cut removes the pieces of an incident.
func (s *store) cut(i *incident) {
	for piece := range i.saved.pieces {
		s.deleted = append(s.deleted, pieceKey(i.saved.slot, piece))
	}
	i.saved.pieces = 0
}

// forget removes all of an incident.
func (s *store) forget(i *incident) {
	if !s.enabled || i.saved.forgotten {
		return
	}
	i.saved.forgotten = true
	delete(s.dirty, i)
	s.vacate(i.saved.slot)
}

func pieceKey(slot, piece int) string { return strconv.Itoa(slot) + "." + strconv.Itoa(piece) }

// whole is what is said about an incident as a whole.
type whole struct {
	ID        []byte
	Sequence  uint64
	Start     int64
	First     int64 `json:",omitempty"` // the time of the member that the id is of
	Fixed     bool  `json:",omitempty"`
	End       int64
	Closed    bool     `json:",omitempty"`
	Users     single   `json:",omitzero"`
	Addresses origins  `json:",omitzero"`
	Weak      []byte   `json:",omitempty"`
	Joined    uint32   `json:",omitempty"`
	Shared    []common `json:",omitempty"`
	Tally     tally
	Told      State   `json:",omitempty"`
	Changed   bool    `json:",omitempty"` // since it was told
	Final     *Report `json:",omitempty"`
	Others    bool    `json:",omitempty"` // processes of no pod
	Payer     string  `json:",omitempty"`
	PayerID   string  `json:",omitempty"`
	PayerName string  `json:",omitempty"`
	Pieces    int
	// Held is a record that is held back; nil for an incident.
	Held *Record `json:",omitempty"`
}

// piece is a part of the members.
type piece struct {
	Hosts   []storedHost   `json:",omitempty"`
	Records []byte         `json:",omitempty"`
	Keys    []byte         `json:",omitempty"`
	Targets []storedTarget `json:",omitempty"`
	Pods    []storedPod    `json:",omitempty"`
}

type storedPod struct {
	Pod []byte `json:"p"`
	reason
}

// storedHost is a host. It is stored again once it is known where somebody came from to it.
type storedHost struct {
	ID, Name string
	Origin   int32 `json:",omitempty"`
}

// storedTarget is a target. Host is an index of all hosts of the incident.
type storedTarget struct {
	Host    int    `json:"h"`
	PID     int64  `json:"p"`
	Start   uint64 `json:"s,omitempty"`
	Name    string `json:"n,omitempty"`
	Has     fields `json:"b,omitempty"`
	Outcome string `json:"o,omitempty"`
	At      int64  `json:"a,omitempty"`
	Killed  bool   `json:"k,omitempty"`
	Reached bool   `json:"d,omitempty"`
	Recent  []byte `json:"r,omitempty"`
	Source  string `json:"c,omitempty"`
}

// Changes returns what has changed since the last time, for a store that survives a restart. They are to be stored
// together, and before what the next call returns; only the last value of a key counts.
func (t *Table) Changes() ([]Change, error) {
	s := &t.store
	changes := make([]Change, 0, len(s.deleted)+2*len(s.dirty)+1)
	var errs []error
	for i := range s.dirty {
		if len(i.saved.targets)+len(i.saved.keys)+len(i.saved.pods) > 0 && i.saved.pieces >= maxPieces {
			s.rewrite(i)
		}
		all, err := i.changes()
		changes = append(changes, all...)
		errs = append(errs, err)
	}
	records, err := t.heldChanges()
	changes, errs = append(changes, records...), append(errs, err)
	deleted := make([]Change, 0, len(s.deleted))
	written := make(map[string]struct{}, len(changes))
	for _, c := range changes {
		written[c.Key] = struct{}{}
	}
	for _, k := range s.deleted {
		if _, again := written[k]; !again {
			deleted = append(deleted, Change{Key: k})
		}
	}
	if s.grown {
		changes = append(changes, Change{slotsKey, strconv.AppendInt(nil, int64(s.slots), 10)})
	}
	addresses, err := t.changedHosts()
	changes, errs = append(changes, addresses...), append(errs, err)
	clear(s.dirty)
	s.deleted, s.grown = s.deleted[:0], false
	return append(deleted, changes...), errors.Join(errs...)
}

// changedHosts returns the addresses of hosts that are to be stored anew. They are stored for each host once, however many
// incidents refer to it, and whichever of these has taught them.
func (t *Table) changedHosts() (changes []Change, err error) {
	for id := range t.hosts.changed {
		c := Change{Key: t.hostKey(id)}
		if known := t.hosts.byID[id]; known != nil && len(known.addresses) > 0 {
			if c.Value, err = json.Marshal(known.addresses); err != nil {
				return changes, fmt.Errorf("storing the addresses of a host: %w", err)
			}
		}
		changes = append(changes, c)
	}
	clear(t.hosts.changed)
	return changes, nil
}

func (t *Table) hostKey(id string) string {
	sum := t.hasher.sum("host", id)
	return "host." + hex.EncodeToString(sum[:])
}

// rewrite has all members stored again, in one piece.
func (s *store) rewrite(i *incident) {
	s.cut(i)
	i.saved.records, i.saved.hosts, i.saved.keys, i.saved.targets, i.saved.arrivals = 0, 0, nil, nil, nil
	for k := range i.keys {
		i.saved.keys = append(i.saved.keys, k)
	}
	for known := range i.all {
		known.dirty = true
		i.saved.targets = append(i.saved.targets, known)
	}
	for pod := range i.pods.why {
		s.explain(i, pod)
	}
}

// changes returns what has changed of one incident.
func (i *incident) changes() ([]Change, error) {
	var p piece
	for _, h := range i.hosts[min(i.saved.hosts, len(i.hosts)):] {
		p.Hosts = append(p.Hosts, storedHost{h.id, h.name, i.members[h].origin})
	}
	for _, h := range i.saved.arrivals {
		p.Hosts = append(p.Hosts, storedHost{h.id, h.name, i.members[h].origin})
	}
	for _, uid := range i.records[min(i.saved.records, len(i.records)):] {
		p.Records = append(p.Records, uid[:]...)
	}
	for _, k := range i.saved.keys {
		p.Keys = append(p.Keys, k[:]...)
	}
	if len(i.saved.targets) > 0 {
		places := make(map[*host]int, len(i.hosts))
		for at, h := range i.hosts {
			places[h] = at
		}
		for _, known := range i.saved.targets {
			known.dirty = false
			p.Targets = append(p.Targets, known.stored(places[known.host]))
		}
	}
	for pod := range i.saved.pods {
		p.Pods = append(p.Pods, storedPod{pod[:], i.pods.why[pod]})
	}
	i.saved.hosts, i.saved.records = len(i.hosts), len(i.records)
	i.saved.keys, i.saved.targets, i.saved.pods, i.saved.arrivals = nil, nil, nil, nil
	var changes []Change
	if len(p.Hosts)+len(p.Records)+len(p.Keys)+len(p.Targets)+len(p.Pods) > 0 {
		value, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("storing the members of an incident: %w", err)
		}
		changes = append(changes, Change{pieceKey(i.saved.slot, i.saved.pieces), value})
		i.saved.pieces++
	}
	value, err := json.Marshal(i.whole())
	if err != nil {
		return nil, fmt.Errorf("storing an incident: %w", err)
	}
	return append(changes, Change{strconv.Itoa(i.saved.slot), value}), nil
}

// storedDeath is a bit that no signal's number has.
const storedDeath = 1 << 32

func (k *target) stored(host int) storedTarget {
	stored := storedTarget{
		Host: host, PID: k.pid, Start: k.start, Name: k.name, Has: k.has, Outcome: k.outcome, At: k.at, Killed: k.killed, Reached: k.reached,
	}
	for _, s := range k.recent {
		signal := s.signal
		if s.death {
			signal |= storedDeath
		}
		for _, n := range []int64{s.at, signal, s.sender} {
			stored.Recent = binary.BigEndian.AppendUint64(stored.Recent, uint64(n))
		}
		stored.Source = s.source
	}
	return stored
}

func (i *incident) whole() whole {
	w := whole{
		ID: i.id[:], Sequence: i.sequence, Start: i.start.UnixNano(), First: i.first.UnixNano(), Fixed: i.told.fixed, End: i.end.UnixNano(), Closed: i.closed, Users: i.users,
		Addresses: i.origins, Joined: i.joined, Tally: i.tally, Told: i.told.state,
		Changed: i.told.revision != i.revision, Final: i.told.final, Pieces: i.saved.pieces,
	}
	if i.told.final != nil {
		return w
	}
	w.Shared, w.Others = i.shared[:], i.pods.others
	w.Payer, w.PayerID, w.PayerName = i.payer.user, i.payer.host.id, i.payer.host.name
	for _, k := range i.weak {
		w.Weak = append(w.Weak, k[:]...)
	}
	return w
}
