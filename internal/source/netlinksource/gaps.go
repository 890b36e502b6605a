// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

// gaps finds the events that never arrived. The kernel numbers its events without a gap
// (kernel/audit.c, audit_serial), but they may arrive slightly out of order. The numbers
// restart at every boot and wrap at 2^32.
type gaps struct {
	started bool
	// next is the lowest number that is not settled yet; every number below it has been
	// seen, or counted as missing.
	next uint32
	// highest is the highest number seen, settled the value that it had at the last settle.
	highest, settled uint32
	// seen has a bit for each number from next onwards.
	seen    [gapWindow / 64]uint64
	missing int64
}

// gapWindow is how many numbers may arrive out of order. A record can be late by as many
// events as the host has processors, so this is ample.
const gapWindow = 4096

// add notes the number of an event.
func (g *gaps) add(serial uint32) {
	ahead := int32(serial - g.next) // wraps as the numbers do
	switch {
	case !g.started || ahead < -gapWindow:
		// The first number, or the numbers restarted.
		*g = gaps{started: true, next: serial, highest: serial, settled: serial - 1, missing: g.missing}
	case ahead < 0:
		return // another record of an event, or late and already counted as missing
	case ahead >= gapWindow:
		g.advance(serial - gapWindow + 1)
	}
	if int32(serial-g.highest) > 0 {
		g.highest = serial
	}
	g.seen[serial%gapWindow/64] |= 1 << (serial % 64)
}

// settle counts what is missing below the highest number at the last call: those events
// have had the time between the two calls to arrive.
func (g *gaps) settle() {
	if !g.started {
		return
	}
	g.advance(g.settled + 1)
	g.settled = g.highest
}

// advance moves next up to a number, and counts the numbers below it that were not seen.
func (g *gaps) advance(to uint32) {
	distance := int32(to - g.next)
	if distance <= 0 {
		return
	}
	if distance > gapWindow {
		// Nothing beyond the window has been seen.
		g.missing += int64(distance - gapWindow)
		distance = gapWindow
	}
	for range distance {
		word, bit := &g.seen[g.next%gapWindow/64], uint64(1)<<(g.next%64)
		if *word&bit == 0 {
			g.missing++
		}
		*word &^= bit
		g.next++
	}
	g.next = to
}

// take returns how many numbers were found missing since the last call.
func (g *gaps) take() int64 {
	missing := g.missing
	g.missing = 0
	return missing
}
