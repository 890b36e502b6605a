// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package queue holds what a live source has seen until the pipeline accepts it.
package queue

import (
	"sync"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Max is the most that waits for the pipeline: events and their targets, together some
// 60 MB. At a thousand signals a second that covers a pause of a quarter of a minute.
const Max = 32768

// maxBatch is the most observations that are handed on at once.
const maxBatch = 512

// Queue holds observations until the pipeline accepts them. Adding never blocks. It is safe
// for concurrent use.
type Queue struct {
	mutex   sync.Mutex
	seen    []source.Observation
	weight  int
	dropped int64
	// ready holds a token while the queue may hold something.
	ready chan struct{}
}

// New returns an empty queue.
func New() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Add adds observations, and drops those that do not fit. An event larger than the whole
// queue fits if the queue is empty.
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
		q.seen = nil // releases the memory of what was taken
	}
	for _, o := range taken {
		q.weight -= Weight(o)
	}
	return taken
}

// Full reports whether not even an event of the usual size would fit.
func (q *Queue) Full() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.weight+2 > Max
}

// Drop counts events that were never made because there is no room for them.
func (q *Queue) Drop(events int64) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += events
}

// Len returns the number of observations in the queue.
func (q *Queue) Len() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return len(q.seen)
}

// Deliver hands on what is in the queue. It returns false if the receiver is shutting down.
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

// Abandon drops everything in the queue.
func (q *Queue) Abandon() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += int64(len(q.seen))
	q.seen, q.weight = nil, 0
}

// TakeDropped returns how many observations were dropped since the last call.
func (q *Queue) TakeDropped() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	dropped := q.dropped
	q.dropped = 0
	return dropped
}

// Ready receives a token while the queue may hold something.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Weight is the room that an observation takes in the queue.
func Weight(o source.Observation) int {
	if o.Event == nil {
		return 1
	}
	return 1 + len(o.Event.Targets)
}
