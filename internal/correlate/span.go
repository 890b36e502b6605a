// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"slices"
)

// span reaches from the first to the last record of a closed event.
type span struct{ first, last Position }

// spans remembers where closed events lie for as long as reading may have to start again
// inside one of them: an emitted event must then be seen either whole or not at all.
type spans struct{ closed []span }

// maxSpans bounds the memory. Beyond it neighbors are merged, which only means that more
// than necessary is read again.
const maxSpans = 1024

// clear forgets all of them: nothing is pending, so nothing before this point matters any more.
func (s *spans) clear() { s.closed = s.closed[:0] }

// add remembers a closed event. It returns true if there are too many, so that shrink has to be called.
func (s *spans) add(closed span) bool {
	if closed.last > closed.first {
		s.closed = append(s.closed, closed)
	}
	return len(s.closed) > maxSpans
}

// safe returns the latest position not beyond at from which nothing would be seen in part.
func (s *spans) safe(at Position) Position {
	slices.SortFunc(s.closed, func(a, b span) int { return cmp.Compare(b.first, a.first) })
	for _, closed := range s.closed {
		if closed.first < at && closed.last >= at {
			at = closed.first
		}
	}
	return at
}

// shrink drops the spans before the safe position and merges neighbors until half of the
// room is free.
func (s *spans) shrink(safe Position) {
	s.closed = slices.DeleteFunc(s.closed, func(closed span) bool { return closed.last < safe })
	slices.SortFunc(s.closed, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for len(s.closed) > maxSpans/2 {
		merged := s.closed[:0]
		for i := 0; i < len(s.closed); i += 2 {
			pair := s.closed[i]
			if i+1 < len(s.closed) {
				pair.last = max(pair.last, s.closed[i+1].last)
			}
			merged = append(merged, pair)
		}
		s.closed = merged
	}
}
