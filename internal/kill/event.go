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
	// KindOutcome is the outcome of a fatal signal for the process that it was sent to.
	KindOutcome Kind = "kill.outcome"
	// KindCall is a call with several targets, once all their outcomes are known. It becomes
	// a span, but no log record.
	KindCall Kind = "kill.call"
)

// Kinds are all kinds of events. Code that treats them differently has a test that covers them
// all.
func Kinds() []Kind { return []Kind{KindSignal, KindAbend, KindTamper, KindOutcome, KindCall} }

// Origin says whether a process or the kernel itself sent the signal.
type Origin string

const (
	OriginUser   Origin = "user"
	OriginKernel Origin = "kernel"
)

// Cause says why a signal was sent, if not just by a call.
type Cause string

const (
	CauseNone    Cause = ""
	CauseCrash   Cause = "crash"
	CauseSeccomp Cause = "seccomp"
	// CauseOOM is the kernel out of memory, or a memory cgroup at its limit.
	CauseOOM Cause = "oom"
	// CauseCPULimit and CauseFileSizeLimit are resource limits (setrlimit(2)).
	CauseCPULimit      Cause = "cpu_limit"
	CauseFileSizeLimit Cause = "file_size_limit"
	// CauseTerminalKey is a key such as Ctrl-C, CauseTerminalHangup the end of a terminal.
	CauseTerminalKey    Cause = "terminal_key"
	CauseTerminalHangup Cause = "terminal_hangup"
	// CauseCgroupKill is a write to cgroup.kill, CausePIDNamespaceEnd the end of a pid namespace's init.
	CauseCgroupKill      Cause = "cgroup_kill"
	CausePIDNamespaceEnd Cause = "pid_namespace_end"
	// CauseParentDeath is the signal that a process asked for when its parent dies (PR_SET_PDEATHSIG(2const)).
	CauseParentDeath Cause = "parent_death"
	// CauseTimer is a timer of the process's own (timer_create(2), alarm(2), setitimer(2)).
	CauseTimer Cause = "timer"

	// What follows are causes of managers (docs/behind.md).

	// CauseServiceStop, CauseServiceRestart and CauseServiceReload are jobs that somebody asked for.
	CauseServiceStop    Cause = "service_stop"
	CauseServiceRestart Cause = "service_restart"
	CauseServiceReload  Cause = "service_reload"
	// CauseServiceKill is a signal that somebody had the manager send (systemctl kill).
	CauseServiceKill Cause = "service_kill"
	// CauseMainProcessEnd is the rest of a unit after its main process.
	CauseMainProcessEnd Cause = "main_process_end"
	CauseStopTimeout    Cause = "stop_timeout"
	CauseStartTimeout   Cause = "start_timeout"
	CauseRuntimeLimit   Cause = "runtime_limit"
	CauseWatchdog       Cause = "watchdog"
	// CauseDependency is the stop of a unit because another one was stopped or started.
	CauseDependency Cause = "dependency"
	// CauseOOMPolicy is the rest of a unit after the kernel has killed a part of it.
	CauseOOMPolicy      Cause = "oom_policy"
	CauseMemoryPressure Cause = "memory_pressure"
	CauseSwapPressure   Cause = "swap_pressure"
	// CauseSessionEnd is what a login leaves behind, CauseSessionKill a login that somebody has ended.
	CauseSessionEnd    Cause = "session_end"
	CauseSessionKill   Cause = "session_kill"
	CauseShutdown      Cause = "shutdown"
	CauseContainerStop Cause = "container_stop"
)

// Managed reports whether the cause is a manager's.
func (c Cause) Managed() bool {
	switch c {
	case CauseNone, CauseCrash, CauseSeccomp, CauseOOM, CauseCPULimit, CauseFileSizeLimit, CauseTerminalKey,
		CauseTerminalHangup, CauseCgroupKill, CausePIDNamespaceEnd, CauseParentDeath, CauseTimer:
		return false
	}
	return true
}

// Delivery says what the kernel did with a signal that it was asked to send
// (include/trace/events/signal.h, TRACE_SIGNAL_DELIVERED and the following).
type Delivery string

