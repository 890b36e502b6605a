// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// Verdict says what became of a process that was sent a fatal signal. Its values
// are those of kill.outcome.
type Verdict string

const (
	// VerdictExited is a process that ended by itself, as by handling the signal.
	VerdictExited Verdict = "exited"
	// VerdictKilled is one that a signal ended, perhaps another than the one sent.
	VerdictKilled Verdict = "killed"
	// VerdictCoreDumped is one that a signal ended, and that left a core file.
	VerdictCoreDumped Verdict = "core_dumped"
	// VerdictSurvived is one that was still alive when it was not waited for any more.
	VerdictSurvived Verdict = "survived"
	// VerdictEnded is one that is gone, nobody knows how.
	VerdictEnded Verdict = "ended"
	// VerdictUnknown is one that was still followed when the collector stopped.
	VerdictUnknown Verdict = "unknown"
)

// Exit is how a process ended. The zero value is "not known".
type Exit struct {
	Known bool
	// Status is as waitpid(2) returns it: an exit code in the second byte, or a
	// signal in the lower seven bits, and 0x80 if a core file was left.
	Status int
}

// End is the end of a process.
type End struct {
	PID int
	// Start is when the process was created, since boot. With PID it identifies the process.
	Start time.Duration
	// Time is when it ended.
	Time time.Time
	Exit Exit
	// Command is what it was called at its end; empty if that is not known.
	Command string
}

const (
	statusSignal = 0x7f
	statusCore   = 0x80
)

// Verdict says what that means.
func (e Exit) Verdict() Verdict {
	switch {
	case !e.Known:
		return VerdictEnded
	case e.Status&statusSignal == 0:
		return VerdictExited
	case e.Status&statusCore != 0:
		return VerdictCoreDumped
	}
	return VerdictKilled
}

// Code is the exit code of a process that exited.
func (e Exit) Code() int { return e.Status >> 8 & 0xff }

// Signal is the signal that has ended the process; 0 if none has.
func (e Exit) Signal() Signal {
	if !e.Known {
		return 0
	}
	return Signal(e.Status & statusSignal)
}

// Span names a span as W3C's trace context does. The zero value is none.
type Span struct {
	Trace [16]byte
	ID    [8]byte
}

// Outcome is the story of one termination, from the first fatal signal to the end;
// or of a call that struck many, from the call to the last end.
type Outcome struct {
	// Span is the one that tells of it.
	Span    Span
	Verdict Verdict
	// Exit is how the process ended, as far as that is known.
	Exit Exit
	// Began is when the first fatal signal was sent.
	Began time.Time
	// Escalated is true if a softer signal was followed by SIGKILL.
	Escalated bool
	// LastName is what the process was called at its end; empty if not known.
	LastName string
	// Signals are those that were sent to the process from the first fatal one on,
	// failed attempts included, and Omitted how many more there were: if there are
	// many, those between the first and the last ones are left out.
	Signals []Sent
	Omitted int
	// LastSignal and LastSender are those of the last fatal signal, which may be the
	// first.
	LastSignal Signal
	LastSender *Process
	// Parent is the span of the call that struck this and other processes; zero if
	// there was none.
	Parent Span
	// Verdicts are how many of those that a call struck came to each end, and Failed
	// how many of them did not end by themselves or on a softer signal; only for a call.
	Verdicts map[Verdict]int
	Failed   int
}

// Fails reports whether the process did not end by itself or on a softer signal than
// SIGKILL.
func (o *Outcome) Fails() bool {
	switch o.Verdict {
	case VerdictCoreDumped, VerdictSurvived:
		return true
	case VerdictKilled:
		return o.Exit.Signal() == SIGKILL
	}
	return false
}

// Sent is one signal of an Outcome.
type Sent struct {
	Time     time.Time
	Signal   Signal
	Syscall  string
	Code     string
	Origin   Origin
	Cause    Cause
	Result   Result
	Delivery Delivery
	// Sender is shared by all that it has sent, and never changed.
	Sender *Process
}
