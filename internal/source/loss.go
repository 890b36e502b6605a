// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package source

import "github.com/auditkill/auditkillreceiver/internal/problem"

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
	// KernelLogMessages are messages of the kernel's log that were overwritten before they were read.
	KernelLogMessages
	// RotatedFiles are files that were rotated away before they had been read to their end.
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
		p.What, unit = "the kernel has skipped tracing programs: signals, or starts or ends of processes, may be missing", "times"
	case KernelRecords:
		p.What, unit = "the kernel has lost audit records because its queue was full, or over its rate limit", "records"
		p.Fix = "see backlog_limit and rate_limit of auditctl -s"
	case ReceiveOverruns:
		p.What, unit = "audit records were lost because the socket's buffer was full", "times"
		p.Advice = []problem.Advice{problem.RaiseReceiveBuffer}
	case SequenceGaps:
		p.What, unit = "audit events are missing: the kernel's numbers have gaps", "events"
	case QueueFull:
		p.What, unit = "events were dropped: signals are sent faster than the pipeline takes them", "events"
	case KernelLogMessages:
		p.What, unit = "messages of the kernel's log were overwritten before they were read: kills for lack of memory may be missing", "messages"
		p.Fix = "the kernel keeps more with log_buf_len=4M on its command line"
	case RotatedFiles:
		return nil
	}
	p.Details = []problem.Detail{{Name: unit, Value: n}}
	return p
}
