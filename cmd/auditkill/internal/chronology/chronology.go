// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package chronology merges the events of several logs into one stream.
package chronology

import (
	"iter"
	"slices"
	"time"
)

// Timed is something that happened at some time.
type Timed interface{ When() time.Time }

// Merged returns the events of several logs in order. Each log must be in order.
func Merged[E Timed](logs ...iter.Seq[E]) iter.Seq[E] {
	if len(logs) == 1 {
		return logs[0]
	}
	return func(yield func(E) bool) {
		var heads []head[E]
		for _, log := range logs {
			next, stop := iter.Pull(log)
			defer stop()
			if e, ok := next(); ok {
				heads = append(heads, head[E]{e, next})
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := range heads {
				if heads[i].event.When().Before(heads[first].event.When()) {
					first = i
				}
			}
			if !yield(heads[first].event) {
				return
			}
			if e, ok := heads[first].next(); ok {
				heads[first].event = e
			} else {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}

// head is the next event of a log.
type head[E any] struct {
	event E
	next  func() (E, bool)
}
