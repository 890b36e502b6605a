// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/pulse"
)

// watchPulse reports that this process did not run. Who stopped it is known from the signal, which
// waits in the kernel's ring or socket, or in the log, until the process runs again.
func (c *Capture) watchPulse(ctx context.Context) {
	c.report(func(handle func([]*kill.Event) bool) {
		pulse.Watch(ctx, func(gap pulse.Gap) { handle([]*kill.Event{stopped(gap)}) })
	})
}

// stopped is the event of a gap. Its time is when the gap began.
func stopped(gap pulse.Gap) *kill.Event {
	return kill.Found(gap.Began, kill.Tamper{Action: kill.TamperCollectorStopped, Duration: gap.Duration})
}
