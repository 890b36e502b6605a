// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"path"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// outcome adds the outcome of a target, for log records and spans alike.
func (a attributes) outcome(o *kill.Outcome, ended time.Time) {
	a.known("kill.outcome", string(o.Verdict))
	switch o.Verdict {
	case kill.VerdictExited:
		a.integer("process.exit.code", int64(o.Exit.Code()))
	case kill.VerdictKilled, kill.VerdictCoreDumped:
		a.known("kill.exit.signal.name", o.Exit.Signal().Name())
	}
	if o.Unsent {
		return // there is no signal that it could be measured from
	}
	a.m.AppendEmpty("kill.duration").SetDouble(seconds(ended.Sub(o.Began)))
	a.m.AppendEmpty("kill.escalated").SetBool(o.Escalated)
	a.integer("kill.signal.count", int64(o.SignalCount()))
	a.text("kill.target.last_name", o.LastName)
	a.integer("kill.last_signal.number", int64(o.LastSignal))
	a.known("kill.last_signal.name", o.LastSignal.Name())
	a.text("kill.last_cause", string(o.LastCause))
	if p := o.LastSender; p != nil {
		a.number("kill.last_sender.pid", p.PID)
		a.text("kill.last_sender.name", p.Command)
		a.text("kill.last_sender.executable.path", p.Executable)
		a.user("kill.last_sender.user.id", "kill.last_sender.user.name", p.User)
		a.user("kill.last_sender.audit.user.id", "kill.last_sender.audit.user.name", kill.User{ID: p.Login.ID, Name: p.Person().Name})
	}
}

// seconds is time.Duration.Seconds without its rounding error in the last place.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }

// outcomeSeverity returns the severity of an outcome.
func outcomeSeverity(o *kill.Outcome) plog.SeverityNumber {
	switch {
	case o.Verdict == kill.VerdictCoreDumped:
		return plog.SeverityNumberError
	case o.Fails(), o.Unsent && o.Exit.Signal() != 0:
		return plog.SeverityNumberWarn
	}
	return plog.SeverityNumberInfo
}

// outcomeSentence appends the outcome of the target, and which process sent the first signal.
func (s *speaker) outcomeSentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	o := e.Outcome
	buf = appendProcess(buf, target)
	if o.LastName != "" {
		buf = append(appendName(append(buf, ", now "...), o.LastName), ',')
	}
	buf = appendVerdict(append(buf, ' '), o)
	switch {
	case o.Unsent && o.Exit.Signal() != 0:
		return appendMissed(append(buf, "; nobody was seen to send it"...), e)
	case o.Unsent:
		return appendMissed(append(buf, "; nobody was seen to signal it"...), e)
	}
	if endedByItself(e) {
		buf = append(buf, "; it was ending already when "...)
	} else {
		buf = appendAfter(append(buf, ", "...), e.Time.Sub(o.Began))
	}
	buf = append(appendSender(buf, e), " sent "...)
	buf = appendTrigger(appendReason(append(buf, signalName(e)...), e, target), e)
	if e.Origin == kill.OriginKernel && !namesSender(e.Cause) {
		buf = appendPrompter(buf, &e.Sender, target)
	}
	if e.Behind != nil || e.Cause.Managed() {
		buf = s.appendBehind(buf, e, target)
	}
	if len(o.Signals) > 0 && o.Signals[0].Delivery == kill.DeliveryIgnored && !endedByItself(e) { // it ignored that, or was ending
		buf = append(buf, "; that signal had no effect"...)
	}
	if o.Escalated || diedOfAnother(e) {
		buf = s.appendEscalation(append(buf, "; "...), e, target)
	}
	if number := o.Injected; number != 0 {
		buf = appendMissed(append(append(buf, "; nobody was seen to send "...), number.Name()...), e)
	}
	return buf
}

// diedOfAnother reports whether another process sent the signal that ended the target: the first one had no effect.
func diedOfAnother(e *kill.Event) bool {
	o := e.Outcome
	if len(o.Signals) == 0 || o.Signals[0].Delivery != kill.DeliveryIgnored || o.LastSender == nil {
		return false
	}
	return o.Exit.Signal() != 0 && o.Exit.Signal() == o.LastSignal && !sameSender(o.LastSender, &e.Sender)
}

func sameSender(a, b *kill.Process) bool { return a.PID == b.PID && a.Command == b.Command }

// appendMissed appends that somebody may have sent a signal all the same, if some may have been missed.
func appendMissed(buf []byte, e *kill.Event) []byte {
	if e.Complete {
		return buf
	}
	return append(buf, ", but signals may have been missed"...)
}

