// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import "time"

const (
	// lossSlack is how much earlier than the loss of its records an event may have begun:
	// its time is that at which the call was made.
	lossSlack = time.Second
	// lossMemory is how long a loss is remembered: an event may wait in the kernel and in
	// the socket before it is seen.
	lossMemory = time.Minute
)

// losses remembers when the kernel lost records.
type losses struct {
	// windows are in the order of time and do not touch, so that there are at most a few
	// hundred in the time for which they are remembered.
	windows []window
}

// window is a period in which records were lost; when exactly is not known.
type window struct{ from, to time.Time }

// add notes a loss between two checks.
func (l *losses) add(from, to time.Time) {
	if n := len(l.windows); n > 0 && !from.After(l.windows[n-1].to) {
		l.windows[n-1].to = to
		return
	}
	for len(l.windows) > 0 && to.Sub(l.windows[0].to) > lossMemory {
		l.windows = l.windows[1:]
	}
	l.windows = append(l.windows, window{from, to})
}

// hit reports whether records of an event of that time may have been lost.
func (l *losses) hit(at time.Time) bool {
	for _, w := range l.windows {
		if at.After(w.from.Add(-lossSlack)) && !at.After(w.to) {
			return true
		}
	}
	return false
}
