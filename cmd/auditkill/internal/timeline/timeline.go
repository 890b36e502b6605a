// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package timeline draws which senders killed what when: time from left to right, a lane for each pair
// of sender and target, so that a nightly job shows at a glance.
//
// It gathers kills in bounded memory, whatever the log holds (timeline.go, lane.go), and draws
// them once it has them all (drawing.go and the rest). It uses the canvases and the texts of
// gonum.org/v1/plot. The package plot itself would bring the eps, pdf and tex canvases and all
// twelve Liberation fonts into the binary, some 4 MB, and has no axis for times in a time zone.
package timeline

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxLanes is how many lanes are drawn: more than fit a screen say nothing at a glance.
	// If there are more pairs, the last lane is that of all others.
	maxLanes = 20
	// maxPairs is how many pairs have a lane of their own while the kills are gathered,
	// of which the busiest are drawn. A lane takes 4 KiB per kind of mark: 4.5 MiB if all
	// kinds are everywhere.
	maxPairs = 128
	// maxName is how many bytes of a pair's name are remembered. A drawing shows fewer.
	maxName = 160
	// maxOtherSignals is how many names of signals, besides the two with a color of their
	// own, the legend gives.
	maxOtherSignals = 3
	// maxTime is the end of the year 9999, in milliseconds: what is later is a damaged record.
	maxTime = 253402300799999
	// maxSignal is how many bytes of a signal's name are remembered: the longest known one,
	// SIGRTMAX-14, has 11.
	maxSignal = 16
)

// Mark is one kill in a drawing.
type Mark struct {
	// Time is when the signal was sent. A mark without it is not drawn, nor one before 1970 or
	// after 9999.
	Time time.Time
	// Sender and Target name the lane; a target that is not known leaves it to the sender.
	Sender, Target string
	// Signal is the name of the signal, such as SIGKILL.
	Signal string
	// Result is what became of it.
	Result Result
}

// pair names the lane of a mark.
func (m *Mark) pair() string {
	if m.Target == "" {
		return m.Sender
	}
	return m.Sender + " → " + m.Target
}

// Timeline gathers kills for a drawing. It is not safe for concurrent use.
type Timeline struct {
	title    string
	location *time.Location

	grid   grid
	count  int64
	by     [results]int64 // how many of them have a result
	kinds  [kinds]bool
	first  int64 // Unix time in milliseconds
	last   int64
	lanes  []*lane
	byName map[string]*lane
	// others takes the marks of the pairs that lost their lane.
	others *lane
	// crowd counts the kills of all pairs once there are others, and is nil before.
	crowd *sketch
	// senders are those of all lanes, of which each may have several.
	senders distinct
	// least is at most the least standing of all lanes, which only grows.
	least        int64
	otherSignals []string
}

// New returns an empty drawing with a title, whose times are those of location.
func New(title string, location *time.Location) *Timeline {
	return &Timeline{title: title, location: location, byName: map[string]*lane{}, others: &lane{}}
}

// Add adds a kill, in any order of time.
func (t *Timeline) Add(m Mark) {
	at := m.Time.UnixMilli()
	if m.Time.IsZero() || at < 0 || at > maxTime {
		return
	}
	if t.count == 0 {
		t.first, t.last = at, at
	}
	t.count++
	t.by[m.Result]++
	t.first, t.last = min(t.first, at), max(t.last, at)
	if doublings := t.grid.include(at); doublings > 0 {
		for _, l := range t.lanes {
			l.double(doublings)
		}
		t.others.double(doublings)
	}
	k := t.kind(m)
	t.kinds[k.index()] = true
	t.senders.add(m.Sender)
	t.lane(m.pair()).add(t.grid.bucket(at), k)
}

// lane returns the lane for a pair's kill. If there are too many pairs, it is the lane of the
// others, until the pair has twice as many kills as the least of those with a lane, and takes
// its place. So pairs of about the same rank do not take turns.
func (t *Timeline) lane(pair string) *lane {
	pair = shorten(pair, maxName)
	if l, ok := t.byName[pair]; ok {
		return l
	}
	if len(t.lanes) < maxPairs {
		l := &lane{}
		t.lanes = append(t.lanes, l)
		return t.give(l, pair)
	}
	kills := t.estimate(pair)
	if kills <= 2*t.least {
		return t.others
	}
	l := slices.MinFunc(t.lanes, func(a, b *lane) int { return cmp.Compare(a.standing(), b.standing()) })
	t.least = l.standing()
	if kills <= 2*t.least {
		return t.others
	}
	t.crowd.add(l.name, t.least)
	delete(t.byName, l.name)
	t.others.takeOver(l)
	l.before = kills - 1
	return t.give(l, pair)
}

// give gives a lane to a pair.
func (t *Timeline) give(l *lane, pair string) *lane {
	// The name may be part of a buffer that holds much of the log.
	l.name = strings.Clone(pair)
	t.byName[l.name] = l
	return l
}

// estimate counts one more kill of a pair without a lane, and returns how many there were.
func (t *Timeline) estimate(pair string) int64 {
	if t.crowd == nil {
		t.crowd = &sketch{}
		for _, l := range t.lanes {
			t.crowd.add(l.name, 1)
		}
	}
	return t.crowd.add(pair, 1)
}

// pairs returns how many pairs there are, and whether that is exact.
func (t *Timeline) pairs() (n int, exact bool) {
	if t.crowd == nil {
		return len(t.lanes), true
	}
	return max(t.crowd.names(), len(t.lanes)+1), false
}

// kind returns how a kill is drawn, and keeps the signal's name for the legend.
func (t *Timeline) kind(m Mark) kind {
	k := kind{signal: otherSignal, result: m.Result}
	switch m.Signal {
	case "SIGKILL":
		k.signal = sigkill
	case "SIGTERM":
		k.signal = sigterm
	default:
		if len(t.otherSignals) <= maxOtherSignals && !slices.Contains(t.otherSignals, shorten(m.Signal, maxSignal)) {
			t.otherSignals = append(t.otherSignals, strings.Clone(shorten(m.Signal, maxSignal)))
		}
	}
	return k
}

// drawn returns the lanes to draw, the lane of the others last, and how many pairs the others
// are.
func (t *Timeline) drawn() (lanes []*lane, others int) {
	lanes = slices.Clone(t.lanes)
	slices.SortFunc(lanes, func(a, b *lane) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name))
	})
	if len(lanes) <= maxLanes {
		return lanes, 0
	}
	rest := &lane{}
	rest.merge(t.others)
	for _, l := range lanes[maxLanes-1:] {
		rest.merge(l)
	}
	pairs, _ := t.pairs()
	return append(lanes[:maxLanes-1], rest), pairs - (maxLanes - 1)
}

// shorten cuts a text in the middle to at most limit bytes, of which "…" takes three.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	head := (limit - len("…")) / 2
	tail := len(text) - (limit - len("…") - head)
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + "…" + text[tail:]
}
