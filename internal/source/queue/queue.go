// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package queue holds what a live source has seen until the pipeline takes it.
package queue

import (
	"sync"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Max is how much waits for the pipeline at most: events and their
// targets, together some 60 MB. At a thousand signals a second that is a pause
// of a quarter of a minute.
const Max = 32768

// maxBatch is how many observations are handed on at once at most.
const maxBatch = 512

// Queue holds observations until the pipeline takes them. Adding never waits. It is
// safe for concurrent use.
type Queue struct {
	mutex   sync.Mutex
	seen    []source.Observation
	weight  int
	dropped int64
	// ready holds a token while there may be something.
	ready chan struct{}
}

// New returns an empty queue.
func New() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Add adds observations, and drops what does not fit. An event that is larger than
// the whole queue fits if it is alone.
func (q *Queue) Add(seen []source.Observation) {
	if len(seen) == 0 {
		return
	}
	q.mutex.Lock()
	for _, o := range seen {
		if q.weight > 0 && q.weight+Weight(o) > Max {
			q.dropped++
			continue
		}
		q.seen = append(q.seen, o)
		q.weight += Weight(o)
	}
	q.mutex.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Take returns up to limit observations, oldest first.
func (q *Queue) Take(limit int) []source.Observation {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	n := min(limit, len(q.seen))
	taken := q.seen[:n:n]
	q.seen = q.seen[n:]
	if len(q.seen) == 0 {
		q.seen = nil // so that what was taken is not held on to
	}
	for _, o := range taken {
		q.weight -= Weight(o)
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

// Len returns how many observations there are.
func (q *Queue) Len() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return len(q.seen)
}

// Deliver hands on what is in the queue. It reports false if the receiver is shutting
// down.
func (q *Queue) Deliver(deliver source.Deliver) bool {
	for {
		seen := q.Take(maxBatch)
		if len(seen) == 0 {
			return true
		}
		if deliver(seen) != nil {
			return false
		}
	}
}

// Abandon drops what nobody takes anymore.
func (q *Queue) Abandon() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += int64(len(q.seen))
	q.seen, q.weight = nil, 0
}

// TakeDropped returns how many were dropped since the last call.
func (q *Queue) TakeDropped() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	dropped := q.dropped
	q.dropped = 0
	return dropped
}

// Ready receives a token while there may be something.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Weight is how much of the queue an observation takes.
func Weight(o source.Observation) int {
	if o.Event == nil {
		return 1
	}
	return 1 + len(o.Event.Targets)
}
