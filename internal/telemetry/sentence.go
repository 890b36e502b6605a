// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// How many bytes of a path, and of a command line, a sentence has room for.
const (
	maxPath        = 512
	maxSpokenTitle = 256
)

// Sentence returns an event as a sentence for people: the body of its log record. target is nil if
// there is none.
func Sentence(e *kill.Event, target *kill.Process, commandLine redact.Policy) string {
	return string(newSpeaker(commandLine).sentence(nil, e, target))
}

// speaker writes sentences.
type speaker struct {
	commandLine redact.Policy
	spoken      memo[string, string]
	begun       memo[*kill.Ancestor, string]
}

func newSpeaker(commandLine redact.Policy) *speaker {
	s := &speaker{commandLine: commandLine}
	s.spoken, s.begun = newMemo(s.speak), newAncestorMemo(s.sayBegun)
	return s
}

// Address returns what the sender addressed if there is no target, such as "process group 7".
func Address(e *kill.Event) string { return string(appendAddress(nil, e)) }

// sentence appends an event as a sentence, or only its kind if that has no log records. target is
// nil if there is none.
func (s *speaker) sentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	switch e.Kind {
	case kill.KindSignal:
		return s.signalSentence(buf, e, target)
	case kill.KindAbend:
		return abendSentence(buf, e, target)
	case kill.KindTamper:
		return tamperSentence(buf, e)
	case kill.KindOutcome:
		return s.outcomeSentence(buf, e, target)
	}
	return append(buf, e.Kind...)
}

func abendSentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	if e.Cause == kill.CauseSeccomp && !e.Result.Known {
		buf = appendDetails(appendProcess(append(buf, "seccomp ended a thread of "...), target), target)
		return append(append(append(buf, " with "...), signalName(e)...), "; whether the process ended is not recorded"...)
	}
	buf = appendDetails(appendProcess(buf, target), target)
	if e.Cause == kill.CauseSeccomp {
		return append(append(buf, " was killed by seccomp with "...), signalName(e)...)
	}
	buf = append(append(buf, " died of "...), signalName(e)...)
	if meaning := codes[e.Code]; meaning != "" {
		buf = append(append(buf, ": "...), meaning...)
	}
	return buf
}

func (s *speaker) signalSentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	byKernel := e.Origin == kill.OriginKernel
	buf = append(append(appendSender(buf, e), " sent "...), signalName(e)...)
	buf = append(buf, " to "...)
	result := e.ResultFor(target)
	doubtful := e.Doubtful(target)
	if target != nil && !doubtful {
		buf = appendProcess(buf, target)
	} else {
		buf = appendAddress(buf, e)
	}
	if e.Count > 1 {
		buf = append(strconv.AppendInt(append(buf, ' '), int64(e.Count), 10), " times"...)
	}
	if byKernel {
		buf = appendTrigger(appendReason(buf, e, target), e)
		if !namesSender(e.Cause) {
			buf = appendPrompter(buf, &e.Sender, target)
		}
	}
	if e.Behind != nil || e.Cause.Managed() {
		buf = s.appendBehind(buf, e, target)
	}
	switch {
	case doubtful:
		return append(appendProcess(append(buf, "; whether it reached "...), target), " is not recorded"...)
	case result.Failed():
		return append(append(buf, ": "...), result.Error...)
	}
	return append(buf, failure(e, e.DeliveryTo(target))...)
}

// appendSender appends who sent a signal. Of a manager that runs as root its name is enough: the rest of the
// sentence says more.
func appendSender(buf []byte, e *kill.Event) []byte {
	if e.Origin == kill.OriginKernel {
		return append(buf, "the kernel"...)
	}
	buf = appendProcess(buf, &e.Sender)
	if e.Behind != nil && e.Behind.Managed && e.Sender.User.ID.Value == 0 {
		return buf
	}
	return appendDetails(buf, &e.Sender)
}

