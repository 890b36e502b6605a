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

// memory has what is to be known of the processes whose episodes were closed last.
type memory[T any] struct {
	known map[instance]T
	// order has the same processes, oldest first.
	order []instance
	// forgotten is the latest start of a process that had to make room: of older ones, nobody knows.
	forgotten time.Duration
}

// remember remembers the process of a closed episode.
func (m *memory[T]) remember(who instance, what T) {
	if who.start == 0 {
		return
	}
	if m.has(who) {
		m.known[who] = what
		return
	}
	if m.known == nil {
		m.known = map[instance]T{}
	}
	if len(m.order) >= maxRemembered {
		m.forgotten = max(m.forgotten, m.order[0].start)
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	m.known[who] = what
	m.order = append(m.order, who)
}

// forget forgets a process, which has ended.
func (m *memory[T]) forget(who instance) {
	delete(m.known, who)
	m.order = slices.DeleteFunc(m.order, func(other instance) bool { return other == who })
}

// has reports whether an episode of a process is remembered.
func (m *memory[T]) has(who instance) bool {
	_, ok := m.known[who]
	return ok
}

// numbers are signals, the lowest one in the lowest bit (signal(7): there are 64).
type numbers uint64

// anyNumber are all of them.
const anyNumber = ^numbers(0)

func (n numbers) has(number kill.Signal) bool {
	return number < 1 || number > 64 || n>>(number-1)&1 != 0
}

// numbers returns the signals of an episode; all if some of them are not known any more.
func (h *history) numbers() numbers {
	if h.omitted > 0 {
		return anyNumber
	}
	var all numbers
	for _, sent := range h.sent() {
		if sent.Signal < 1 || sent.Signal > 64 {
			return anyNumber
		}
		all |= 1 << (sent.Signal - 1)
	}
	return all
}

// setClosedSpan gives a target the span of its closed episode, and reports whether it has
// one. A signal to it belongs to that span, and changes nothing.
func (t *Table) setClosedSpan(target *kill.Process, start time.Duration) bool {
	span, ok := t.closed.known[instance{target.PID, start}]
	if ok {
		target.Span = span
	}
	return ok
}
