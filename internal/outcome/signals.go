// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// reused is how much later than the end of a process a signal must have been sent
// to be for another one with the same pid, as audit records bear the time of the
// kernel's last tick.
const reused = 50 * time.Millisecond

// Struck takes a signal, and tells each of its targets which span it belongs to. A
// fatal one begins an episode.
func (t *Table) Struck(e *kill.Event) {
	if e.Kind != kill.KindSignal && e.Kind != kill.KindAbend {
		return
	}
	s := &strike{Event: e}
	for i := range e.Targets {
		if target := &e.Targets[i]; target.PID != 0 {
			t.struck(s, target)
		}
	}
	if s.call != nil && s.call.release() {
		t.finish(s.call) // all that were begun have ended meanwhile
	}
}

// strike is an event while its targets are looked at, one after the other.
type strike struct {
	*kill.Event
	// copied is a copy of the sender, call what the targets have in common, both made
	// when they are needed.
	copied *kill.Process
	call   *call
}

// sender returns what the episodes keep of the sender.
func (s *strike) sender(last *kill.Process) *kill.Process {
	if last != nil && last.PID == s.Sender.PID && last.ThreadID == s.Sender.ThreadID &&
		last.Command == s.Sender.Command && last.Title == s.Sender.Title && last.Instance == s.Sender.Instance {
		return last
	}
	if s.copied == nil {
		sender := s.Sender
		s.copied = &sender
	}
	return s.copied
}

func (t *Table) struck(s *strike, target *kill.Process) {
	ep, another := t.find(s.Event, target)
	switch {
	case ep != nil:
		t.add(s, ep, target)
	case another || t.buried(target, startOf(target)) || !fatal(s.Event, target):
		return
	default:
		if ep = t.begin(s, target); ep == nil {
			return
		}
	}
	if target.ThreadID == 0 || target.ThreadID == target.PID || target.Leader != "" {
		ep.LastName = nameOf(target)
	}
	target.Span = ep.Span
	t.changed = true
}

// add adds a signal to an open episode.
func (t *Table) add(s *strike, ep *episode, target *kill.Process) {
	limit, before := maxSignals, ep.signals.len()
	if t.held >= maxHeld {
		limit = fewSignals
	}
	ep.add(s.Event, target, s.sender(ep.signals.last().Sender), limit)
	t.held += ep.signals.len() - before
}

// find returns the episode of a target; nil if it has none. It is another's if the pid
// has been used again since the event.
func (t *Table) find(e *kill.Event, target *kill.Process) (ep *episode, another bool) {
	ep = t.open[target.PID]
	if ep == nil {
		return nil, false
	}
	start := startOf(target)
	switch {
	case start != 0 && ep.start != 0 && start < ep.start:
		return nil, true
	case start != 0 && ep.start != 0 && start > ep.start, // so it has ended, whether that was told or not
		start == 0 && !ep.Ended.IsZero() && e.Time.After(ep.Ended.Add(reused)):
		t.giveUp(ep)
		t.close(ep, ep.outcome())
		return nil, false
	}
	return ep, false
}

// startOf returns when a target was created; 0 if the event does not tell.
func startOf(target *kill.Process) time.Duration {
	if target.Instance == nil {
		return 0
	}
	return target.Instance.SinceBoot
}

// begin begins an episode. It returns nil if the process cannot be followed.
func (t *Table) begin(s *strike, target *kill.Process) *episode {
	now := t.now()
	if t.watched.Load() >= MaxWatches && !t.sweep(now) {
		t.drop(target.PID, errTooMany)
		return nil
	}
	whom := Target{
		PID: target.PID, Start: startOf(target), Command: target.Command,
		At: t.config.SinceBoot() - now.Sub(s.Time), Killed: s.Signal == kill.SIGKILL,
	}
	start, err := t.config.Exits.Follow(whom)
	gone := errors.Is(err, ErrGone)
	if err != nil && !gone {
		t.drop(target.PID, err)
		return nil
	}
	if gone {
		start = whom.Start
	}
	// A zombie is buried, or nobody has followed it and it only ignores what it is sent.
	if t.buried(target, start) || s.DeliveryTo(target) == kill.DeliveryIgnored && !t.config.Exits.Lives(target.PID, start) {
		t.config.Exits.Forget(target.PID)
		return nil
	}
	// The time of an event is not to be trusted while the clock is being set.
	age := min(max(now.Sub(s.Time), 0), t.config.Timeout/2)
	ep := &episode{pid: target.PID, start: start, due: now.Add(t.config.Timeout - age)}
	ep.Target, ep.Source = *target, s.Source
	ep.begin(s.Event, target, s.sender(nil))
	// It is the process that ends, whichever of its threads was addressed.
	ep.Target.Command, ep.Target.ThreadID = nameOf(target), target.PID
	ep.Target.Original, ep.Target.Delivery, ep.Span = "", kill.DeliveryUnknown, t.span(s, ep)
	t.watch(ep)
	t.held += ep.signals.len()
	if gone {
		t.end(ep, now, kill.Exit{}, "")
	}
	return ep
}

// span returns the span of an episode that begins.
func (t *Table) span(s *strike, ep *episode) kill.Span {
	var trace [16]byte
	switch {
	case s.TargetCount > 1 || len(s.Targets) > 1:
		ep.call = t.callOf(s)
		ep.call.open++
		trace = ep.call.Span.Trace
	case ep.start != 0:
		trace = t.ids.instance(ep.pid, ep.start)
	default:
		trace = t.ids.call(s.Event, ep.pid)
	}
	return kill.Span{Trace: trace, ID: t.ids.termination(trace, ep.pid, ep.signals.first.Time)}
}

// callOf returns what the targets of a call have in common.
func (t *Table) callOf(s *strike) *call {
	if s.call == nil {
		trace := t.ids.call(s.Event, 0)
		e := *s.Event
		e.Targets, e.Original = nil, ""
		s.call = &call{open: 1, callStory: callStory{ // until all targets were looked at
			Span: kill.Span{Trace: trace, ID: t.ids.root(trace)}, Event: &e, Verdicts: map[kill.Verdict]int{},
		}}
		t.calls[s.call.Span] = s.call
	}
	return s.call
}

// watch takes an episode in.
func (t *Table) watch(ep *episode) {
	t.open[ep.pid] = ep
	ep.move(t.waiting, ep.due)
	t.watched.Add(1)
	t.changed = true
}

func (t *Table) drop(pid int, err error) {
	t.dropped.Add(1)
	t.config.Warn(&problem.Problem{
		What: "the outcome of a process will not be known", Err: err, Details: []problem.Detail{{Name: "pid", Value: pid}},
	})
}