// appendReason appends why the kernel sent a signal, if that takes no more than a few words or is about memory.
func appendReason(buf []byte, e *kill.Event, target *kill.Process) []byte {
	switch e.Cause {
	case kill.CauseOOM:
		if tellsMemory(e, target) {
			return appendOutOfMemory(buf, e, target)
		}
		return append(buf, " (out of memory)"...)
	case kill.CauseCrash:
		return append(appendFault(append(buf, " (crash"...), e), ')')
	case kill.CauseSeccomp:
		return append(buf, " (seccomp)"...)
	}
	return buf
}

// namesSender reports whether what made the kernel send a signal names the process that was running.
func namesSender(cause kill.Cause) bool {
	return cause == kill.CausePIDNamespaceEnd || cause == kill.CauseParentDeath
}

// appendPrompter appends the process that made the kernel send a signal to another one, such as by
// a write to cgroup.kill.
func appendPrompter(buf []byte, p, target *kill.Process) []byte {
	if p.PID == 0 || target != nil && target.PID == p.PID {
		return buf
	}
	return appendDetails(appendProcess(append(buf, ", prompted by "...), p), p)
}

// failure returns why a signal that was sent did not arrive; empty if it did. No process can ignore SIGKILL: it was ending
// already, or it is the init of the sender's pid namespace.
func failure(e *kill.Event, delivery kill.Delivery) string {
	switch delivery {
	case kill.DeliveryIgnored:
		if e.Signal == kill.SIGKILL {
			return ": no effect"
		}
		return ": ignored"
	case kill.DeliveryOverflow:
		return ": queue full"
	}
	return ""
}

func signalName(e *kill.Event) string {
	if !e.SignalKnown {
		return "an unknown signal"
	}
	return e.Signal.Name()
}

// appendProcess appends command[pid].
func appendProcess(buf []byte, p *kill.Process) []byte {
	if p.PID == 0 && p.Command == "" {
		return append(buf, "an unknown process"...)
	}
	if p.Command == "" {
		buf = append(buf, '?')
	}
	buf = appendName(buf, p.Command)
	buf = append(buf, '[')
	buf = strconv.AppendInt(buf, int64(p.PID), 10)
	return append(buf, ']')
}

// appendName appends a name that a process or a user may choose.
func appendName(buf []byte, name string) []byte {
	return visible.AppendWord(buf, name, visible.NameLimit)
}

// appendDetails appends (path, uid n, login n), as far as they are known.
func appendDetails(buf []byte, p *kill.Process) []byte {
	open := " ("
	if p.Executable != "" {
		buf = visible.AppendWord(append(buf, open...), p.Executable, maxPath)
		if p.Home.Program == kill.WhoseOther {
			buf = append(buf, " of another mount namespace"...)
		}
		open = ", "
	}
	if p.User.ID.Known {
		buf = strconv.AppendUint(append(append(buf, open...), "uid "...), uint64(p.User.ID.Value), 10)
		open = ", "
	}
	if p.Login.ID.Known && !p.Claimed {
		buf = strconv.AppendUint(append(append(buf, open...), "login "...), uint64(p.Login.ID.Value), 10)
		open = ", "
	}
	if open == ", " {
		buf = append(buf, ')')
	}
	return buf
}

// appendAddress appends what the sender addressed if there is no target.
func appendAddress(buf []byte, e *kill.Event) []byte {
	switch e.Scope {
	case kill.ScopeProcessGroup:
		if e.Requested == 0 {
			return append(buf, "a process group"...)
		}
		return strconv.AppendInt(append(buf, "process group "...), int64(e.Requested), 10)
	case kill.ScopeOwnProcessGroup:
		return append(buf, "its own process group"...)
	case kill.ScopeAll:
		return append(buf, "all processes"...)
	}
	if e.Requested == 0 {
		return append(buf, "an unknown process"...)
	}
	if e.Scope == kill.ScopeThread {
		return strconv.AppendInt(append(buf, "thread "...), int64(e.Requested), 10)
	}
	buf = strconv.AppendInt(append(buf, "pid "...), int64(e.Requested), 10)
	if e.Sender.Home.PIDs == kill.WhoseOther {
		buf = append(buf, " of its pid namespace"...)
	}
	return buf
}
