// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// Kind says what an Event reports. Its values are the OTLP event names.
type Kind string

const (
	// KindSignal is a signal that was sent, or that somebody tried to send.
	KindSignal Kind = "kill.signal"
	// KindAbend is the kernel's report that a process died of a signal that
	// dumps core.
	KindAbend Kind = "kill.abend"
	// KindTamper is something that blinds the monitor.
	KindTamper Kind = "kill.tamper"
	// KindOutcome is what became of a process that was sent a fatal signal.
	KindOutcome Kind = "kill.outcome"
	// KindCall is a call that struck many, once all of them have an outcome. Of it
	// only a span leaves the receiver.
	KindCall Kind = "kill.call"
)

// Kinds are all kinds of events. Whatever treats them differently has
// a test that goes over them.
func Kinds() []Kind { return []Kind{KindSignal, KindAbend, KindTamper, KindOutcome, KindCall} }

// Origin says whether a process or the kernel itself sent the signal.
type Origin string

const (
	OriginUser   Origin = "user"
	OriginKernel Origin = "kernel"
)

// Cause says why a signal came to be when it is more than a plain send.
type Cause string

const (
	CauseNone    Cause = ""
	CauseCrash   Cause = "crash"
	CauseSeccomp Cause = "seccomp"
	// CauseOOM is the kernel out of memory, or a memory cgroup at its limit.
	CauseOOM Cause = "oom"
)

// Delivery says what the kernel did with a signal that it was asked to send
// (include/trace/events/signal.h, TRACE_SIGNAL_DELIVERED and the following).
type Delivery string

const (
	DeliveryUnknown Delivery = ""
	// DeliveryDelivered is a signal that the target will take.
	DeliveryDelivered Delivery = "delivered"
	// DeliveryIgnored is one that the target ignores, or is past taking.
	DeliveryIgnored Delivery = "ignored"
	// DeliveryPending is one that the same signal already waits for.
	DeliveryPending Delivery = "already_pending"
	// DeliveryOverflow is one for which the target's queue had no room.
	DeliveryOverflow Delivery = "overflow"
	// DeliveryWithoutInfo is one that was delivered, but without who sent it.
	DeliveryWithoutInfo Delivery = "delivered_without_info"
)

// Scope says whom the sender addressed, after the pid argument of kill(2).
type Scope string

const (
	ScopeUnknown         Scope = ""
	ScopeProcess         Scope = "process"
	ScopeThread          Scope = "thread"
	ScopeProcessGroup    Scope = "process_group"
	ScopeOwnProcessGroup Scope = "own_process_group"
	ScopeAll             Scope = "all"
)

// Single reports whether the scope addresses exactly one process, so that one
// target is all there can be.
func (s Scope) Single() bool { return s == ScopeProcess || s == ScopeThread }

// ScopeOf returns whom kill(2) addresses by a pid, and the process or group that it names;
// 0 if it names none.
func ScopeOf(pid int) (Scope, int) {
	switch {
	case pid > 0:
		return ScopeProcess, pid
	case pid == 0:
		return ScopeOwnProcessGroup, 0
	case pid == -1:
		return ScopeAll, 0
	}
	return ScopeProcessGroup, -pid
}

// Event is one signal call, or one report of the kernel, with everything that
// is known of it. It looks the same whichever source made it.
type Event struct {
	Kind   Kind
	Time   time.Time
	Signal Signal
	// SignalKnown is false if the record that names the signal was lost.
	SignalKnown bool
	// Syscall is the name of the call, such as "tgkill"; empty if the kernel
	// sent the signal or the record that names the call was lost.
	Syscall string
	Origin  Origin
	Cause   Cause
	Scope   Scope
	Result  Result
	// Delivery is what came of it at the targets, which a successful call does not
	// tell; empty if it is not the same at all of them, which tell it then.
	Delivery Delivery
	// Code is the name of the signal's si_code (sigaction(2)), such as "SI_USER" or
	// "SEGV_MAPERR"; empty if not known.
	Code string
	// Requested is the pid, thread id or process group that the sender named,
	// in the sender's own pid namespace; 0 if none is known. It stands in for
	// a target that does not exist.
	Requested int

	Sender  Process
	Targets []Process
	// TargetCount is how many processes the call addressed, including those
	// that a filter has taken out of Targets; -1 if it is not known.
	TargetCount int

	// Tamper is what a KindTamper reports, nil for any other. Sender is who did
	// it, the target is the audit daemon that was stopped.
	Tamper *Tamper
	// Outcome is what a KindOutcome or KindCall reports, nil for any other. Time is that
	// of the end, Signal and Sender are those of the first fatal signal.
	Outcome *Outcome

	Audit Audit
	// Complete is false if a record of the event was lost, cut short or did
	// not come in time.
	Complete bool
	// Source is the value of the attribute kill.source.
	Source string
	// File is the log file that the event was read from, if any.
	File string
	// Original holds the records as they were read, one each line, but for
	// those that are in the targets' Original; empty unless they were asked for.
	Original string

	// first holds the target of the usual event, so that it needs no
	// allocation of its own.
	first [1]Process
}

