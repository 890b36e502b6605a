// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"cmp"
	"container/list"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxSignals is how many signals an episode keeps: half of them the first ones, half the
	// last ones. Some programs send a process thousands.
	maxSignals = 32
	// fewSignals is the limit once all episodes together hold maxHeld, some 12 MB.
	fewSignals = 2
	maxHeld    = 1 << 14
)

// episode is what happens to one process from the first fatal signal on.
type episode struct {
	// pid and start identify the process; start is 0 if the process was gone before
	// anything could ask when it was created.
	pid   int
	start time.Duration
	// call is the call that began the episode if it addressed several processes, else nil.
	call *call
	// unseen is true if the process ended while no collector ran.
	unseen bool
	// missed is true if other signals may have been sent to it than those that were seen.
	missed bool
	// queue holds the episode at place, until it is due.
	queue *list.List
	place *list.Element
	due   time.Time

	episodeState
}

// episodeState is the part of an episode that is saved over a restart.
type episodeState struct {
	Span kill.Span
	// Target is the process as it was at the first fatal signal.
	Target kill.Process
	Source string

	signals history
	// Last, LastAt, LastCause and LastSender describe the last fatal signal.
	Last       kill.Signal
	LastAt     time.Time
	LastCause  kill.Cause
	LastSender *kill.Process `json:"-"` // see savedEpisode
	// Softer is true once a fatal signal other than SIGKILL was sent.
	Softer, Escalated bool
	// Abend is the signal of which, as the kernel reports, the process dies; 0 if there is
	// no report.
	Abend kill.Signal
	// Incomplete is true if a part of a signal or of the end was lost.
	Incomplete bool

	// Ended is when the process ended; zero if it has not.
	Ended time.Time
	Exit  kill.Exit
	// LastName is the process's name when it was last seen.
	LastName string
}

// begin records the first signal, which is a fatal one.
func (s *episodeState) begin(e *kill.Event, target, sender *kill.Process) {
	first := entryOf(e, target, sender)
	s.signals = newHistory(first)
	s.Incomplete = !e.Complete
	if first.Reported {
		s.Abend = e.Signal
	}
	s.noteFatal(&first)
}

// add records another signal. The history keeps no more than limit signals.
func (s *episodeState) add(e *kill.Event, target, sender *kill.Process, limit int) {
	s.Incomplete = s.Incomplete || !e.Complete
	added := entryOf(e, target, sender)
	if added.certain() && !s.signals.certain() {
		s.restart(added)
		return
	}
	switch {
	case added.Reported:
		s.Abend = e.Signal
		if s.signals.explains(e.Signal) {
			return // the signal itself is in the history already
		}
	case e.Signal == 0:
		return // it only asks whether the process exists
	case s.signals.replace(added):
		last := s.signals.lastFatal()
		s.Last, s.LastAt, s.LastCause, s.LastSender = last.Signal, last.Time, last.Cause, last.Sender
		return
	}
	if s.signals.add(added, limit) && added.certain() {
		s.noteFatal(&added)
	}
}

// restart begins the history again with the first signal that is known to have reached the process:
// it would be wrong to lay its end to the sender of one that may have been refused.
func (s *episodeState) restart(first entry) {
	if first.Reported {
		s.Abend = first.Signal
		if s.signals.explains(first.Signal) {
			return // the process dies of a signal that it got
		}
	}
	s.signals, s.LastSender = newHistory(first), nil
	s.Softer, s.Escalated, s.Last, s.LastAt = false, false, 0, time.Time{}
	s.noteFatal(&first)
}

func entryOf(e *kill.Event, target, sender *kill.Process) entry {
	return entry{
		Sent: kill.Sent{
			Time: e.Time, Signal: e.Signal, Syscall: e.Syscall, Code: e.Code, Origin: e.Origin, Cause: e.Cause,
			Result: e.ResultFor(target), Delivery: e.DeliveryTo(target), Count: e.Count, LastTime: e.LastTime, Behind: e.Behind, Trigger: e.Trigger,
			Sender: sender, OutOfMemory: e.OutOfMemory, Memory: target.Memory,
		},
		Reported: e.Kind == kill.KindAbend && e.SignalKnown && e.Signal != 0 && e.ResultFor(target).Succeeded(),
	}
}

// noteFatal records a signal that may have ended the process.
func (s *episodeState) noteFatal(sent *entry) {
	if sent.Signal == kill.SIGKILL {
		s.Escalated = s.Escalated || s.Softer
	} else {
		s.Softer = true
		s.Escalated = s.Escalated || s.Last == kill.SIGKILL && sent.Time.Before(s.LastAt)
	}
	if s.LastSender == nil || !sent.Time.Before(s.LastAt) {
		s.Last, s.LastAt, s.LastCause, s.LastSender = sent.Signal, sent.Time, sent.Cause, sent.Sender
	}
}

