// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package source

import "sync/atomic"

// Counts holds what a source has done since it was started. It may be read at any time.
type Counts struct {
	// Records counts the records read, of any type.
	Records atomic.Int64
	// Malformed and TooLong count the lines or records that could not be used.
	Malformed, TooLong atomic.Int64
	// Incomplete counts the events that lack something, Evicted those among them that were
	// closed early because too many were pending.
	Incomplete, Evicted atomic.Int64
	// Pending is the number of events that wait for more of their records now.
	Pending atomic.Int64
	// Bytes is how much of a log has been read, BytesBehind how much of it has been written
	// but not read yet.
	Bytes, BytesBehind atomic.Int64
	// RequestsLost counts the requests to managers for which there was no room. It is no loss to warn of:
	// any user may make too many, and no signal is missing.
	RequestsLost atomic.Int64
	// Joined counts the signals that are told in one event with equal ones, beyond the first.
	Joined atomic.Int64
	// CheckpointErrors counts the failures to store the read position.
	CheckpointErrors atomic.Int64
	// AttributionMissed counts the events of managers that were delivered before it was known who is
	// behind them.
	AttributionMissed atomic.Int64

	// OnLoss is called when something was lost, from any goroutine; it may be nil. It is
	// set before the source is started.
	OnLoss func(loss Loss, n int64)
	losses [losses]atomic.Int64
}

// Lose adds n to a loss.
func (c *Counts) Lose(loss Loss, n int64) {
	if n <= 0 {
		return
	}
	c.losses[loss].Add(n)
	if c.OnLoss != nil {
		c.OnLoss(loss, n)
	}
}

// Lost returns how much was lost for a reason.
func (c *Counts) Lost(loss Loss) int64 { return c.losses[loss].Load() }
