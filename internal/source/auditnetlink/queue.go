// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditnetlink

import (
	"sync"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxQueued is how much waits for the pipeline at most: events and their
// targets, together some 60 MB. At a thousand signals a second that is a pause
// of a quarter of a minute.
const maxQueued = 32768

// queue holds events until the pipeline takes them. Adding never waits.
type queue struct {
	mutex   sync.Mutex
	events  []*kill.Event
	weight  int
	dropped int64
	// ready holds a token while there may be events.
	ready chan struct{}
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// add adds events, and drops what does not fit. An event that is larger than
// the whole queue fits if it is alone.
func (q *queue) add(events []*kill.Event) {
	if len(events) == 0 {
		return
	}
	q.mutex.Lock()
	for _, e := range events {
		if q.weight > 0 && q.weight+weight(e) > maxQueued {
			q.dropped++
			continue
		}
		q.events = append(q.events, e)
		q.weight += weight(e)
	}
	q.mutex.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns up to limit events, oldest first.
func (q *queue) take(limit int) []*kill.Event {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	n := min(limit, len(q.events))
	taken := q.events[:n:n]
	q.events = q.events[n:]
	if len(q.events) == 0 {
		q.events = nil // so that what was taken is not held on to
	}
	for _, e := range taken {
		q.weight -= weight(e)
	}
	return taken
}

// abandon drops what nobody takes anymore.
func (q *queue) abandon() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.dropped += int64(len(q.events))
	q.events, q.weight = nil, 0
}

// takeDropped returns how many were dropped since the last call.
func (q *queue) takeDropped() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	dropped := q.dropped
	q.dropped = 0
	return dropped
}

func weight(e *kill.Event) int { return 1 + len(e.Targets) }
