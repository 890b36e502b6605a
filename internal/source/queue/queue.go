// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package queue holds the events of a live source until the pipeline takes them.
package queue

import (
	"sync"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Max is how much waits for the pipeline at most: events and their
// targets, together some 60 MB. At a thousand signals a second that is a pause
// of a quarter of a minute.
const Max = 32768

// maxBatch is how many events are handed on at once at most.
const maxBatch = 512

// Queue holds events until the pipeline takes them. Adding never waits. It is
// safe for concurrent use.
type Queue struct {
	mutex   sync.Mutex
	events  []*kill.Event
	weight  int
	dropped int64
	// ready holds a token while there may be events.
	ready chan struct{}
}

// New returns an empty queue.
func New() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Add adds events, and drops what does not fit. An event that is larger than
// the whole queue fits if it is alone.
func (q *Queue) Add(events []*kill.Event) {
	if len(events) == 0 {
		return
	}
	q.mutex.Lock()
	for _, e := range events {
		if q.weight > 0 && q.weight+Weight(e) > Max {
			q.dropped++
			continue
		}
		q.events = append(q.events, e)
		q.weight += Weight(e)
	}
	q.mutex.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Take returns up to limit events, oldest first.
func (q *Queue) Take(limit int) []*kill.Event {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	n := min(limit, len(q.events))
	taken := q.events[:n:n]
	q.events = q.events[n:]
	if len(q.events) == 0 {
		q.events = nil // so that what was taken is not held on to
	}
	for _, e := range taken {
		q.weight -= Weight(e)
	}
	return taken
}

// Full reports whether there is no room for even the usual event.
func (q *Queue) Full() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.weight+2 > Max
}

// Drop counts events that were not even made, as there is no room.
func (q *Queue) Drop(events int64) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += events
}

// Len returns how many events there are.
func (q *Queue) Len() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return len(q.events)
}

// Deliver hands on what is in the queue. It reports false if the receiver is shutting
// down.
func (q *Queue) Deliver(deliver source.Deliver) bool {
	for {
		events := q.Take(maxBatch)
		if len(events) == 0 {
			return true
		}
		if deliver(events) != nil {
			return false
		}
	}
}

// Abandon drops what nobody takes anymore.
func (q *Queue) Abandon() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += int64(len(q.events))
	q.events, q.weight = nil, 0
}

// TakeDropped returns how many were dropped since the last call.
func (q *Queue) TakeDropped() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	dropped := q.dropped
	q.dropped = 0
	return dropped
}

// Ready receives a token while there may be events.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Weight is how much of the queue an event takes.
func Weight(e *kill.Event) int { return 1 + len(e.Targets) }