// appendEscalation appends that a process was killed in the end, and why, but not again who asked for
// that.
func (s *speaker) appendEscalation(buf []byte, e *kill.Event, target *kill.Process) []byte {
	o := e.Outcome
	if o.LastCause == kill.CauseOOM {
		last := kill.Event{Cause: o.LastCause, OutOfMemory: e.OutOfMemory}
		return appendReason(append(append(buf, "then the kernel sent "...), o.LastSignal.Name()...), &last, target)
	}
	p := o.LastSender
	if p == nil {
		return append(append(buf, "escalated to "...), o.LastSignal.Name()...)
	}
	last := kill.Event{Sender: *p, Cause: o.LastCause}
	if sent := lastSent(o); sent != nil {
		last.Origin, last.Behind, last.Trigger = sent.Origin, sent.Behind, sent.Trigger
	}
	// Only who has sent both has escalated. Another one may not even have known of the first.
	switch {
	case last.Origin == kill.OriginKernel && e.Origin != kill.OriginKernel:
		buf = append(buf, "then the kernel sent "...)
	case last.Origin != kill.OriginKernel && !sameSender(p, &e.Sender):
		buf = append(appendDetails(appendProcess(append(buf, "then "...), p), p), " sent "...)
	default:
		buf = append(buf, "escalated to "...)
	}
	buf = append(buf, o.LastSignal.Name()...)
	if sent := lastSent(o); sent != nil && sent.Delivery == kill.DeliveryIgnored {
		buf = append(buf, " without effect"...)
	}
	buf = appendTrigger(buf, &last)
	if last.Behind == nil && !last.Cause.Managed() {
		return buf
	}
	if s.sameAsker(last.Behind, e.Behind) {
		return appendCause(buf, &last, target)
	}
	return s.appendBehind(buf, &last, target)
}

// lastSent returns the last fatal signal; nil if it is not known any more.
func lastSent(o *kill.Outcome) *kill.Sent {
	for i := len(o.Signals) - 1; i >= 0; i-- {
		if sent := &o.Signals[i]; sent.Signal == o.LastSignal && sent.Sender == o.LastSender {
			return sent
		}
	}
	return nil
}

// endedByItself reports whether the process ended of something else than a SIGKILL, which no process
// can handle: so it had begun to end before.
func endedByItself(e *kill.Event) bool {
	exit := e.Outcome.Exit
	return e.SignalKnown && e.Signal == kill.SIGKILL && exit.Known && exit.Signal() != kill.SIGKILL
}

// appendVerdict appends how a process ended.
func appendVerdict(buf []byte, o *kill.Outcome) []byte {
	switch o.Verdict {
	case kill.VerdictExited:
		return appendExit(buf, o.Exit.Code())
	case kill.VerdictKilled:
		return append(append(buf, "was killed by "...), o.Exit.Signal().Name()...)
	case kill.VerdictCoreDumped:
		return append(append(buf, "dumped core on "...), o.Exit.Signal().Name()...)
	case kill.VerdictSurvived:
		return append(buf, "is still alive"...)
	case kill.VerdictEnded:
		return append(buf, "has ended, nobody saw how"...)
	}
	return append(buf, "was still followed when the collector stopped"...)
}

// appendAfter appends how long after something.
func appendAfter(buf []byte, d time.Duration) []byte {
	if d < time.Millisecond {
		return append(buf, "right after "...)
	}
	return append(strconv.AppendFloat(buf, d.Seconds(), 'f', 3, 64), " s after "...)
}

// failMessage returns why a termination counts as a failure, for people.
func failMessage(e *kill.Event) string {
	buf := appendVerdict(nil, e.Outcome)
	if e.Outcome.Unsent {
		return string(buf)
	}
	if d := e.Time.Sub(e.Outcome.Began); d < time.Millisecond && e.Outcome.Exit.Signal() == e.Signal {
		return string(buf) // at once, by the signal that was sent
	}
	buf = appendAfter(append(buf, ' '), e.Time.Sub(e.Outcome.Began))
	return string(append(buf, e.Signal.Name()...))
}

// maxTerminated is how many bytes of the name of a process are in the name of a span: backends keep
// an index of those.
const maxTerminated = 64

// terminated is the name of the process in the name of a span. A process may have any name.
func terminated(p *kill.Process) string {
	switch {
	case p.Command != "":
		return visible.Short(p.Command, maxTerminated)
	case p.Executable != "":
		return visible.Short(path.Base(p.Executable), maxTerminated)
	}
	return "process"
}
