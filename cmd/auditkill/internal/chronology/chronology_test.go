// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// events happen so many milliseconds after the start.
func events(milliseconds ...int) []*kill.Event {
	all := make([]*kill.Event, 0, len(milliseconds))
	for _, each := range milliseconds {
		all = append(all, &kill.Event{Time: start.Add(time.Duration(each) * time.Millisecond)})
	}
	return all
}

func times(events iter.Seq[*kill.Event]) []int {
	all := []int{}
	for e := range events {
		all = append(all, int(e.Time.Sub(start).Milliseconds()))
	}
	return all
}

func TestSorted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want []int }{
		"nothing":                    {nil, []int{}},
		"in order":                   {[]int{1, 2, 3}, []int{1, 2, 3}},
		"known late":                 {[]int{1, 2000, 2100, 2, 2200}, []int{1, 2, 2000, 2100, 2200}},
		"too late to be put first":   {[]int{1, 20_000, 2, 20_001}, []int{1, 2, 20_000, 20_001}},
		"long gaps":                  {[]int{1, 20_000, 40_000}, []int{1, 20_000, 40_000}},
		"the clock was set back":     {[]int{90_000, 100_000, 10, 20, 100_001}, []int{90_000, 10, 20, 100_000, 100_001}},
		"later by more than anybody": {[]int{10_000, 30_000, 50_000, 1, 60_000}, []int{10_000, 30_000, 1, 50_000, 60_000}},
	} {
		assert.Equal(t, tt.want, times(Sorted(slices.Values(events(tt.in...)))), name)
	}
}

// Events of one millisecond are in the order of their numbers.
func TestSortedBySerial(t *testing.T) {
	t.Parallel()
	in := events(5, 5, 5)
	for i, serial := range []uint32{9, 7, 8} {
		in[i].Audit.Serial = serial
	}
	var got []uint32
	for e := range Sorted(slices.Values(in)) {
		got = append(got, e.Audit.Serial)
	}
	assert.Equal(t, []uint32{7, 8, 9}, got)
}

// What is held back does not grow, even if time stands still.
func TestSortedHoldsBackLittle(t *testing.T) {
	t.Parallel()
	read, returned, most := 0, 0, 0
	in := func(yield func(*kill.Event) bool) {
		for range 3 * window {
			read++
			most = max(most, read-returned)
			if !yield(&kill.Event{Time: start}) {
				return
			}
		}
	}
	for range Sorted(in) {
		returned++
	}
	assert.Equal(t, 3*window, returned)
	assert.LessOrEqual(t, most, window+1)
}

func TestSortedStops(t *testing.T) {
	t.Parallel()
	for range Sorted(slices.Values(events(1, 20_000, 40_000))) {
		break
	}
	for e := range Sorted(slices.Values(events(1, 2))) {
		assert.Equal(t, start.Add(time.Millisecond), e.Time)
		break
	}
}

func TestMerged(t *testing.T) {
	t.Parallel()
	merged := func(logs ...[]int) []int {
		var all []iter.Seq[*kill.Event]
		for _, log := range logs {
			all = append(all, slices.Values(events(log...)))
		}
		return times(Merged(all...))
	}
	assert.Empty(t, merged())
	assert.Equal(t, []int{1, 2}, merged([]int{1, 2}))
	assert.Equal(t, []int{1, 2, 3, 4, 9}, merged([]int{1, 4}, nil, []int{2, 3, 9}))
	assert.Equal(t, []int{1, 1, 2, 2}, merged([]int{1, 2}, []int{1, 2}))
	for range Merged(slices.Values(events(1)), slices.Values(events(2))) {
		break // the iterators that wait are stopped, or goleak tells
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	var want []int
	for range 5*batch + 7 {
		want = append(want, rand.IntN(1000))
	}
	assert.Equal(t, want, times(Ahead(slices.Values(events(want...)))))
	assert.Empty(t, times(Ahead(slices.Values(events()))))
	seen := 0
	for range Ahead(slices.Values(events(want...))) {
		if seen++; seen == 3 {
			break
		}
	}
	assert.Equal(t, 3, seen)
}
