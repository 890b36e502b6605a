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
	a.integer("kill.signal.count", int64(len(o.Signals)+o.Omitted))
	a.text("kill.target.last_name", o.LastName)
	a.integer("kill.last_signal.number", int64(o.LastSignal))
	a.known("kill.last_signal.name", o.LastSignal.Name())
	if p := o.LastSender; p != nil {
		a.number("kill.last_sender.pid", p.PID)
		a.text("kill.last_sender.name", p.Command)
		a.text("kill.last_sender.executable.path", p.Executable)
		a.user("kill.last_sender.user.id", "kill.last_sender.user.name", p.User)
		a.user("kill.last_sender.audit.user.id", "kill.last_sender.audit.user.name", p.Login)
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
func outcomeSentence(buf []byte, e *kill.Event, target *kill.Process) []byte {
	o := e.Outcome
	buf = appendProcess(buf, target)
	if o.LastName != "" {
		buf = append(appendName(append(buf, ", now "...), o.LastName), ',')
	}
	buf = appendVerdict(append(buf, ' '), o)
	switch {
	case o.Unsent && !e.Complete:
		return append(buf, "; nobody was seen to signal it, but signals may have been missed"...)
	case o.Unsent && o.Exit.Signal() != 0:
		return append(buf, "; nobody was seen to send it"...)
	case o.Unsent:
		return append(buf, "; nobody was seen to signal it"...)
	}
	if endedByItself(e) {
		buf = append(buf, "; it was ending already when "...)
	} else {
		buf = appendAfter(append(buf, ", "...), e.Time.Sub(o.Began))
	}
	if e.Origin == kill.OriginKernel {
		buf = append(append(buf, "the kernel"...), " sent "...)
	} else {
		buf = append(appendDetails(appendProcess(buf, &e.Sender), &e.Sender), " sent "...)
	}
	buf = append(append(buf, signalName(e)...), reason(e.Cause)...)
	if !o.Escalated {
		return buf
	}
	buf = append(append(buf, "; escalated to "...), o.LastSignal.Name()...)
	if p := o.LastSender; p != nil && (p.PID != e.Sender.PID || p.Command != e.Sender.Command) {
		buf = appendDetails(appendProcess(append(buf, " by "...), p), p)
	}
	return buf
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
		return strconv.AppendInt(append(buf, "exited with code "...), int64(o.Exit.Code()), 10)
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
