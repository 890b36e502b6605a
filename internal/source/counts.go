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
	// CheckpointErrors counts the failures to store the read position.
	CheckpointErrors atomic.Int64

	// OnLoss is called when something was lost, from any goroutine; it may be nil. It is
	// set before the source is started.
	OnLoss func(loss Loss, n int64)
	losses [losses]atomic.Int64
}

// Loss is a reason why something may not have been seen.
type Loss int

const (
	// RingSignals are signals that found no room in the ring buffer.
	RingSignals Loss = iota
	// RingProcesses are starts and ends of processes that found no room in the ring buffer.
	RingProcesses
	// ProgramsSkipped counts the times that the kernel skipped a tracing program.
	ProgramsSkipped
	// KernelRecords are audit records that the kernel reports as lost.
	KernelRecords
	// ReceiveOverruns counts the times that the kernel found no room in the audit socket.
	ReceiveOverruns
	// SequenceGaps are audit events that never arrived, judging by their serial numbers.
	SequenceGaps
	// QueueFull are events that found no room in the queue in front of the pipeline.
	QueueFull
	// RotatedFiles are files that were rotated away before they had been read to their end.
	RotatedFiles

	losses // their number
)

// AllLosses returns every Loss.
func AllLosses() []Loss {
	all := make([]Loss, losses)
	for i := range all {
		all[i] = Loss(i)
	}
	return all
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
