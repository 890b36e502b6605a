// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// moment is an event that is nothing but its time.
type moment time.Time

func (m moment) When() time.Time { return time.Time(m) }

// events happen so many milliseconds after the start.
func events(milliseconds ...int) []moment {
	all := make([]moment, 0, len(milliseconds))
	for _, each := range milliseconds {
		all = append(all, moment(start.Add(time.Duration(each)*time.Millisecond)))
	}
	return all
}

func times(events iter.Seq[moment]) []int {
	all := []int{}
	for e := range events {
		all = append(all, int(e.When().Sub(start).Milliseconds()))
	}
	return all
}

func TestMerged(t *testing.T) {
	t.Parallel()
	merged := func(logs ...[]int) []int {
		var all []iter.Seq[moment]
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
		break // goleak fails unless the waiting iterators are stopped
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	var want []int
	for i := range 5*batch + 7 {
		want = append(want, i*i%1000)
	}
	assert.Equal(t, want, times(Ahead(slices.Values(events(want...)))))
	assert.Empty(t, times(Ahead(slices.Values(events()))))
	seen := 0
	for range Ahead(slices.Values(events(want...))) {
		seen++
		if seen == 3 {
			break
		}
	}
	assert.Equal(t, 3, seen)
}
