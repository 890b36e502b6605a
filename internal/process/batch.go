// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import "time"

// batch is what was found out for events that had all happened by the time when it began: a process that is seen to live
// after that is the one that had its pid, and one look is enough for all events.
type batch struct {
	// number is 0 before the first batch.
	number uint64
	// wall and boot are the same moment by both clocks, later a snapshot; each is unset until it is needed.
	wall  time.Time
	boot  time.Duration
	later snapshot
	// missing are pids that no process had.
	missing map[int]bool
}

// Batch begins a batch of events to fill: all of them have happened by now. What /proc shows from now on counts for
// each of them, so that each process is looked at once.
func (t *Table) Batch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	missing := t.batch.missing
	clear(missing)
	t.batch = batch{number: t.batch.number + 1, missing: missing}
}

// covers reports whether something was found out in this batch.
func (b *batch) covers(number uint64) bool { return number != 0 && number == b.number }

// miss notes that no process has a pid.
func (b *batch) miss(pid int) {
	if b.number == 0 {
		return
	}
	if b.missing == nil {
		b.missing = map[int]bool{}
	}
	b.missing[pid] = true
}

// sinceBoot is Table.sinceBoot with clocks that are compared once.
func (b *batch) sinceBoot(t *Table, at time.Time) time.Duration {
	if b.number == 0 {
		return t.sinceBoot(at)
	}
	if b.wall.IsZero() {
		b.wall = t.wall()
		b.boot = t.sinceBoot(b.wall)
	}
	return b.boot - b.wall.Sub(at)
}

// snapshot is Table.snapshot, taken once.
func (b *batch) snapshot(t *Table) snapshot {
	if b.number == 0 {
		return t.snapshot()
	}
	if b.later.at == 0 {
		b.later = t.snapshot()
	}
	return b.later
}
