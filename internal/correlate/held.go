// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxHeld and maxHeldBytes bound what waits for facts. Beyond that, the oldest events go on
	// with what is known.
	maxHeld      = 8192
	maxHeldBytes = 16 << 20
	// waitRecords is how many records later an event waits no longer: the clock was set back.
	waitRecords = 1 << 16
)

// waiting is an event that is closed and waits for facts, or behind one that does.
type waiting struct {
	event *kill.Event
	// at is where it lies in the log.
	at    span
	bytes int
	// wait is how long it waits, in the time of the records; by the clock that counts from since.
	wait  time.Duration
	since time.Time
	// record is the number of records that the correlator had received up to this event.
	record int64
}

// held holds events in the order in which they were closed.
type held struct {
	events []waiting
	bytes  int
}

func (h *held) empty() bool { return len(h.events) == 0 }

func (h *held) full() bool { return len(h.events) > maxHeld || h.bytes > maxHeldBytes }

// first returns the first position of all of them; false if there are none.
func (h *held) first() (Position, bool) {
	if h.empty() {
		return 0, false
	}
	at := h.events[0].at.first
	for i := range h.events {
		at = min(at, h.events[i].at.first)
	}
	return at, true
}

// hold holds an event, unless neither it nor another one has to wait.
func (c *Correlator) hold(w waiting) bool {
	w.wait = c.config.Wait(w.event)
	if w.wait <= 0 && c.held.empty() {
		return false
	}
	w.bytes += targetBytes
	w.record = c.records
	c.held.events = append(c.held.events, w)
	c.held.bytes += w.bytes
	for c.held.full() {
		c.counts.Hurried++
		c.release()
	}
	return true
}

// release hands on the oldest event.
func (c *Correlator) release() {
	w := c.held.events[0]
	c.held.events[0] = waiting{}
	c.held.events = c.held.events[1:]
	c.held.bytes -= w.bytes
	if c.held.empty() {
		c.held.events = nil // releases the memory
	}
	c.emit(w.event)
	c.closed(w.at)
}

// releaseWhileReading hands on the events that have waited long enough by the log's own time. Several records may
// have the same time.
func (c *Correlator) releaseWhileReading() {
	for !c.held.empty() {
		w := &c.held.events[0]
		if c.latest <= w.event.Time.Add(w.wait).UnixMilli() && c.records-w.record <= waitRecords {
			return
		}
		c.release()
	}
}

// releaseAtRest hands on the events that have waited long enough by the clock. It returns how long the next one
// still has to wait; 0 if none does.
func (c *Correlator) releaseAtRest(now time.Time) time.Duration {
	for !c.held.empty() {
		w := &c.held.events[0]
		if left := w.wait - now.Sub(w.since); left > 0 {
			return left
		}
		c.release()
	}
	return 0
}
