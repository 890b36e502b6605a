// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package timeline draws who killed when: time from left to right, a lane per sender, so that
// a nightly job shows at a glance.
//
// It gathers kills in a memory that is bounded whatever the log holds (timeline.go, lane.go)
// and draws them once they are all there (drawing.go and the rest). Of gonum.org/v1/plot it
// uses the canvases and the texts. The package plot itself would bring the eps, pdf and tex
// canvases and all twelve Liberation fonts into the binary, which are 4 MB, and has no axis
// for times in a time zone.
package timeline

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLanes is how many lanes are drawn: more than fit a screen say nothing at a glance.
	// If there are more senders, the last lane is that of all others.
	maxLanes = 20
	// maxSenders is how many senders have a lane of their own while the kills are gathered.
	// A sender of more than 1/maxSenders of all kills is certain to be among them, and a
	// lane takes 4 KiB per kind of mark: 6 MiB if all kinds are everywhere.
	maxSenders = 256
	// maxDistinct is how many different senders are told apart to say how many the others
	// are: 8 bytes each, in a map.
	maxDistinct = 1 << 14
	// maxName is how many bytes of a sender's name are remembered. A drawing shows fewer.
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
	// Sender names the lane.
	Sender string
	// Signal is the name of the signal, such as SIGKILL.
	Signal string
	// Failed tells that the kernel refused to send the signal.
	Failed bool
}

// Timeline gathers kills for a drawing. It is not safe for concurrent use.
type Timeline struct {
	title    string
	location *time.Location

	grid   grid
	count  int64
	failed int64
	kinds  [kinds]int64
	first  int64 // Unix time in milliseconds
	last   int64
	lanes  []*lane
	byName map[string]*lane
	// others takes the marks of the senders that lost their lane.
	others *lane
	// distinct holds the hashes of senders, and is nil until there are others.
	distinct     map[uint64]struct{}
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
	if m.Failed {
		t.failed++
	}
	t.first, t.last = min(t.first, at), max(t.last, at)
	if doublings := t.grid.include(at); doublings > 0 {
		for _, l := range t.lanes {
			l.double(doublings)
		}
		t.others.double(doublings)
	}
	k := t.kind(m)
	t.kinds[k.index()]++
	t.lane(m.Sender).add(t.grid.bucket(at), k)
}

// lane returns the lane of a sender. If there are too many, the sender takes over the lane of
// the one with the fewest kills, and with it that one's standing, so that who comes often
// stays: the space-saving algorithm of Metwally, Agrawal and El Abbadi (2005).
func (t *Timeline) lane(sender string) *lane {
	if len(sender) > maxName {
		sender = shorten(sender, maxName)
	}
	if l, ok := t.byName[sender]; ok {
		return l
	}
	var l *lane
	if len(t.lanes) < maxSenders {
		l = &lane{}
		t.lanes = append(t.lanes, l)
	} else {
		l = slices.MinFunc(t.lanes, func(a, b *lane) int { return cmp.Compare(a.standing(), b.standing()) })
		t.remember(sender)
		delete(t.byName, l.name)
		standing := l.standing()
		t.others.takeOver(l)
		l.inherited = standing
	}
	// The name may be part of a buffer that holds much of the log.
	l.name = strings.Clone(sender)
	t.byName[l.name] = l
	return l
}

// remember counts the sender as one of many.
func (t *Timeline) remember(sender string) {
	if t.distinct == nil {
		t.distinct = make(map[uint64]struct{}, 2*maxSenders)
		for _, l := range t.lanes {
			t.distinct[hash(l.name)] = struct{}{}
		}
	}
	if len(t.distinct) < maxDistinct {
		t.distinct[hash(sender)] = struct{}{}
	}
}

func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// senders returns how many senders there are, and whether that is all of them.
func (t *Timeline) senders() (n int, all bool) {
	if t.distinct == nil {
		return len(t.lanes), true
	}
	return len(t.distinct), len(t.distinct) < maxDistinct
}

// kind returns how a kill is drawn, and keeps the signal's name for the legend.
func (t *Timeline) kind(m Mark) kind {
	k := kind{signal: otherSignal, failed: m.Failed}
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

// drawn returns the lanes to draw, that of the others last, and how many senders the others
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
	senders, _ := t.senders()
	return append(lanes[:maxLanes-1], rest), senders - (maxLanes - 1)
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

// printable returns the text with a sign in place of what has no shape, which XML could not
// hold either.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}
