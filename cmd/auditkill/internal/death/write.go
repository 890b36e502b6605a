// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// mostSignals is how many signals are listed: the first ones, and the last.
	mostSignals = 6
	// mostOthers is how many of the others are named.
	mostOthers = 8
)

// Answer is what is said about a death.
type Answer struct {
	// Death is nil if only is known what may have ended the process (Maybe), or what systemd says (Notes).
	Death *Death
	Maybe *Maybe
	// Target is what was asked for.
	Target Target
	// Notes are what others say about it, such as the journal, as sentences.
	Notes []string
	// Unit is its unit as it is now; nil if there is none, or if nobody says.
	Unit *Unit
	// Unseen is what could not be looked at, and why.
	Unseen []string

	Now         time.Time
	CommandLine redact.Policy
}

// Write writes the answer, in lines that fit the terminal, or in long ones if it is none.
func (a *Answer) Write(out io.Writer, on terminal.Terminal) error {
	p := page{out: out, width: on.Width(), on: on}
	switch {
	case a.Death != nil:
		a.death(&p, a.Death)
	case a.Maybe != nil:
		a.maybe(&p, a.Maybe)
	default:
		p.head("Nobody has recorded a signal to %s, or its end, but systemd has.", visible.Name(a.Target.String()))
	}
	for _, note := range a.Notes {
		p.line("%s", note)
	}
	if a.Unit != nil {
		p.line("%s", a.Unit)
	}
	if len(a.Unseen) > 0 {
		p.line("Not looked at: %s.", strings.Join(a.Unseen, "; "))
	}
	return p.err
}

// maybe says what may have ended it, and not that it did.
func (a *Answer) maybe(p *page, m *Maybe) {
	if m.GotThrough() {
		p.head("%s was sent %s %s; what became of it was not recorded.", telemetry.Name(m.Target), m.Signal.Name(), a.when(m.Time))
		a.sentence(p, &m.Moment)
	} else {
		p.head("The death of %s is not recorded, but this may have ended it %s:", telemetry.Name(m.Target), a.when(m.Time))
		p.item(clockOf(&m.Moment), a.doubt(&m.Moment))
	}
	a.besides(p, m)
}

func (a *Answer) besides(p *page, m *Maybe) {
	for i := range m.Besides {
		p.line("Besides, %s: %s.", a.clock(m.Besides[i].Time, m.Time), a.doubt(&m.Besides[i]))
	}
}

// unrecorded ends the sentences that say themselves what is not known.
const unrecorded = " is not recorded"

// doubt is what was reported, and what is not known of it.
func (a *Answer) doubt(m *Moment) string {
	text := a.text(m)
	switch {
	case m.Kind != kill.KindSignal || strings.HasSuffix(text, unrecorded):
		return text
	case m.ResultFor(m.Target).Known:
		return text + "; what became of it was not recorded"
	}
	return text + "; whether it reached " + telemetry.Name(m.Target) + unrecorded
}

func (a *Answer) death(p *page, d *Death) {
	p.head("%s %s.", telemetry.Name(d.Target), a.ending(d))
	a.signals(p, d)
	a.reaction(p, d)
	if o := d.Outcome; o != nil && o.Verdict == kill.VerdictExited {
		if signal := telemetry.Reported(o.Exit.Code()); signal != 0 {
			p.line("Exit code %d is 128 + %d: so shells and runtimes report that %s ended what they ran, and some programs exit so "+
				"when they handle it. The code alone does not say that anybody sent it.", o.Exit.Code(), int(signal), signal.Name())
		}
	}
	a.others(p, d)
	for i := range d.Namesakes {
		a.namesake(p, &d.Namesakes[i])
	}
	if d.Later != nil {
		p.line("Later, %s: %s.", a.clock(d.Later.Time, d.Time), a.doubt(&d.Later.Moment))
		a.besides(p, d.Later)
	}
	if !d.Complete {
		p.line("A part of what was reported then is lost.")
	}
}

// namesake names another program of the same name that has died, and where more is said about it.
func (a *Answer) namesake(p *page, m *Moment) {
	var details []string
	if m.Target.Executable != "" {
		details = append(details, visible.Name(m.Target.Executable))
	}
	if m.Target.User.ID.Known {
		details = append(details, fmt.Sprintf("uid %d", m.Target.User.ID.Value))
	}
	p.line("Another program of that name, %s (%s), died %s: `auditkill why '%[1]s'` says how.", telemetry.Name(m.Target),
		strings.Join(details, ", "), a.when(m.Time))
}

// ending is how and when it ended.
func (a *Answer) ending(d *Death) string {
	switch {
	case d.Outcome != nil:
		return telemetry.Ending(d.Outcome) + " " + a.when(d.Time)
	case d.Kind == kill.KindAbend:
		return "died of " + d.Signal.Name() + " " + a.when(d.Time)
	}
	return "was sent SIGKILL " + a.when(d.Time) + ", which no process can handle; its end itself was not recorded"
}