// AddTarget appends an empty target and returns it to be filled in.
func (e *Event) AddTarget() *Process {
	if e.Targets == nil {
		e.Targets = e.first[:0]
	}
	e.Targets = append(e.Targets, Process{})
	return &e.Targets[len(e.Targets)-1]
}

// DeliveryTo returns what came of the signal at a target; nil is nobody.
func (e *Event) DeliveryTo(target *Process) Delivery {
	if target != nil && target.Delivery != DeliveryUnknown {
		return target.Delivery
	}
	return e.Delivery
}

// Audit is what only the audit system knows of an event.
type Audit struct {
	// Recorded is true if the event was made of audit records.
	Recorded bool
	// Serial is the kernel's event number: 32 bits, restarts at boot.
	Serial uint32
	// Keys are the -k names of the rules that matched.
	Keys []string
	// TTY is the sender's terminal without /dev/; empty if it has none.
	TTY string
	// Subject is the sender's security label.
	Subject string
	// Arch names the instruction set of the call, such as "x86_64".
	Arch string
	// Node is the host that wrote the record, if the log says so.
	Node string
}

// Process is one of the two parties of an event.
type Process struct {
	// PID is the process id in the initial pid namespace; 0 if not known.
	PID int
	// ThreadID is the thread that sent or was addressed, in the initial pid
	// namespace; 0 if not known.
	ThreadID int
	// ParentPID is the parent's process id; 0 if not known.
	ParentPID int
	// Command is the kernel's comm: at most 15 bytes, often the name of the
	// program, sometimes of the thread.
	Command string
	// Leader is the Command of the process's first thread; empty if not known.
	Leader string
	// Executable is the path of the program; empty if not known.
	Executable string
	// Title is the command line with a NUL after each argument. The kernel's audit
	// system and our tracepoint tell the first 128 bytes.
	Title string
	// User is the effective user of a sender, the real user of a target.
	User      User
	RealUser  User
	SavedUser User
	// Login is the audit user: who logged in, whatever su or sudo came after.
	Login User
	// Session is the audit session of that login.
	Session ID
	// Label is the security label (SELinux, AppArmor).
	Label string
	// Instance is what the host knows of the process beyond the event; nil if it
	// knows nothing.
	Instance *Instance
	// Ancestry is its parents, nearest first.
	Ancestry []Ancestor
	// Original is the record of a target as it was read; empty unless it was
	// asked for.
	Original string
	// Delivery is what came of a signal at this target, if its event does not tell.
	Delivery Delivery
	// Span is the one that tells of a target's termination; zero if nobody follows it.
	Span Span
}

// Instance is one life of a process, and where it belongs. Events share it, so it
// is never changed.
type Instance struct {
	// Start is when the process was created, to 10 ms. With the pid it identifies
	// the process.
	Start time.Time
	// SinceBoot is the same, since the host was started: what does not change when
	// the clock is set.
	SinceBoot time.Duration
	// CommandLine is what it was started with, a NUL after each argument.
	CommandLine string
	// Cgroup is the path of its control group.
	Cgroup string
	// Container is the id of its container, Pod the uid of its Kubernetes pod, Unit
	// the systemd unit that it belongs to; empty if it is in none.
	Container, Pod, Unit string
}

// Ancestor is one of the parents of a process.
type Ancestor struct {
	PID     int
	Command string
}

// User is a user id and, if known, its name.
type User struct {
	ID   ID
	Name string
}

// ID is a numeric id that may be unset. The zero value is unset, so that a
// field nobody filled in is never taken for root.
type ID struct {
	Value uint32
	Known bool
}

// unset is (uid_t)-1, the kernel's value for "no login user" and "no session".
// include/uapi/linux/audit.h: AUDIT_UID_UNSET, AUDIT_SID_UNSET.
const unset = ^uint32(0)

// NewID returns an ID that is known unless the kernel's value says unset.
func NewID(value uint32) ID { return ID{Value: value, Known: value != unset} }
