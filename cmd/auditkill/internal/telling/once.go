// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telling

import (
	"iter"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
)

const (
	// apart is by how much the times differ at most that two logs give for the same event: those of audit are of the
	// kernel's last tick.
	apart = 50 * time.Millisecond
	// maxHeld is how many events are compared at a time: a process can send some 100,000 signals in that time.
	maxHeld = 1 << 14
)

// Once returns tellings, which are in the order of time, without those that a log has of what a collector has
// recorded, too: that knows more about it. Each of them counts for one of the other log: whoever sends the same
// signal ten times has sent it ten times.
func Once(all iter.Seq[Telling]) iter.Seq[Telling] {
	return func(yield func(Telling) bool) {
		w := window{open: make(map[identity][]*claim), sums: make(map[identity][]*joined)}
		for t := range all {
			w.add(t)
			for len(w.held) > 0 && (len(w.held) > maxHeld || t.Time.Sub(w.held[0].Time) > apart) {
				if !w.emit(yield) {
					return
				}
			}
		}
		for len(w.held) > 0 {
			if !w.emit(yield) {
				return
			}
		}
	}
}

// identity is what two tellings of an event have in common, beside their time.
type identity struct {
	kind           kill.Kind
	signal         kill.Signal
	sender, target int
	action         kill.TamperAction
	recorded       bool
}

func identityOf(t Telling, target *kill.Process) identity {
	id := identity{kind: t.Kind, signal: t.Signal, sender: t.Sender.PID, target: t.Requested, recorded: t.recorded()}
	if target != nil {
		id.target = target.PID
	}
	if t.Tamper != nil {
		id.action = t.Tamper.Action
	}
	return id
}

// window holds the tellings that are compared.
type window struct {
	held []*held
	// open are the tellings of one log that have none of the other yet.
	open map[identity][]*claim
	// sums are what a collector has recorded of several equal signals, of which the other log has each.
	sums map[identity][]*joined
}

// joined is what is left of equal signals that a collector has recorded as one.
type joined struct {
	host  string
	left  int
	until time.Time
}

// maxSums is how many of these are remembered at once.
const maxSums = 4096

type held struct {
	Telling
	claims []*claim
	// dropped are the targets that a collector has recorded, all is true if it has recorded the event without them.
	dropped []*kill.Process
	all     bool
}

// claim is one target of a telling, or a telling without any.
type claim struct {
	of     *held
	id     identity
	target *kill.Process
}

// add compares a telling with those before.
func (w *window) add(t Telling) {
	h := &held{Telling: t}
	w.held = append(w.held, h)
	if len(t.Targets) == 0 {
		w.claim(h, nil)
		return
	}
	for i := range t.Targets {
		w.claim(h, &t.Targets[i])
	}
}

func (w *window) claim(h *held, target *kill.Process) {
	c := &claim{of: h, id: identityOf(h.Telling, target), target: target}
	if h.recorded() {
		w.remember(h, c.id)
	} else if w.isJoined(h, c.id) {
		c.drop()
		return
	}
	counterpart := c.id
	counterpart.recorded = !counterpart.recorded
	for _, other := range w.open[counterpart] {
		if sameHost(other.of.Host, h.Host) && h.Time.Sub(other.of.Time) <= apart {
			w.close(other)
			if h.recorded() {
				other.drop()
			} else {
				c.drop()
			}
			return
		}
	}
	h.claims = append(h.claims, c)
	w.open[c.id] = append(w.open[c.id], c)
}

// remember remembers a recorded telling of several signals. The first of them has a claim, as any other.
func (w *window) remember(h *held, id identity) {
	if h.Count < 2 || len(w.sums) >= maxSums {
		return
	}
	w.sums[id] = append(w.sums[id], &joined{h.Host, h.Count - 1, h.LastTime.Add(apart)})
}

// isJoined reports whether an event of another log is one of several that a collector has recorded as one.
func (w *window) isJoined(h *held, id identity) bool {
	id.recorded = true
	all := w.sums[id]
	for len(all) > 0 && (all[0].left == 0 || h.Time.After(all[0].until)) {
		all = all[1:]
	}
	if w.sums[id] = all; len(all) == 0 {
		delete(w.sums, id)
		return false
	}
	for _, sum := range all {
		if sum.left > 0 && !h.Time.After(sum.until) && sameHost(sum.host, h.Host) {
			sum.left--
			return true
		}
	}
	return false
}

// close removes a claim, almost always the oldest.
func (w *window) close(c *claim) {
	open := w.open[c.id]
	switch i := slices.Index(open, c); {
	case i < 0:
	case len(open) == 1:
		delete(w.open, c.id)
	case i == 0:
		w.open[c.id] = open[1:]
	default:
		w.open[c.id] = slices.Delete(open, i, i+1)
	}
}

// drop leaves out what a collector has recorded.
func (c *claim) drop() {
	if c.target == nil {
		c.of.all = true
	} else {
		c.of.dropped = append(c.of.dropped, c.target)
	}
}

// sameHost reports whether two hosts are or may be the same.
func sameHost(a, b string) bool { return a == "" || b == "" || machine.Same(a, b) }

// emit passes on the oldest telling, unless nothing is left of it.
func (w *window) emit(yield func(Telling) bool) bool {
	h := w.held[0]
	w.held[0] = nil
	w.held = w.held[1:]
	for _, c := range h.claims {
		w.close(c)
	}
	if h.all || len(h.dropped) > 0 && len(h.dropped) == len(h.Targets) {
		return true
	}
	if len(h.dropped) > 0 {
		var left []kill.Process
		for i := range h.Targets {
			if !slices.Contains(h.dropped, &h.Targets[i]) {
				left = append(left, h.Targets[i])
			}
		}
		h.Targets = left
	}
	return yield(h.Telling)
}
