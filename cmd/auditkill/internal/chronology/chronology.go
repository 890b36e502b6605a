// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package chronology puts events in the order in which they happened.
package chronology

import (
	"cmp"
	"container/heap"
	"iter"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// window is how many events are held back at most, some 8 MB of them.
	window = 4096
	// patience is how much later than others an event may come to be known: the time that
	// missing records are waited for, and as much again.
	patience = 5 * time.Second
)

// Sorted returns events that come almost in order in order. One that is older than the
// others by more than that, as the clock was set back, stands about where it came.
func Sorted(events iter.Seq[*kill.Event]) iter.Seq[*kill.Event] {
	return func(yield func(*kill.Event) bool) {
		var held queue
		var newest time.Time
		for e := range events {
			heap.Push(&held, e)
			if e.Time.After(newest) {
				newest = e.Time
			}
			for len(held) > window || newest.Sub(held[0].Time) > patience {
				if !yield(heap.Pop(&held).(*kill.Event)) {
					return
				}
				if len(held) == 0 {
					break
				}
			}
		}
		for len(held) > 0 {
			if !yield(heap.Pop(&held).(*kill.Event)) {
				return
			}
		}
	}
}

// Merged returns the events of several logs, each of which is in order.
func Merged(logs ...iter.Seq[*kill.Event]) iter.Seq[*kill.Event] {
	if len(logs) == 1 {
		return logs[0]
	}
	return func(yield func(*kill.Event) bool) {
		var heads queue
		next := make(map[*kill.Event]func() (*kill.Event, bool), len(logs))
		for _, log := range logs {
			pull, stop := iter.Pull(log)
			defer stop()
			if e, ok := pull(); ok {
				next[e] = pull
				heads = append(heads, e)
			}
		}
		heap.Init(&heads)
		for len(heads) > 0 {
			e := heads[0]
			pull := next[e]
			delete(next, e)
			if !yield(e) {
				return
			}
			if e, ok := pull(); ok {
				next[e], heads[0] = pull, e
				heap.Fix(&heads, 0)
			} else {
				heap.Pop(&heads)
			}
		}
	}
}

// queue is a heap.Interface with the oldest event on top.
type queue []*kill.Event

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].Time.Compare(q[j].Time), cmp.Compare(q[i].Audit.Serial, q[j].Audit.Serial)) < 0
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(e any) { *q = append(*q, e.(*kill.Event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	return last
}
