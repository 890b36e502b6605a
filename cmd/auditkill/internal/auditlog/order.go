// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

const (
	// window is how many events, some 8 MB, are held back for an earlier one that is not
	// complete yet: an event with several targets is complete later than one with a single
	// target.
	window = 4096
	// minWindow and minBlock are what each of many logs has at least of window and
	// logfile.BlockSize: with less, events would be out of order, or reading be slow.
	minWindow, minBlock = 256, 2 * logfile.MaxLine
)

// reading is one pass over a log.
type reading struct {
	log     *Log
	scanner *logfile.Scanner
	yield   func(*kill.Event) bool
	// end is the stream position after the last byte that was read.
	end    correlate.Position
	window int
	// only is what was read of a part, as long as no record of it could be read.
	only []byte
	// held are events that an earlier one may still have to precede, or that wait for facts.
	held byTime
	// facts are those that were not told yet, by time.
	facts []*attribution.Fact
	// ended is true once everything was read.
	ended bool
}

// emit yields the events that are due. It reports whether more are wanted.
func (r *reading) emit() bool {
	for _, one := range r.scanner.Take() {
		if one.Fact != nil {
			r.hold(one.Fact)
		} else {
			heap.Push(&r.held, one.Event)
		}
	}
	for len(r.held) > 0 {
		e := r.held[0]
		until := e.Time
		if r.log.Wait != nil {
			until = until.Add(r.log.Wait(e))
		}
		if len(r.held) <= r.window && !r.due(e, until) {
			return true
		}
		r.tell(until)
		if !r.yield(heap.Pop(&r.held).(*kill.Event)) {
			return false
		}
	}
	if oldest, waiting := r.scanner.Correlator.Oldest(); waiting {
		r.tell(oldest)
	} else {
		r.tell(r.scanner.Correlator.Latest())
	}
	return true
}

// due reports whether no earlier event can come any more, and all facts until some time are known.
func (r *reading) due(e *kill.Event, until time.Time) bool {
	if oldest, waiting := r.scanner.Correlator.Oldest(); waiting && !e.Time.Before(oldest) {
		return false
	}
	return r.ended || !until.After(e.Time) || r.scanner.Correlator.Latest().After(until)
}

// hold adds a fact to those that were not told yet, almost always at the end.
func (r *reading) hold(f *attribution.Fact) {
	i := len(r.facts)
	for i > 0 && r.facts[i-1].At().After(f.At()) {
		i--
	}
	r.facts = slices.Insert(r.facts, i, f)
}

// tell tells the facts until some time.
func (r *reading) tell(until time.Time) {
	n := 0
	for n < len(r.facts) && !r.facts[n].At().After(until) {
		r.log.Fact(r.facts[n])
		n++
	}
	r.facts = slices.Delete(r.facts, 0, n)
}

// byTime is a heap.Interface with the earliest event on top.
type byTime []*kill.Event

func (t byTime) Len() int { return len(t) }

func (t byTime) Less(i, j int) bool {
	return cmp.Or(t[i].Time.Compare(t[j].Time), cmp.Compare(t[i].Audit.Serial, t[j].Audit.Serial)) < 0
}

func (t byTime) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *byTime) Push(e any) { *t = append(*t, e.(*kill.Event)) }

// Pop implements heap.Interface.
func (t *byTime) Pop() any {
	last := len(*t) - 1
	e := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	return e
}
