// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxClosed is how many closed episodes are remembered: a process that has ended may still
// be sent signals, and a zombie can be watched.
const maxClosed = 4096

// instance identifies a process even if its pid is reused.
type instance struct {
	pid   int
	start time.Duration
}

// setClosedSpan gives a target the span of its closed episode, and reports whether it has
// one. A signal to it belongs to that span, and changes nothing.
func (t *Table) setClosedSpan(target *kill.Process, start time.Duration) bool {
	span, ok := t.closed[instance{target.PID, start}]
	if ok {
		target.Span = span
	}
	return ok
}

// rememberClosed remembers the span of a closed episode.
func (t *Table) rememberClosed(ep *episode) {
	closed := instance{ep.pid, ep.start}
	if _, ok := t.closed[closed]; ok || ep.start == 0 {
		return
	}
	if len(t.closedOrder) >= maxClosed {
		delete(t.closed, t.closedOrder[0])
		t.closedOrder = t.closedOrder[1:]
	}
	t.closed[closed] = ep.Span
	t.closedOrder = append(t.closedOrder, closed)
}
