// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
)

// clockAge is how long a comparison of the clocks holds: the log's clock runs up to some hundred microseconds a second
// faster or slower than the others, and stands still while the host sleeps.
const clockAge = 10 * time.Second

// clock tells the time of messages. Their own clock (kernel/printk/printk.c, local_clock) is set by nobody and drifts
// away from all others, so that it has to be compared again and again: a message is read a moment after it was
// written, at best at once.
type clock struct {
	// offset is how far the time since boot is ahead of the log's, at most.
	offset   time.Duration
	compared time.Duration
	// since and now are replaced by tests.
	since func() time.Duration
	now   func() time.Time
}

func newClock() *clock { return &clock{since: process.SinceBoot, now: time.Now} }

// resume trusts a comparison of an earlier run for what was written meanwhile.
func (c *clock) resume(offset time.Duration) { c.offset, c.compared = offset, c.since() }

// time returns when a message was written that has just been read.
func (c *clock) time(written time.Duration) time.Time {
	since, now := c.since(), c.now()
	offset := since - written
	if c.compared == 0 || offset < c.offset || since-c.compared > clockAge {
		c.offset, c.compared = offset, since
	}
	return now.Add(written + c.offset - since).Truncate(time.Microsecond)
}
