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
	// maxSignals is how many signals of one episode are told: the first half of them and
	// the last. Some send one process thousands.
	maxSignals = 32
	// fewSignals is the same once all episodes together hold maxHeld, some 12 MB.
	fewSignals = 2
	maxHeld    = 1 << 14
)

// episode is what happens to one process from the first fatal signal on.
type episode struct {
	// pid and start name the process; start is 0 if it was gone when it was looked for.
	pid   int
	start time.Duration
	// call is the one that struck this process among others; nil if it was the only one.
	call *call
	// unseen is true if the process ended while no collector ran.
	unseen bool
	// due is when it is time for what the queue that it is in is for.
	due time.Time
	// queue is where it is, and place where in it.
	queue *list.List
	place *list.Element

	story
}

// story is what is told of an episode, and kept over a restart.
type story struct {
	Span kill.Span
	// Target is the process as it was at the first fatal signal.
	Target kill.Process
	Source string

	signals history
	// Last, LastAt and LastSender are of the last fatal signal.
	Last       kill.Signal
	LastAt     time.Time
	LastSender *kill.Process `json:"-"` // see savedEpisode
	// Softer is true once a fatal signal other than SIGKILL was sent.
	Softer, Escalated bool
	// Abend is the signal of which the kernel says that the process dies; 0 if none.
	Abend kill.Signal
	// Incomplete is true if something of a signal was lost.
	Incomplete bool

	// Ended is when the process ended; zero if it has not.
	Ended time.Time
	Exit  kill.Exit
	// LastName is what it was called when it was last seen.
	LastName string
}

// begin takes the first signal, which is a fatal one.
func (s *story) begin(e *kill.Event, target, sender *kill.Process) {
	first := entryOf(e, target, sender)
	s.signals = newHistory(first)
	s.Incomplete = !e.Complete
	if first.Reported {
		s.Abend = e.Signal
	}
	s.fatal(&first)
}

// add takes another signal. A history holds no more than limit signals.
func (s *story) add(e *kill.Event, target, sender *kill.Process, limit int) {
	s.Incomplete = s.Incomplete || !e.Complete
	added := entryOf(e, target, sender)
	switch {
	case added.Reported:
		s.Abend = e.Signal
		if s.signals.explains(e.Signal) {
			return // it was sent, too, and that is what counts
		}
	case e.Signal == 0:
		return // it only asks
	case s.signals.replace(added):
		last := s.signals.lastFatal()
		s.Last, s.LastAt, s.LastSender = last.Signal, last.Time, last.Sender
		return
	}
	if s.signals.add(added, limit) && added.fatal() {
		s.fatal(&added)
	}
}

func entryOf(e *kill.Event, target, sender *kill.Process) entry {
	return entry{
		Sent: kill.Sent{
			Time: e.Time, Signal: e.Signal, Syscall: e.Syscall, Code: e.Code, Origin: e.Origin, Cause: e.Cause,
			Result: e.Result, Delivery: e.DeliveryTo(target), Sender: sender,
		},
		Reported: e.Kind == kill.KindAbend && e.SignalKnown && e.Signal != 0,
	}
}

// fatal takes a signal that may have ended the process.
func (s *story) fatal(sent *entry) {
	if sent.Signal == kill.SIGKILL {
		s.Escalated = s.Escalated || s.Softer
	} else {
		s.Softer = true
		s.Escalated = s.Escalated || s.Last == kill.SIGKILL && sent.Time.Before(s.LastAt)
	}
	if s.LastSender == nil || !sent.Time.Before(s.LastAt) {
		s.Last, s.LastAt, s.LastSender = sent.Signal, sent.Time, sent.Sender
	}
}

// nameOf returns what a process is called, not one of its threads.
func nameOf(p *kill.Process) string { return cmp.Or(p.Leader, p.Command) }

// fatal reports whether a signal is meant to end its target, whatever that does about
// it: it may handle or ignore it.
func fatal(e *kill.Event, target *kill.Process) bool {
	switch {
	case e.Kind == kill.KindAbend:
		return e.SignalKnown && e.Signal != 0
	case e.Kind != kill.KindSignal || !e.SignalKnown || !e.Signal.Fatal() || e.Result.Failed():
		return false
	}
	return e.DeliveryTo(target) != kill.DeliveryOverflow
}

// end notes that the process has ended.
func (e *episode) end(at time.Time, exit kill.Exit, name string) {
	e.Ended, e.Exit = at, exit
	if name != "" {
		e.LastName = name
	}
}

// ending returns how the process has ended, as far as that is known.
func (e *episode) ending() kill.Exit {
	// If that was not seen, that it ended after SIGKILL says how, unless the collector
	// has not seen all of it; and so does what the kernel said.
	switch {
	case e.Ended.IsZero() || e.Exit.Known || e.unseen:
		return e.Exit
	case e.Abend != 0:
		return kill.Exit{Known: true, Status: int(e.Abend)}
	case e.Last == kill.SIGKILL:
		return kill.Exit{Known: true, Status: int(kill.SIGKILL)}
	}
	return kill.Exit{}
}

// outcome makes the event of a process that has ended.
func (e *episode) outcome() *kill.Event {
	return e.tell(e.ending().Verdict(), e.Ended)
}

// tell makes the event that tells what became of the process.
func (e *episode) tell(verdict kill.Verdict, at time.Time) *kill.Event {
	first := &e.signals.first
	if at.Before(first.Time) { // the clock was set back, or those of the two differ by some milliseconds
		at = first.Time
	}
	o := &kill.Outcome{
		Span: e.Span, Verdict: verdict, Exit: e.ending(), Began: first.Time, Escalated: e.Escalated,
		Signals: e.signals.sent(), Omitted: e.signals.omitted, LastSignal: e.Last, LastSender: e.LastSender,
	}
	if e.LastName != nameOf(&e.Target) {
		o.LastName = e.LastName
	}
	event := &kill.Event{
		Kind: kill.KindOutcome, Time: at, Signal: first.Signal, SignalKnown: true, TargetCount: -1,
		Outcome: o, Complete: !e.Incomplete, Source: e.Source,
	}
	event.Sender, event.Origin, event.Cause = *first.Sender, first.Origin, first.Cause
	target := event.AddTarget()
	*target = e.Target
	target.Span = e.Span
	if e.call != nil {
		o.Parent = e.call.Span
	}
	return event
}

// call is one that strikes many processes.
type call struct {
	// open is how many of them have no outcome yet, and one more while they are looked at.
	open int
	callStory
}

// callStory is what is told of a call, and kept over a restart.
type callStory struct {
	Span     kill.Span
	Event    *kill.Event
	Ended    time.Time
	Verdicts map[kill.Verdict]int
	Failed   int
}

// close takes the outcome of one of them, and reports whether it was the last one.
func (c *call) close(e *kill.Event) bool {
	c.Verdicts[e.Outcome.Verdict]++
	if e.Outcome.Fails() {
		c.Failed++
	}
	if e.Time.After(c.Ended) {
		c.Ended = e.Time
	}
	return c.release()
}

// release reports whether nothing more will come of the call.
func (c *call) release() bool {
	c.open--
	return c.open == 0
}

// outcome makes the event that tells what became of all that were struck.
func (c *call) outcome() *kill.Event {
	e := *c.Event
	e.Kind, e.Time = kill.KindCall, c.Ended
	e.Outcome = &kill.Outcome{Span: c.Span, Began: c.Event.Time, Verdicts: c.Verdicts, Failed: c.Failed}
	return &e
}