// nameOf returns the name of the process rather than of one of its threads.
func nameOf(p *kill.Process) string { return cmp.Or(p.Leader, p.Command) }

// fatal reports whether a signal by default ends its target. The target may still handle or
// ignore it.
func fatal(e *kill.Event, target *kill.Process) bool {
	switch {
	case e.Kind == kill.KindAbend:
		return e.SignalKnown && e.Signal != 0 && e.ResultFor(target).Succeeded()
	case e.Kind != kill.KindSignal || !e.SignalKnown || !e.Signal.Fatal() || e.ResultFor(target).Failed():
		return false
	}
	return e.DeliveryTo(target) != kill.DeliveryOverflow
}

// end records the end of the process.
func (e *episode) end(at time.Time, exit kill.Exit, name string) {
	e.Ended, e.Exit = at, exit
	if name != "" {
		e.LastName = name
	}
}

// ending returns how the process has ended, as far as that is known.
func (e *episode) ending() kill.Exit {
	// If the exit status was not seen, the kernel's report or a SIGKILL tells how the process
	// ended, unless it ended while no collector ran.
	switch {
	case e.Ended.IsZero() || e.Exit.Known || e.unseen:
		return e.Exit
	case e.Abend != 0:
		return kill.Exit{Known: true, Status: int(e.Abend)}
	case e.Last == kill.SIGKILL && e.signals.lastFatal().certain():
		return kill.Exit{Known: true, Status: int(kill.SIGKILL)}
	}
	return kill.Exit{}
}

// told reports whether an outcome is told. If no signal is known to have reached the process, it
// is told only of a process that died of a signal that it may have got.
func (e *episode) told(o *kill.Outcome) bool {
	number := o.Exit.Signal()
	return e.signals.certain() || number != 0 && !e.Ended.IsZero() && e.signals.explains(number)
}

// endOutcome returns the outcome event of a process that has ended.
func (e *episode) endOutcome() *kill.Event {
	return e.outcome(e.ending().Verdict(), e.Ended)
}

// outcome returns the outcome event of the process.
func (e *episode) outcome(verdict kill.Verdict, at time.Time) *kill.Event {
	first := &e.signals.first
	if at.Before(first.Time) { // the clock was set back, or the two clocks differ by some milliseconds
		at = first.Time
	}
	o := &kill.Outcome{
		Span: e.Span, Verdict: verdict, Exit: e.ending(), Began: first.Time, Escalated: e.Escalated,
		Signals: e.signals.sent(), Omitted: e.signals.omitted, OmittedSignals: e.signals.omittedSignals,
		LastSignal: e.Last, LastCause: e.LastCause, LastSender: e.LastSender,
	}
	if e.LastName != nameOf(&e.Target) {
		o.LastName = e.LastName
	}
	event := &kill.Event{
		Kind: kill.KindOutcome, Time: at, Signal: first.Signal, SignalKnown: true, TargetCount: -1,
		Outcome: o, Complete: !e.Incomplete, Source: e.Source,
	}
	event.Sender, event.Origin, event.Cause, event.Behind = *first.Sender, first.Origin, first.Cause, first.Behind
	event.Trigger = first.Trigger
	target := event.AddTarget()
	*target = e.Target
	target.Span = e.Span
	event.OutOfMemory, target.Memory = e.signals.outOfMemory()
	if e.call != nil {
		o.Parent = e.call.Span
	}
	return event
}

// call is a signal call that addresses several processes.
type call struct {
	// open is how many of the processes have no outcome yet, plus one while the call is
	// being handled.
	open int
	callState
}

// callState is the part of a call that is saved over a restart.
type callState struct {
	Span     kill.Span
	Event    *kill.Event
	Ended    time.Time
	Verdicts map[kill.Verdict]int
	Failed   int
}

// addOutcome counts the outcome of one target.
func (c *call) addOutcome(e *kill.Event) {
	c.Verdicts[e.Outcome.Verdict]++
	if e.Outcome.Fails() {
		c.Failed++
	}
	if e.Time.After(c.Ended) {
		c.Ended = e.Time
	}
}

// release reports whether the call has no open episodes left.
func (c *call) release() bool {
	c.open--
	return c.open == 0
}

// outcome returns the event with the outcomes of all targets of the call.
func (c *call) outcome() *kill.Event {
	e := *c.Event
	e.Kind, e.Time = kill.KindCall, c.Ended
	e.Outcome = &kill.Outcome{Span: c.Span, Began: c.Event.Time, Verdicts: c.Verdicts, Failed: c.Failed}
	return &e
}
