// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package queue holds what a live source has seen until the pipeline accepts it. If that is too much, it joins equal
// signals and counts them, those of the users first who send the most.
package queue

import (
	"slices"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Max is the most that waits for the pipeline: events and their targets, together some
// 60 MB. At a thousand signals a second that covers a pause of a quarter of a minute.
const Max = 32768

// maxWithFact is how much may wait already when a fact is added: anybody may cause facts, and they must not take
// the room of signals.
const maxWithFact = Max / 4

// maxWithSum is how much may wait already when a sum is told: it has waited before, and a signal that comes
// meanwhile is more urgent.
const maxWithSum = Max / 4

// sumWeight is the room that a sum takes, which has one target.
const sumWeight = 2

// maxBatch is the most observations that are handed on at once.
const maxBatch = 512

// Queue holds observations until the pipeline accepts them. Adding never blocks. It is safe
// for concurrent use.
type Queue struct {
	mutex   sync.Mutex
	seen    []source.Observation
	weight  int
	shares  shares
	sums    sums
	dropped int64
	joins   int64
	// ready holds a token while the queue may hold something.
	ready chan struct{}
	// timer runs tell as long as there are sums. due are those that are told as soon as there is room.
	timer *time.Timer
	due   []*sum
	// tellEvery is the constant of that name, except in tests.
	tellEvery time.Duration
}

// New returns an empty queue.
func New() *Queue {
	return &Queue{ready: make(chan struct{}, 1), shares: shares{}, sums: newSums(), tellEvery: tellEvery}
}

// Add adds observations. Events that do not fit are joined with equal ones, and dropped only if that is not
// possible. An event larger than the whole queue fits if the queue is empty. Facts that are dropped are not counted.
func (q *Queue) Add(seen []source.Observation) {
	if len(seen) == 0 {
		return
	}
	q.mutex.Lock()
	for _, o := range seen {
		q.add(o)
	}
	q.mutex.Unlock()
	q.wake()
}

// Join adds signals that are equal: their number, and when the first and the last were sent. event makes the event of
// the first; it is called if the queue has no such event yet.
func (q *Queue) Join(key Key, count int, first, last time.Time, event func() *kill.Event) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.join(key, count, first, last, event)
}

// wake says that there may be something.
func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *Queue) add(o source.Observation) {
	switch {
	case o.Fact != nil:
		if q.weight >= maxWithFact {
			return
		}
	case o.Event != nil:
		if q.joined(o.Event) {
			return
		}
	case len(q.sums.of) > 0: // the end of a process comes after all signals to it
		for _, s := range q.sums.of[o.End.PID] {
			if q.weight+sumWeight <= Max-reserve {
				q.release(s)
			}
		}
	}
	room := Max
	if o.End != nil && o.End.User.Known && o.End.User.Value != 0 {
		room -= reserve // anybody may end as many processes as he likes, and root's ends come later
	}
	if q.weight > 0 && q.weight+Weight(o) > room {
		q.dropped++
		return
	}
	q.append(o)
}

// joined joins an event with equal ones if it is not to wait by itself.
func (q *Queue) joined(e *kill.Event) bool {
	admitted, ordinary := q.admits(e), userOf(e) != 0
	if len(q.sums.all) == 0 && admitted && !ordinary {
		return false
	}
	key, ok := KeyOf(e)
	if !ok {
		return ordinary && !admitted && q.split(e)
	}
	if ordinary && admitted && q.alone(key) || !ordinary && admitted && !q.sums.has(key) {
		return false
	}
	return q.join(key, e.Signals(), e.Time, e.Time, func() *kill.Event { return e })
}

// split joins each target of an event by itself.
func (q *Queue) split(e *kill.Event) bool {
	for i := range e.Targets {
		one := *e
		one.Targets, one.Complete = e.Targets[i:i+1:i+1], true
		key, ok := KeyOf(&one)
		if !ok {
			return false
		}
		q.join(key, e.Signals(), e.Time, e.Time, func() *kill.Event {
			one.TargetCount, one.Complete = -1, false // the others are told by themselves
			return &one
		})
	}
	return len(e.Targets) > 0
}

// alone reports whether an ordinary user's signal waits by itself: the first equal ones of each while do.
func (q *Queue) alone(key Key) bool {
	s := q.sums.begin(key)
	if s == nil {
		return true
	}
	q.startTimer()
	if s.count > 0 || s.alone >= mostAlone {
		return false
	}
	s.alone++
	return true
}

func (q *Queue) startTimer() {
	if q.timer == nil {
		q.timer = time.AfterFunc(q.tellEvery, q.tell)
	}
}

func (q *Queue) join(key Key, count int, first, last time.Time, event func() *kill.Event) bool {
	begun := q.sums.counts(key)
	if !q.sums.add(key, count, first, last, event) {
		q.dropped += int64(count)
		return true
	}
	if q.joins += int64(count); !begun {
		q.joins-- // the first has an event
	}
	q.startTimer()
	return true
}

func (q *Queue) append(o source.Observation) {
	q.seen = append(q.seen, o)
	q.weight += Weight(o)
	q.shares.add(o, 1)
}

// release moves a sum to the events that wait.
func (q *Queue) release(s *sum) {
	if s.count > 0 {
		q.append(source.Observation{Event: s.take()})
	}
}

// releaseDue tells sums while there is much room.
func (q *Queue) releaseDue() {
	for len(q.due) > 0 && q.weight < maxWithSum {
		q.release(q.due[0])
		q.due = q.due[1:]
	}
}

// tell makes the sums of the last while due.
func (q *Queue) tell() {
	q.mutex.Lock()
	if len(q.due) == 0 {
		q.sums.forgetQuiet()
		q.due = slices.Clone(q.sums.all)
		q.releaseDue()
	}
	q.timer = nil
	if len(q.sums.all) > 0 {
		q.timer = time.AfterFunc(q.tellEvery, q.tell)
	}
	q.mutex.Unlock()
	q.wake()
}

// Finish tells all sums at once, because nothing more will come.
func (q *Queue) Finish() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for _, s := range q.sums.all {
		q.release(s)
	}
	q.stop()
}

// stop forgets the sums.
func (q *Queue) stop() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	q.sums, q.due = newSums(), nil
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
		q.shares.add(o, -1)
	}
	q.releaseDue()
	return taken
}

// Pressed reports whether the pipeline is so far behind that a source should hold back what it can.
func (q *Queue) Pressed() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.weight > Max/4*3
}

// HalfFull reports whether half of the room is taken. What is less important than events leaves the rest
// to them.
func (q *Queue) HalfFull() bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.weight > Max/2
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
	for _, o := range q.seen {
		switch {
		case o.Event != nil:
			q.dropped += int64(o.Event.Signals())
		case o.End != nil:
			q.dropped++
		}
	}
	for _, s := range q.sums.all {
		q.dropped += int64(s.count)
	}
	q.stop()
	q.seen, q.weight, q.shares = nil, 0, shares{}
}

// TakeDropped returns how many observations were dropped since the last call.
func (q *Queue) TakeDropped() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	dropped := q.dropped
	q.dropped = 0
	return dropped
}

// TakeJoined returns how many signals were joined with equal ones since the last call.
func (q *Queue) TakeJoined() int64 {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	joined := q.joins
	q.joins = 0
	return joined
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
