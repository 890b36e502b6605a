// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// bootSamples is how often the two clocks are compared: a single comparison may be interrupted.
const bootSamples = 16

// BootTime returns when the host was started, including suspended time. It is determined only once,
// so that a process has one start time, whichever source reports it and whoever sets the clock.
// NTP's slewing affects both clocks alike.
var BootTime = sync.OnceValue(func() time.Time {
	var best time.Time
	bracket := time.Hour
	for range bootSamples {
		before := SinceBoot()
		wall := time.Now()
		after := SinceBoot()
		if width := after - before; width < bracket {
			bracket, best = width, wall.Add(-before-width/2)
		}
	}
	return best.UTC().Round(time.Millisecond)
})

// SinceBoot returns how long the host has been running, including suspended time (CLOCK_BOOTTIME).
func SinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0 // every kernel since 2.6.39 has it
	}
	return time.Duration(now.Nano())
}

// threadTime returns how long the calling thread has been on a processor (CLOCK_THREAD_CPUTIME_ID).
func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		return 0 // every kernel since 2.6.12 has it
	}
	return time.Duration(now.Nano())
}
