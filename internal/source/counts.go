// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package source

import "sync/atomic"

// Counts are what a source has done since it was started. They may be read at any time.
type Counts struct {
	// Records is how many records were read, of any type.
	Records atomic.Int64
	// Malformed and TooLong are how many lines or records were no usable ones.
	Malformed, TooLong atomic.Int64
	// Incomplete is how many events lacked something, Evicted how many of them because too
	// many were waiting.
	Incomplete, Evicted atomic.Int64
	// Pending is how many events wait for more of their records now.
	Pending atomic.Int64
	// Bytes is how much of a log was read, BytesBehind how much of it is written and not yet
	// read.
	Bytes, BytesBehind atomic.Int64
	// CheckpointErrors is how often the read position could not be stored.
	CheckpointErrors atomic.Int64

	// OnLoss is called when something was lost, from any goroutine; nil for nobody. It is set
	// before the source is started.
	OnLoss func(loss Loss, n int64)
	losses [losses]atomic.Int64
}

// Lose counts a loss.
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
