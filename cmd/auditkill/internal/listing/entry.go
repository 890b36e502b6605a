// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// unknown stands for an unknown value.
const unknown = "?"

// none stands for what there is none of.
const none = "-"

// noEffect is the result of a signal that changed nothing.
const noEffect = "no effect"

// Entry is one line of a listing: an event and one of its targets. Its methods return text that
// is safe for a terminal.
type Entry struct {
	Event *kill.Event
	// Target is nil if the event has no target.
	Target *kill.Process
	// Record is the log record that the event was read back from; nil if it was made of anything else.
	Record *plog.LogRecord
	// joined is what a row stands for that Joined has made of several; nil for one.
	joined *joined
}

// Entries are the lines of an event: one for each target, or one if there is none.
func Entries(e *kill.Event) []Entry {
	if len(e.Targets) == 0 {
		return []Entry{{Event: e}}
	}
	entries := make([]Entry, 0, len(e.Targets))
	for i := range e.Targets {
		entries = append(entries, Entry{Event: e, Target: &e.Targets[i]})
	}
	return entries
}

// Signal is the name of the signal.
func (e Entry) Signal() string {
	if !e.Event.SignalKnown {
		return unknown
	}
	return e.Event.Signal.Name()
}

// signals is the signal, and how many of it the event stands for.
func (e Entry) signals() string {
	if e.exited() {
		return none
	}
	return e.Signal() + e.times()
}

// exited reports whether a process ended without a signal.
func (e Entry) exited() bool { return e.unsent() && !e.Event.SignalKnown }

func (e Entry) times() string {
	if e.Event.Count > 1 {
		return " ×" + strconv.Itoa(e.Event.Count)
	}
	return ""
}

// Last is when the last of its signals was sent.
func (e Entry) Last() time.Time {
	if e.Event.Count > 1 {
		return e.Event.LastTime
	}
	return e.Event.Time
}

// TargetName is the name of the target or, if there is none, what the sender addressed.
func (e Entry) TargetName() string {
	if e.joined != nil {
		return e.joined.target()
	}
	if e.Target == nil {
		return telemetry.Address(e.Event)
	}
	return nameOf(e.Target)
}

// TargetPID is empty if there is no target, or more than one.
func (e Entry) TargetPID() string {
	if e.joined != nil {
		return ""
	}
	return pidOf(e.Target)
}

// TargetProcess is name[pid].
func (e Entry) TargetProcess() string {
	if e.Target == nil || e.joined != nil {
		return e.TargetName()
	}
	return named(e.Target)
}

// Kernel reports whether the kernel itself sent the signal.
func (e Entry) Kernel() bool {
	return e.Event.Origin == kill.OriginKernel || e.Event.Kind == kill.KindAbend
}

// unsent reports whether a process ended to which no signal was seen.
func (e Entry) unsent() bool { return e.Event.Outcome != nil && e.Event.Outcome.Unsent }

// SenderName is the name of the process that sent the signal. If the kernel did, it is "kernel",
// with the reason if that is known.
func (e Entry) SenderName() string {
	switch {
	case e.unsent():
		return "nobody seen"
	case e.Kernel() && e.Event.Cause != kill.CauseNone:
		return "kernel (" + string(e.Event.Cause) + ")"
	case e.Kernel():
		return "kernel"
	}
	return nameOf(&e.Event.Sender)
}

// SenderPID is empty if it is the kernel.
func (e Entry) SenderPID() string {
	if e.Kernel() {
		return ""
	}
	return pidOf(&e.Event.Sender)
}

// SenderProcess is name[pid].
func (e Entry) SenderProcess() string {
	if e.Kernel() || e.unsent() {
		return e.SenderName()
	}
	return named(&e.Event.Sender)
}

// Executable is the path of the sender's program; empty if it is not known.
func (e Entry) Executable() string {
	if e.Kernel() {
		return ""
	}
	return visible.Text(e.Event.Sender.Executable)
}

// Program identifies a sender over many of its processes: its executable or, if that is not
// known, its name.
func (e Entry) Program() string {
	if executable := e.Executable(); executable != "" {
		return executable
	}
	return e.SenderName()
}

// Login is who logged in, whatever su or sudo came after, and of a manager who asked it; empty for what
// the system started by itself.
func (e Entry) Login() string {
	if e.Kernel() && e.Event.Behind == nil {
		return ""
	}
	return userName(e.Event.Behind.Person(&e.Event.Sender))
}

// User is the user that the sender ran as.
func (e Entry) User() string {
	if e.Kernel() {
		return ""
	}
	return userName(e.Event.Sender.User)
}

// CommandLine is the sender's command line, as far as it may be shown.
func (e Entry) CommandLine(conceal redact.Policy) string {
	if e.Kernel() {
		return ""
	}
	return shownTitle(e.Event.Sender.Title, conceal)
}

func shownTitle(title string, conceal redact.Policy) string {
	title = strings.TrimRight(conceal.Apply(title), "\x00")
	return visible.Text(strings.ReplaceAll(title, "\x00", " "))
}

// Serial is the number of the audit event; empty if it was not audited.
func (e Entry) Serial() string {
	if !e.Event.Audit.Recorded || e.Event.Audit.Unnumbered {
		return ""
	}
	return strconv.FormatUint(uint64(e.Event.Audit.Serial), 10)
}

// Host is the host that wrote the log, if the log names it (auditd.conf(5), name_format), or
// else the file.
func (e Entry) Host() string {
	return visible.Text(cmp.Or(e.Event.Audit.Node, e.Event.File))
}

