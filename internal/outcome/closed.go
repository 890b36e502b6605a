// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxClosed is how many of those whose outcome was told are remembered: signals are
// sent to the dead as well, and a zombie can be followed.
const maxClosed = 4096

// instance is one life of a process.
type instance struct {
	pid   int
	start time.Duration
}

// buried reports whether the outcome of a process was told already. What is sent to it
// then belongs to the same span, and changes nothing.
func (t *Table) buried(target *kill.Process, start time.Duration) bool {
	span, ok := t.closed[instance{target.PID, start}]
	if ok {
		target.Span = span
	}
	return ok
}

// bury remembers whose outcome was told.
func (t *Table) bury(ep *episode) {
	who := instance{ep.pid, ep.start}
	if _, ok := t.closed[who]; ok || ep.start == 0 {
		return
	}
	if len(t.closings) >= maxClosed {
		delete(t.closed, t.closings[0])
		t.closings = t.closings[1:]
	}
	t.closed[who] = ep.Span
	t.closings = append(t.closings, who)
}
