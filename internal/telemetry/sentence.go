// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Sentence returns an event as a sentence for people: the body of its log record. target is nil if
// there is none.
func Sentence(e *kill.Event, target *kill.Process) string { return string(sentence(nil, e, target)) }

// Address returns what the sender addressed if there is no target, such as "process group 7".
func Address(e *kill.Event) string { return string(appendAddress(nil, e)) }

// Visible escapes what a terminal would act on.
func Visible(text string) string { return string(appendVisible(nil, text)) }

// sentence appends an event as a sentence, or only its kind if that has no log records. target is
// nil if there is none.
func sentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	switch e.Kind {
	case kill.KindSignal:
		return signalSentence(buf, e, target)
	case kill.KindAbend:
		return abendSentence(buf, e, target)
	case kill.KindTamper:
		return tamperSentence(buf, e)
	case kill.KindOutcome:
		return outcomeSentence(buf, e, target)
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
	return append(append(buf, " died of "...), signalName(e)...)
}

func signalSentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	byKernel := e.Origin == kill.OriginKernel
	if byKernel {
		buf = append(buf, "the kernel"...)
	} else {
		buf = appendDetails(appendProcess(buf, &e.Sender), &e.Sender)
	}
	buf = append(append(buf, " sent "...), signalName(e)...)
	buf = append(buf, " to "...)
	result := e.ResultFor(target)
	doubtful := e.Doubtful(target)
	if target != nil && !doubtful {
		buf = appendProcess(buf, target)
	} else {
		buf = appendAddress(buf, e)
	}
	if byKernel {
		buf = append(buf, reason(e.Cause)...)
		buf = appendPrompter(buf, &e.Sender, target)
	}
	switch {
	case doubtful:
		return append(appendProcess(append(buf, "; whether it reached "...), target), " is not recorded"...)
	case result.Failed():
		return append(append(buf, ": "...), result.Error...)
	}
	return append(buf, failure(e.DeliveryTo(target))...)
}

// reason returns why the kernel sent a signal.
func reason(cause kill.Cause) string {
	switch cause {
	case kill.CauseOOM:
		return " (out of memory)"
	case kill.CauseCrash:
		return " (crash)"
	case kill.CauseSeccomp:
		return " (seccomp)"
	}
	return ""
}

// appendPrompter appends the process that made the kernel send a signal to another one, such as by
// a write to cgroup.kill.
func appendPrompter(buf []byte, p, target *kill.Process) []byte {
	if p.PID == 0 || target != nil && target.PID == p.PID {
		return buf
	}
	return appendDetails(appendProcess(append(buf, ", prompted by "...), p), p)
}

// failure returns why a signal that was sent did not arrive; empty if it did.
func failure(delivery kill.Delivery) string {
	switch delivery {
	case kill.DeliveryIgnored:
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
	buf = appendVisible(buf, p.Command)
	buf = append(buf, '[')
	buf = strconv.AppendInt(buf, int64(p.PID), 10)
	return append(buf, ']')
}

// appendDetails appends (path, uid n, login n), as far as they are known.
func appendDetails(buf []byte, p *kill.Process) []byte {
	open := " ("
	if p.Executable != "" {
		buf = appendVisible(append(buf, open...), p.Executable)
		open = ", "
	}
	if p.User.ID.Known {
		buf = strconv.AppendUint(append(append(buf, open...), "uid "...), uint64(p.User.ID.Value), 10)
		open = ", "
	}
	if p.Login.ID.Known {
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
	return strconv.AppendInt(append(buf, "pid "...), int64(e.Requested), 10)
}

// appendVisible appends text, and escapes what a terminal would act on: a process chooses its own
// name, which may have escape sequences.
func appendVisible(buf []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return appendEscaped(buf, text)
		}
	}
	return append(buf, text...)
}

func appendEscaped(buf []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == utf8.RuneError:
			buf = append(buf, "\uFFFD"...)
		case unicode.IsPrint(r):
			buf = utf8.AppendRune(buf, r)
		default:
			quoted := strconv.QuoteRune(r)
			buf = append(buf, quoted[1:len(quoted)-1]...)
		}
	}
	return buf
}
