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
	all   []*held
	byUID map[digest]struct{}
	size  int
}

func (h *holding) has(uid digest) bool {
	_, has := h.byUID[uid]
	return has
}

func (h *holding) add(another *held) {
	if h.byUID == nil {
		h.byUID = map[digest]struct{}{}
	}
	h.byUID[another.uid] = struct{}{}
	h.all = append(h.all, another)
	h.size += another.record.size()
}

// takeFirst removes the first record.
func (h *holding) takeFirst() *held {
	first := h.all[0]
	h.all[0] = nil // it is not kept any longer
	h.all = h.all[1:]
	h.size -= first.record.size()
	delete(h.byUID, first.uid)
	return first
}

// Waiting returns how many records are held back.
func (t *Table) Waiting() int { return len(t.held.all) }

// hold has a record be added later, unless it was before.
func (t *Table) hold(r *Record, uid digest, now time.Time) Result {
	if _, known := t.byUID[uid]; known || t.held.has(uid) {
		return Repeated
	}
	t.held.add(&held{record: *r, uid: uid, arrived: now, slot: t.store.slot()})
	if t.held.size > maxHeld {
		t.release(func(*held) bool { return true }, now)
	}
	return Held
}

// mature adds the records that have waited for the delay, in the order of their own time, as long as none of an earlier time still waits. None
// waits for others for more than the delay once more: a record whose host's clock is ahead, and one beside a backlog, are added by then.
// Thus the order is that of their time if none comes later than another by more than the delay, however old all are.
func (t *Table) mature(now time.Time) {
	waits := false
	t.release(func(h *held) bool {
		if now.Before(h.arrived) { // the clock was set back
			h.arrived = now
		}
		waited := now.Sub(h.arrived)
		waits = waits || waited < t.config.Delay
		return !waits || waited >= 2*t.config.Delay
	}, now)
}

// release adds records that are held back. It asks which are due in the order of their own time, and adds them in that.
func (t *Table) release(due func(*held) bool, now time.Time) {
	if len(t.held.all) == 0 {
		return
	}
	slices.SortFunc(t.held.all, func(a, b *held) int {
		return cmp.Or(a.record.Time.Compare(b.record.Time), bytes.Compare(a.uid[:], b.uid[:]))
	})
	var released, kept []*held
	for _, h := range t.held.all {
		if due(h) {
			released = append(released, h)
		} else {
			kept = append(kept, h)
		}
	}
	t.held.all = slices.Concat(released, kept) // none is lost, nor added twice, if adding one panics
	for range released {
		h := t.held.takeFirst()
		t.store.vacate(h.slot)
		result := t.add(&h.record, h.uid, now)
		if t.Released != nil {
			t.Released(&h.record, result)
		}
	}
}

// size is how many bytes a record takes up.
func (r *Record) size() int {
	p, s, q, b := &r.Target, &r.Sender, &r.Requester, &r.Initiator
	size := heldRecordSize
	for _, text := range [...]string{
		r.UID, r.HostID, r.HostName, r.Source, r.SignalName, r.Cause, r.Evidence, r.Outcome,
		p.Start, p.Name, p.Executable, p.Unit, p.Cgroup, p.Container, p.ContainerName, p.PodUID, p.PodName, p.PodNamespace, p.UserID, p.AuditUser,
		s.Start, s.Name, s.Path, s.Unit, s.UserID, s.UserName, s.AuditUser,
		q.Name, q.Path, q.Title, q.Unit, q.UserID, q.UserName, b.Name, b.Title, r.UserID, r.UserName, r.Client, r.Session, r.OOMCgroup,
	} {
		size += len(text)
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
	uid := t.hasher.sum(r.identity()...)
	if t.held.has(uid) { // an older version has stored it twice
		t.store.vacate(slot)
		return
	}
	t.held.add(&held{record: *r, uid: uid, arrived: now, slot: slot, stored: true})
}
