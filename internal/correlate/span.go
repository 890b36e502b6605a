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

// add remembers a closed event. oldest is the first event still pending.
func (s *spans) add(p, oldest *pending) {
	if oldest == nil {
		// Nothing is pending, so nothing before this point matters any more.
		s.closed = s.closed[:0]
		return
	}
	if p.last > p.first {
		s.closed = append(s.closed, span{p.first, p.last})
	}
	if len(s.closed) > maxSpans {
		s.shrink(s.safe(oldest, p.last))
	}
}

// safe returns the latest position from which nothing would be lost or seen in part, or end
// if nothing is pending.
func (s *spans) safe(oldest *pending, end Position) Position {
	if oldest == nil {
		return end
	}
	at := oldest.first
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
