// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// What joins depends on what has come before. Tables that get the same records in other orders hold each back for the delay, and add them
// in the order of their own time: so all find the same.

const (
	// maxHeld is how many bytes of records are held back: some 40,000 of usual ones, 8,000 a second by a delay of 5 s. Beyond that they
	// are added at once, and tables may differ.
	maxHeld = 64 << 20
	// heldRecordSize is what one takes up beside its texts.
	heldRecordSize = 1024
)

// held is a record that is held back.
type held struct {
	record  Record
	uid     digest
	arrived time.Time
	slot    int
	stored  bool
}

// holding are the records that are held back.
type holding struct {
	all  []*held
	size int
}

// hold has a record be added later.
func (t *Table) hold(r *Record, uid digest, now time.Time) {
	h := &held{record: *r, uid: uid, arrived: now, slot: t.store.slot()}
	t.held.all = append(t.held.all, h)
	if t.held.size += r.size(); t.held.size > maxHeld {
		t.release(func(*held) bool { return true }, now)
	}
}

// mature adds the records that have waited for the delay, and before each those that are of an earlier time, whenever they have come. Thus the
// order is that of their time if none comes later than another by more than the delay, however old all are. A record whose host's clock is
// ahead does not have all others be added before their time.
func (t *Table) mature(now time.Time) {
	before, latest := now.Add(-t.config.Delay), time.Time{}
	for _, h := range t.held.all {
		if now.Before(h.arrived) { // the clock was set back
			h.arrived = now
		}
		if at := h.record.Time; !h.arrived.After(before) && at.After(latest) && !at.After(before) {
			latest = at
		}
	}
	t.release(func(h *held) bool { return !h.arrived.After(before) || !h.record.Time.After(latest) }, now)
}

// release adds records that are held back, in the order of their own time.
func (t *Table) release(due func(*held) bool, now time.Time) {
	if len(t.held.all) == 0 {
		return
	}
	var released, kept []*held
	for _, h := range t.held.all {
		if due(h) {
			released = append(released, h)
		} else {
			kept = append(kept, h)
		}
	}
	slices.SortFunc(released, func(a, b *held) int {
		return cmp.Or(a.record.Time.Compare(b.record.Time), bytes.Compare(a.uid[:], b.uid[:]))
	})
	t.held.all = slices.Concat(released, kept) // none is lost, nor added twice, if adding one panics
	for _, h := range released {
		t.held.all = t.held.all[1:]
		t.held.size -= h.record.size()
		t.store.vacate(h.slot)
		result := t.add(&h.record, h.uid, now)
		if t.Released != nil {
			t.Released(&h.record, result)
		}
	}
}

// size is how many bytes a record takes up.
func (r *Record) size() int {
	size := heldRecordSize + len(r.UID) + len(r.HostID) + len(r.HostName) + len(r.Source) + len(r.Outcome) + len(r.Evidence)
	p, s := &r.Target, &r.Sender
	size += len(p.Start) + len(p.Cgroup) + len(p.UserID) + len(p.AuditUser) + len(s.Start) + len(s.Unit) + len(s.AuditUser)
	for f := range Fields {
		size += len(r.value(f))
	}
	for _, address := range r.Addresses {
		size += len(address)
	}
	return size
}

// heldChanges returns the records that are to be stored.
func (t *Table) heldChanges() (changes []Change, err error) {
	if !t.store.enabled {
		return nil, nil
	}
	for _, h := range t.held.all {
		if h.stored {
			continue
		}
		value, err := json.Marshal(whole{Held: &h.record})
		if err != nil {
			return changes, fmt.Errorf("storing a record that is held back: %w", err)
		}
		h.stored = true
		changes = append(changes, Change{strconv.Itoa(h.slot), value})
	}
	return changes, nil
}

// restoreHeld holds back a record that was stored.
func (t *Table) restoreHeld(r *Record, slot int, now time.Time) {
	t.held.all = append(t.held.all, &held{
		record: *r, uid: t.hasher.sum(r.identity()...), arrived: now, slot: slot, stored: true,
	})
	t.held.size += r.size()
}
