// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// Verdict is the outcome of a process that was sent a fatal signal. Its values are those of
// the attribute kill.outcome.
type Verdict string

const (
	// VerdictExited is a process that exited by itself, perhaps in its signal handler.
	VerdictExited Verdict = "exited"
	// VerdictKilled is one that a signal ended, perhaps not the one sent.
	VerdictKilled Verdict = "killed"
	// VerdictCoreDumped is one that a signal ended, and that dumped core.
	VerdictCoreDumped Verdict = "core_dumped"
	// VerdictSurvived is one that was still alive at the timeout.
	VerdictSurvived Verdict = "survived"
	// VerdictEnded is one that is gone, but its exit status is not known.
	VerdictEnded Verdict = "ended"
	// VerdictUnknown is one that was still watched when the collector stopped.
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
	// Command is its name at the end; empty if not known.
	Command string
	// User is the real user that it ran as, as the host numbers him; not known for sources whose ends nobody can make in masses.
	User ID
	// Process is what is known about a process to which no signal was seen, and Parent about its
	// parent; nil if one was.
	Process, Parent *Process
	// Complete is true if no signal to the process was lost since it began; false if that is not known.
	Complete bool
	// Source is the value of the attribute kill.source. It counts only if Process is set.
	Source string
}

// Unsent says which ends are reported though no signal was seen that would explain them.
type Unsent string

const (
	// UnsentNone reports none.
	UnsentNone Unsent = "none"
	// UnsentKilled reports those by a signal.
	UnsentKilled Unsent = "killed"
	// UnsentAll reports all.
	UnsentAll Unsent = "all"
	// UnsentUsual reports those by a signal, and any end of a process that was named as a target, unless
	// its parent was as well: of a server, but not of each of its workers.
	UnsentUsual Unsent = ""
)

const (
	statusSignal = 0x7f
	statusCore   = 0x80
)

// Verdict returns the verdict of the exit status.
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

// Signal is the signal that ended the process; 0 if none did.
func (e Exit) Signal() Signal {
	if !e.Known {
		return 0
	}
	return Signal(e.Status & statusSignal)
}

// Span identifies a span as W3C's trace context does. The zero value is no span.
type Span struct {
	Trace [16]byte
	ID    [8]byte
}

// Outcome is one termination, from the first fatal signal to the end; or a call with several
// targets, from the call to the last end.
type Outcome struct {
	// Span is the span of the termination or the call.
	Span    Span
	Verdict Verdict
	// Exit is how the process ended, as far as that is known.
	Exit Exit
	// Unsent is true if no signal to the process was seen. Began is then the time of its end.
	Unsent bool
	// Began is when the first fatal signal was sent.
	Began time.Time
	// Escalated is true if a softer signal was followed by SIGKILL.
	Escalated bool
	// LastName is the name of the process at its end, if that differs from the target's; else
	// empty.
	LastName string
	// Signals are the signals to the process from the first fatal one on, including failed
	// attempts. If there are many, those between the first and the last ones are left out, and
	// Omitted is their number, and OmittedSignals how many signals they stand for.
	Signals                 []Sent
	Omitted, OmittedSignals int
	// LastSignal and LastSender are those of the last fatal signal, which may be the
	// first.
	LastSignal Signal
	LastSender *Process
	// LastCause is why the last fatal signal was sent.
	LastCause Cause
	// Injected is the signal that has ended the process if nobody was seen to send it: whoever has sent the others is not to blame.
	// It is 0 if somebody was, or if not all signals are seen.
	Injected Signal
	// Parent is the span of the call that had this and other processes as targets; zero if
	// there was none.
	Parent Span
	// Verdicts counts the targets of a call by their verdict, Failed those for which Fails is
	// true; only for a call.
	Verdicts map[Verdict]int
	Failed   int
}

// Fails reports whether the process neither exited nor ended on a softer signal than SIGKILL.
func (o *Outcome) Fails() bool {
	switch o.Verdict {
	case VerdictCoreDumped, VerdictSurvived:
		return true
	case VerdictKilled:
		return o.Exit.Signal() == SIGKILL
	}
	return false
}

// SignalCount returns how many signals were sent to the process, from the first fatal one on.
func (o *Outcome) SignalCount() int {
	count := o.OmittedSignals
	for i := range o.Signals {
		count += max(o.Signals[i].Count, 1)
	}
	return count
}

// Sent is one signal of an Outcome, or several equal ones.
type Sent struct {
	Time     time.Time
	Signal   Signal
	Syscall  string
	Code     string
	Origin   Origin
	Cause    Cause
	Result   Result
	Delivery Delivery
	// Count and LastTime are those of the Event.
	Count    int       `json:",omitempty"`
	LastTime time.Time `json:",omitzero"`
	// Behind is who and what is behind the signal, Trigger what is known of the kernel's cause; nil if nothing
	// more is known.
	Behind  *Behind
	Trigger *Trigger
	// OutOfMemory is what is known of the lack of memory, if that is the cause, and Memory what the process
	// held; nil otherwise.
	OutOfMemory *OutOfMemory `json:",omitempty"`
	Memory      *Memory      `json:",omitempty"`
	// Sender is shared by all signals that it has sent, and never changed.
	Sender *Process
}
