// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxRemembered is how many closed episodes are remembered: a process that has ended may still be
// sent signals, and a zombie can be watched; a process that has survived may end later.
const maxRemembered = 4096

// instance identifies a process even if its pid is reused.
type instance struct {
	pid   int
	start time.Duration
}

// memory has the spans of the episodes that were closed last.
type memory struct {
	spans map[instance]kill.Span
	// order has the same processes, oldest first.
	order []instance
	// forgotten is the latest start of a process that had to make room: of older ones, nobody knows.
	forgotten time.Duration
}

// remember remembers the span of a closed episode.
func (m *memory) remember(who instance, span kill.Span) {
	if who.start == 0 || m.has(who) {
		return
	}
	if m.spans == nil {
		m.spans = map[instance]kill.Span{}
	}
	if len(m.order) >= maxRemembered {
		m.forgotten = max(m.forgotten, m.order[0].start)
		delete(m.spans, m.order[0])
		m.order = m.order[1:]
	}
	m.spans[who] = span
	m.order = append(m.order, who)
}

// forget forgets a process, which has ended.
func (m *memory) forget(who instance) {
	delete(m.spans, who)
	m.order = slices.DeleteFunc(m.order, func(other instance) bool { return other == who })
}

// has reports whether an episode of a process is remembered.
func (m *memory) has(who instance) bool {
	_, ok := m.spans[who]
	return ok
}

// setClosedSpan gives a target the span of its closed episode, and reports whether it has
// one. A signal to it belongs to that span, and changes nothing.
func (t *Table) setClosedSpan(target *kill.Process, start time.Duration) bool {
	span, ok := t.closed.spans[instance{target.PID, start}]
	if ok {
		target.Span = span
	}
	return ok
}