const (
	DeliveryUnknown Delivery = ""
	// DeliveryDelivered is a signal that the target will take.
	DeliveryDelivered Delivery = "delivered"
	// DeliveryIgnored is one that the target ignores, or that came too late for it.
	DeliveryIgnored Delivery = "ignored"
	// DeliveryPending is one whose number was pending already, so that nothing was added.
	DeliveryPending Delivery = "already_pending"
	// DeliveryOverflow is one for which the target's queue had no room.
	DeliveryOverflow Delivery = "overflow"
	// DeliveryWithoutInfo is one that was delivered, but without the information who sent it.
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

// Single reports whether the scope addresses exactly one process, so that there is one target
// at most.
func (s Scope) Single() bool { return s == ScopeProcess || s == ScopeThread }

// ScopeOf returns the scope of a pid argument of kill(2), and the process or group that it
// names; 0 if it names none.
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

// Event is one signal call, or one report of the kernel, with everything that is known about
// it. It looks the same whichever source made it.
type Event struct {
	Kind   Kind
	Time   time.Time
	Signal Signal
	// Count is how many equal signals the event stands for, of which Time is the first's and LastTime the
	// last's; 0 if it is only one.
	Count    int
	LastTime time.Time
	// SignalKnown is false if the record that names the signal was lost.
	SignalKnown bool
	// EndsTarget is true if the signal is not one of those that were asked for, but its target
	// neither handles, ignores nor blocks it, so that it ends.
	EndsTarget bool
	// Complete is false if a record of the event was lost, cut short or did
	// not come in time.
	Complete bool
	// Syscall is the name of the call, such as "tgkill"; empty if the kernel
	// sent the signal or the record that names the call was lost.
	Syscall string
	Origin  Origin
	Cause   Cause
	Scope   Scope
	// Result is how the call ended. A call that addresses several processes succeeds if it
	// reached one of them, and kill(-1) even if it reached none: see ResultFor.
	Result Result
	// Delivery is what the kernel did with the signal, which a successful call does not say;
	// empty if it differs between the targets, which have it then.
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
	// TargetCount is how many processes the call addressed, including those that a filter has
	// removed from Targets; -1 if not known.
	TargetCount int

	// Behind is who and what is behind the signal; nil if nothing more is known than the sender. It has
	// the first fatal signal's if this is an outcome.
	Behind *Behind
	// Trigger is what is known of the kernel's cause; nil if that is nothing more.
	Trigger *Trigger
	// OutOfMemory is what is known of the lack of memory, if that is the cause; nil otherwise.
	OutOfMemory *OutOfMemory

	// Tamper is what a KindTamper reports, nil for any other. The sender is the process that
	// did it, the target the audit daemon that was stopped.
	Tamper *Tamper
	// Outcome is what a KindOutcome or KindCall reports, nil for any other. Time is then the
	// time of the end, Signal and Sender are those of the first fatal signal.
	Outcome *Outcome

	Audit Audit
	// Source is the value of the attribute kill.source.
	Source string
	// LogRecord identifies the record of the kernel's log that it was read from live: boot and number. It is empty for
	// any other event.
	LogRecord string
	// File is the log file that the event was read from, if any.
	File string
	// Original holds the records as they were read, one per line, except those that are in
	// the targets' Original; empty unless they were asked for.
	Original string

	// first holds the target of the usual event, which spares an allocation.
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

// Signals returns how many signals the event stands for.
func (e *Event) Signals() int { return max(e.Count, 1) }

// DeliveryTo returns what the kernel did with the signal for a target; nil is no target.
func (e *Event) DeliveryTo(target *Process) Delivery {
	if target != nil && target.Delivery != DeliveryUnknown {
		return target.Delivery
	}
	return e.Delivery
}

// ResultFor returns whether the signal reached a target; nil is no target.
func (e *Event) ResultFor(target *Process) Result {
	if target != nil && target.Result != nil {
		return *target.Result
	}
	return e.Result
}

// Doubtful reports whether nothing says if a signal to several processes reached a target; nil is
// no target.
func (e *Event) Doubtful(target *Process) bool {
	return target != nil && target.Result != nil && !target.Result.Known
}

// Audit is what only the audit system knows about an event.
type Audit struct {
	// Recorded is true if the event was made of audit records.
	Recorded bool
	// Unnumbered is true if the log has left out the number: Serial then is made up, and only tells the event from others.
	Unnumbered bool
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
	// ThreadID is the thread that sent the signal or was addressed, in the initial pid
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
	// Title is the command line with a NUL after each argument. The kernel's audit system and
	// our tracepoint report the first 128 bytes.
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
	// Instance is what the host knows about the process beyond the event; nil if it knows
	// nothing.
	Instance *Instance
	// Ancestry is its parent, the parent of that and so on.
	Ancestry []Ancestor
	// Original is the record of a target as it was read; empty unless it was
	// asked for.
	Original string
	// Delivery is what the kernel did with the signal for this target, if the event does not
	// have it.
	Delivery Delivery
	// Result is whether the signal reached this target, if that is not the same as the result
	// of the call; otherwise nil. Targets share it, so it is never changed.
	Result *Result
	// Memory is what a target held that the kernel killed for lack of memory; nil if that is not known.
	Memory *Memory
	// Span is the span of a target's termination; zero if the target is not watched.
	Span Span
	// Home says what of the process is the host's.
	Home Home
	// Claimed is true if nothing shows that somebody with the right to do so has set Login: any process that has none may say that
	// it is anybody's (kernel/audit.c, audit_set_loginuid_perm).
	Claimed bool
	// ContainerUser is what the process's own user database calls User, if that is not the host's.
	ContainerUser string
	// Names are what people call its container and pod; nil if that is not known.
	Names *Names
}

// Instance is a process as the host knows it: what identifies it even if its pid is reused, and
// where it belongs. Events share it, so it is never changed.
type Instance struct {
	// Start is when the process was created, to 10 ms. With the pid it identifies
	// the process.
	Start time.Time
	// SinceBoot is the same as the time since boot, which does not change when the clock is
	// set.
	SinceBoot time.Duration
	// CommandLine is what it was started with, a NUL after each argument.
	CommandLine string
	// Cgroup is the path of its control group.
	Cgroup string
	// Container is the id of its container, Pod the uid of its Kubernetes pod, Unit
	// the systemd unit that it belongs to; empty if it is in none.
	Container, Pod, Unit string
	// Home says what of the process is the host's, as far as its source did not know it.
	Home Home
}

// Ancestor is a parent of a process, or a parent of one.
type Ancestor struct {
	PID     int
	Command string
	// Title is its command line with a NUL after each argument; empty if not known.
	Title string
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