// signals lists who sent what.
func (a *Answer) signals(p *page, d *Death) {
	if len(d.Signals) == 0 {
		a.sentence(p, &d.Moment)
		return
	}
	for i := range d.Signals {
		left := len(d.Signals) - i
		if i < mostSignals-1 || left == 1 {
			a.sentence(p, &d.Signals[i])
		} else if i == mostSignals-1 {
			p.line("... and %d more signals ...", left-1)
		}
	}
}

// sentence writes what was reported.
func (a *Answer) sentence(p *page, m *Moment) {
	p.item(clockOf(m), a.text(m))
}

func clockOf(m *Moment) string { return m.Time.Local().Format("15:04:05.000") }

func (a *Answer) text(m *Moment) string {
	if m.Record != nil && (a.CommandLine == redact.Redacted || a.CommandLine == redact.Full) {
		return visible.Message(m.Record.Body().Str())
	}
	return telemetry.Sentence(m.Event, m.Target, a.CommandLine)
}

// reaction says what the process did when the first signal came.
func (a *Answer) reaction(p *page, d *Death) {
	o := d.Outcome
	if o == nil || o.Unsent {
		return
	}
	first := d.Signal.Name()
	idle := d.ignored()
	if o.Escalated && len(d.Signals) > 1 {
		if last := d.Signals[len(d.Signals)-1]; last.Signal == kill.SIGKILL {
			after := spell(last.Time.Sub(o.Began))
			if idle {
				p.line("%s had no effect; %s later SIGKILL came.", first, after)
			} else {
				p.line("On %s it did not end for %s: then SIGKILL came.", first, after)
			}
			return
		}
	}
	after := spell(d.Time.Sub(o.Began))
	switch {
	case idle && o.Verdict == kill.VerdictExited:
		p.line("%s had no effect; it exited by itself with code %d, %s later.", first, o.Exit.Code(), after)
	case o.Verdict == kill.VerdictExited && d.Signal != kill.SIGKILL:
		p.line("After %s it exited by itself with code %d, %s later.", first, o.Exit.Code(), after)
	case !idle && o.Exit.Signal() == d.Signal && d.Signal != kill.SIGKILL:
		p.line("%s itself ended it, %s after it was sent.", first, after)
	case o.Escalated:
		p.line("It ended %s after %s, and was sent SIGKILL as well.", after, first)
	}
}

// spell is a duration for a sentence.
func spell(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 2*time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return strconv.FormatFloat(d.Minutes(), 'f', 0, 64) + " min"
}

// others names who else died, and when: those at the same time have perhaps nothing to do with it.
func (a *Answer) others(p *page, d *Death) {
	var near, before []string
	for i := range d.Others {
		m := &d.Others[i]
		if apart := m.Time.Sub(d.Time); apart.Abs() <= Around {
			near = append(near, fmt.Sprintf("%s (%s, %s)", telemetry.Name(m.Target), briefly(m), beside(apart)))
		} else {
			before = append(before, fmt.Sprintf("%s (%s, at %s)", telemetry.Name(m.Target), briefly(m), a.clock(m.Time, d.Time)))
		}
	}
	if len(near) > 0 {
		p.line("Within %.0f s of that also ended: %s.", Around.Seconds(), list(near))
	}
	if len(before) > 0 {
		p.line("The same process was also behind earlier ends: %s.", list(before))
	}
}

// list names the first of them, and says how many more there are.
func list(names []string) string {
	if left := len(names) - mostOthers; left > 0 {
		names = append(slices.Clone(names[:mostOthers]), fmt.Sprintf("and %d more", left))
	}
	return strings.Join(names, ", ")
}

// beside is how much later or earlier something was.
func beside(apart time.Duration) string {
	switch {
	case apart.Abs() < time.Millisecond:
		return "at the same time"
	case apart < 0:
		return spell(-apart) + " before"
	}
	return spell(apart) + " later"
}

// briefly is how another process ended.
func briefly(m *Moment) string {
	switch {
	case m.Outcome == nil && m.Kind == kill.KindSignal:
		return "was sent SIGKILL"
	case m.Outcome == nil:
		return m.Signal.Name()
	case m.Outcome.Verdict == kill.VerdictExited:
		return "exit code " + strconv.Itoa(m.Outcome.Exit.Code())
	case m.Outcome.Exit.Known:
		return m.Outcome.Exit.Signal().Name()
	}
	return "nobody saw how"
}

// when is a time, and how long ago that is.
func (a *Answer) when(at time.Time) string {
	local := at.Local()
	return "on " + local.Format(time.DateOnly) + " at " + local.Format(time.TimeOnly) + ago(a.Now.Sub(at))
}

// clock is a time of day, with the day if that is another one.
func (a *Answer) clock(at, than time.Time) string {
	if at.Local().Format(time.DateOnly) == than.Local().Format(time.DateOnly) {
		return at.Local().Format(time.TimeOnly)
	}
	return at.Local().Format(time.DateTime)
}

func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "" // somebody's clock is wrong
	case d < time.Minute:
		return fmt.Sprintf(", %.0f s ago", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf(", %.0f min ago", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf(", %.0f hours ago", d.Hours())
	}
	return fmt.Sprintf(", %.0f days ago", d.Hours()/24)
}