// Result is "ok", the name of an error such as "EPERM", or why a signal that was sent changed
// nothing. For an outcome, it is how the process ended.
func (e Entry) Result() string {
	if e.joined != nil {
		return e.joined.result()
	}
	switch e.Event.Kind {
	case kill.KindSignal, kill.KindTamper:
		return e.attempt()
	case kill.KindAbend:
		if !e.Event.Result.Known {
			return "thread died"
		}
		return "died"
	case kill.KindOutcome:
		return outcomeOf(e.Event)
	}
	return unknown
}

// attempt is the result of a signal that was sent.
func (e Entry) attempt() string {
	delivery := e.Event.DeliveryTo(e.Target)
	switch result := e.Event.ResultFor(e.Target); {
	case result.Failed() && result.Error != "":
		return result.Error
	case result.Failed():
		return "errno " + strconv.Itoa(result.Errno)
	case !result.Known && delivery == kill.DeliveryUnknown:
		return unknown
	}
	switch delivery {
	case kill.DeliveryIgnored:
		if e.Event.Signal == kill.SIGKILL { // which no process can ignore: it was ending, or is the init of the sender's pid namespace
			return noEffect
		}
		return "ignored"
	case kill.DeliveryPending:
		return "pending already"
	case kill.DeliveryOverflow:
		return "queue full"
	}
	return "ok"
}

// outcomeOf is the outcome of a process.
func outcomeOf(e *kill.Event) string {
	o, after := e.Outcome, e.Time.Sub(e.Outcome.Began)
	if o.Unsent {
		return unsentOutcome(o)
	}
	if o.Verdict == kill.VerdictSurvived {
		return fmt.Sprintf("alive after %.0f s", after.Seconds())
	}
	gone := fmt.Sprintf("gone after %.1f s", after.Seconds())
	if after < atOnce {
		gone = "gone at once"
	}
	switch o.Verdict {
	case kill.VerdictExited:
		gone += ", exit code " + strconv.Itoa(o.Exit.Code())
		if hadNoEffect(o) {
			gone += "; " + e.Signal.Name() + " had no effect"
		}
		return gone
	case kill.VerdictKilled:
		gone += ", by " + o.Exit.Signal().Name()
		if other := finisher(e); other != "" {
			gone += " of " + other
		}
		return gone
	case kill.VerdictCoreDumped:
		return gone + ", core dumped on " + o.Exit.Signal().Name()
	case kill.VerdictUnknown:
		return "not waited for any more"
	}
	return gone
}

// hadNoEffect reports whether the first signal changed nothing.
func hadNoEffect(o *kill.Outcome) bool {
	return len(o.Signals) > 0 && o.Signals[0].Delivery == kill.DeliveryIgnored
}

// finisher is who sent the signal that ended the process, if it was somebody else than the sender of the first one; empty if not.
func finisher(e *kill.Event) string {
	o := e.Outcome
	p := o.LastSender
	if p == nil || o.Exit.Signal() != o.LastSignal || p.PID == e.Sender.PID && p.Command == e.Sender.Command {
		return ""
	}
	for i := len(o.Signals) - 1; i >= 0; i-- {
		sent := &o.Signals[i]
		switch {
		case sent.Sender != p || sent.Signal != o.LastSignal:
			continue
		case sent.Delivery == kill.DeliveryIgnored || sent.Delivery == kill.DeliveryPending:
			return "" // it came too late
		case sent.Origin == kill.OriginKernel:
			return "the kernel"
		}
		break
	}
	return named(p)
}

// unsentOutcome is how a process ended by itself, or for a reason that nobody saw.
func unsentOutcome(o *kill.Outcome) string {
	switch o.Verdict {
	case kill.VerdictExited:
		return "exit code " + strconv.Itoa(o.Exit.Code())
	case kill.VerdictCoreDumped:
		return "core dumped on " + o.Exit.Signal().Name()
	case kill.VerdictKilled:
		return "died of " + o.Exit.Signal().Name()
	}
	return "gone"
}

// Failed reports whether the signal did not get through.
func (e Entry) Failed() bool { return e.Event.ResultFor(e.Target).Failed() }

// Doubtful reports whether nothing says if the signal got through.
func (e Entry) Doubtful() bool { return !e.Failed() && e.Event.Doubtful(e.Target) }

// Fatal reports whether a signal got through that by default ends its target.
func (e Entry) Fatal() bool {
	switch e.Event.DeliveryTo(e.Target) {
	case kill.DeliveryIgnored, kill.DeliveryOverflow:
		return false
	}
	return e.Event.SignalKnown && e.Event.Signal.Fatal() && !e.Failed() && !e.Event.Doubtful(e.Target)
}

func named(p *kill.Process) string {
	if p.PID == 0 {
		return nameOf(p)
	}
	return nameOf(p) + "[" + strconv.Itoa(p.PID) + "]"
}

func nameOf(p *kill.Process) string {
	switch {
	case p.Command != "":
		return visible.Text(p.Command)
	case p.Executable != "":
		return visible.Text(path.Base(p.Executable))
	}
	return unknown
}

func pidOf(p *kill.Process) string {
	if p == nil || p.PID == 0 {
		return ""
	}
	return strconv.Itoa(p.PID)
}

func userName(u kill.User) string {
	switch {
	case !u.ID.Known:
		return ""
	case u.Name != "":
		return visible.Text(u.Name)
	}
	return strconv.FormatUint(uint64(u.ID.Value), 10)
}
