// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import "math"

// slots is how many buckets of time the range of a drawing is divided into: at least half of
// them are in use once a range is longer than slots milliseconds, which is one for each pixel
// or two.
const slots = 2048

// grid divides time into buckets of 2^shift milliseconds. Of them no more than slots have
// marks, from lo to hi: a bucket is in the slot that is its number modulo slots.
type grid struct {
	shift  uint
	lo, hi int64
	used   bool
}

// include makes the grid hold a time, and returns how often the buckets were doubled for that.
func (g *grid) include(milliseconds int64) (doublings int) {
	b := g.bucket(milliseconds)
	if !g.used {
		g.lo, g.hi, g.used = b, b, true
		return 0
	}
	g.lo, g.hi = min(g.lo, b), max(g.hi, b)
	for g.hi-g.lo >= slots {
		g.lo, g.hi = g.lo>>1, g.hi>>1
		g.shift++
		doublings++
	}
	return doublings
}

// bucket returns the number of the bucket that holds a time.
func (g *grid) bucket(milliseconds int64) int64 { return milliseconds >> g.shift }

// middle returns the time, in milliseconds, that a bucket is drawn at.
func (g *grid) middle(bucket int64) float64 {
	width := int64(1) << g.shift
	return float64(bucket)*float64(width) + float64(width-1)/2
}

// signal is what the shape and the color of a mark stand for.
type signal int

const (
	sigkill signal = iota
	sigterm
	otherSignal
	signals
	// anySignal is for the legend only.
	anySignal = signals
)

// Result is what became of a signal.
type Result int

// The results, in the order in which they are drawn, one above another.
const (
	// Delivered is also for a signal that changed nothing, such as one that its target ignores.
	Delivered Result = iota
	// Unknown is for one of those to several processes, of which not all may have got it.
	Unknown
	// Failed is for one that the kernel has refused to send.
	Failed
	results
)

// kind is how a mark is drawn.
type kind struct {
	signal signal
	result Result
}

// kinds is how many kinds there are.
const kinds = int(results) * int(signals)

func (k kind) index() int { return int(k.result)*int(signals) + int(k.signal) }

// each returns the kinds of a signal.
func (s signal) each() []kind { return []kind{{s, Delivered}, {s, Unknown}, {s, Failed}} }

// ring counts the marks of a kind in each slot, up to 65535.
type ring [slots]uint16

// lane holds the kills of a sender to a target.
type lane struct {
	name string
	// count is how many kills the lane shows.
	count int64
	// before is the estimated number of kills of its pair before it had the lane, which are
	// counted with the others.
	before int64
	rings  [kinds]*ring
	// lo and hi are the first and the last bucket with a mark, if there is any.
	lo, hi int64
}

// standing is how many kills the pair has had.
func (l *lane) standing() int64 { return l.count + l.before }

func (l *lane) add(bucket int64, k kind) {
	l.extend(bucket, bucket)
	l.count++
	l.increase(k.index(), bucket, 1)
}

func (l *lane) extend(lo, hi int64) {
	if l.count == 0 {
		l.lo, l.hi = lo, hi
	}
	l.lo, l.hi = min(l.lo, lo), max(l.hi, hi)
}

func (l *lane) increase(kind int, bucket int64, by uint16) {
	if l.rings[kind] == nil {
		l.rings[kind] = &ring{}
	}
	slot := &l.rings[kind][bucket&(slots-1)]
	*slot += min(by, math.MaxUint16-*slot)
}

// at returns the number of marks of a kind in a bucket.
func (l *lane) at(kind int, bucket int64) uint16 {
	if l.rings[kind] == nil {
		return 0
	}
	return l.rings[kind][bucket&(slots-1)]
}

// has reports whether there is any mark of a kind: the pair before may have left an empty
// ring.
func (l *lane) has(k kind) bool {
	for b := l.lo; b <= l.hi; b++ {
		if l.at(k.index(), b) > 0 {
			return true
		}
	}
	return false
}

// merge adds the marks of another lane.
func (l *lane) merge(other *lane) {
	if other.count == 0 {
		return
	}
	l.extend(other.lo, other.hi)
	l.count += other.count
	for k := range kinds {
		for b := other.lo; b <= other.hi && other.rings[k] != nil; b++ {
			if n := other.at(k, b); n > 0 {
				l.increase(k, b, n)
			}
		}
	}
}

// takeOver adds the marks of another lane and empties that one for the next pair.
func (l *lane) takeOver(other *lane) {
	l.merge(other)
	for k := range kinds {
		for b := other.lo; b <= other.hi && other.rings[k] != nil; b++ {
			other.rings[k][b&(slots-1)] = 0
		}
	}
	other.count, other.before, other.name = 0, 0, ""
}

// double puts the marks into buckets of 2^doublings times the width.
func (l *lane) double(doublings int) {
	if l.count == 0 {
		return
	}
	lo, hi := l.lo, l.hi
	l.lo, l.hi = lo>>doublings, hi>>doublings
	for k, r := range l.rings {
		if r == nil {
			continue
		}
		old := *r
		clear(r[:])
		for b := lo; b <= hi; b++ {
			if n := old[b&(slots-1)]; n > 0 {
				l.increase(k, b>>doublings, n)
			}
		}
	}
}
