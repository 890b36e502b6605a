// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package source

import "github.com/auditkill/auditkillreceiver/internal/problem"

// Loss is a reason why something may not have been seen.
type Loss int

const (
	// RingSignals are signals for which the ring buffer had no room.
	RingSignals Loss = iota
	// RingProcesses are the beginnings and ends of processes for which it had none.
	RingProcesses
	// ProgramsSkipped is how often the kernel skipped a tracing program.
	ProgramsSkipped
	// KernelRecords are audit records that the kernel says it has lost.
	KernelRecords
	// ReceiveOverruns is how often the kernel found no room in the audit socket.
	ReceiveOverruns
	// SequenceGaps are audit events that never came, because their numbers have gaps.
	SequenceGaps
	// QueueFull are events for which the queue in front of the pipeline had no room.
	QueueFull
	// RotatedFiles are files that were rotated away before they were read to their end.
	RotatedFiles

	losses // how many there are
)

// AllLosses returns every Loss.
func AllLosses() []Loss {
	all := make([]Loss, losses)
	for i := range all {
		all[i] = Loss(i)
	}
	return all
}

// Problem says what it means that something was lost, n in number, and what prevents it. It is
// nil for a loss that the source itself logs, with what it knows of it.
func (l Loss) Problem(n int64) *problem.Problem {
	p := &problem.Problem{}
	unit := ""
	switch l {
	case RingSignals:
		p.What, unit = "signals were lost because the ring buffer was full", "signals"
		p.Advice = []problem.Advice{problem.RaiseRingBuffer}
	case RingProcesses:
		p.What, unit = "the starts or ends of processes were lost because the ring buffer was full", "records"
		p.Advice = []problem.Advice{problem.RaiseRingBuffer}
	case ProgramsSkipped:
		p.What, unit = "the kernel has skipped tracing programs: signals or the ends of processes may be missing", "times"
	case KernelRecords:
		p.What, unit = "the kernel has lost audit records because its queue was full, or over its rate limit", "records"
		p.Fix = "see backlog_limit and rate_limit of auditctl -s"
	case ReceiveOverruns:
		p.What, unit = "audit records were lost because the socket's buffer was full", "times"
		p.Advice = []problem.Advice{problem.RaiseReceiveBuffer}
	case SequenceGaps:
		p.What, unit = "audit events are missing: the kernel's numbers have gaps", "events"
	case QueueFull:
		p.What, unit = "dropped events because they are not taken as fast as signals are sent", "events"
	case RotatedFiles:
		return nil
	}
	p.Details = []problem.Detail{{Name: unit, Value: n}}
	return p
}
