// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// reuseMargin is how long after the end of a process a signal may seem to be sent and still
// count as one to that process, not as one to its zombie or to another process with its pid:
// audit records have the time of the kernel's last tick.
const reuseMargin = 50 * time.Millisecond

// Signal handles a signal and sets the span of each target. A fatal signal begins an
// episode.
func (t *Table) Signal(e *kill.Event) {
	if e.Kind != kill.KindSignal && e.Kind != kill.KindAbend {
		return
	}
	s := &signal{Event: e}
	for i := range e.Targets {
		if target := &e.Targets[i]; target.PID != 0 {
			t.handle(s, target)
		}
	}
	if s.call != nil && s.call.release() {
		t.finish(s.call) // its episodes were closed meanwhile
	}
}

// signal is an event while its targets are handled, one after the other.
type signal struct {
	*kill.Event
	// copied is a copy of the sender, call is shared by the episodes of all targets. Both are
	// made when they are needed.
	copied *kill.Process
	call   *call
}

// sender returns the sender as an episode keeps it. It is shared with the last signal if
// that had the same sender.
func (s *signal) sender(last *kill.Process) *kill.Process {
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

// handle adds the signal to the episode of a target, or begins one.
func (t *Table) handle(s *signal, target *kill.Process) {
	ep, replaced := t.find(s.Event, target)
	switch {
	case ep != nil && ep.endedBefore(s.Time):
		target.Span = ep.Span // a zombie: the signal changes nothing
		return
	case ep != nil:
		t.add(s, ep, target)
	case replaced || t.setClosedSpan(target, startOf(target)) || !fatal(s.Event, target):
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
func (t *Table) add(s *signal, ep *episode, target *kill.Process) {
	limit, before := maxSignals, ep.signals.len()
	if t.held >= maxHeld {
		limit = fewSignals
	}
	ep.add(s.Event, target, s.sender(ep.signals.last().Sender), limit)
	t.held += ep.signals.len() - before
}

// find returns the open episode of a target; nil if there is none. It reports replaced if a
// later process has the pid now.
func (t *Table) find(e *kill.Event, target *kill.Process) (ep *episode, replaced bool) {
	ep = t.open[target.PID]
	if ep == nil {
		return nil, false
	}
	start := startOf(target)
	switch {
	case start != 0 && ep.start != 0 && start < ep.start:
		return nil, true
	case start != 0 && ep.start != 0 && start > ep.start, // so it has ended, whether or not its end was reported
		start == 0 && ep.endedBefore(e.Time):
		t.endUnreported(ep)
		t.close(ep, ep.endOutcome())
		return nil, false
	}
	return ep, false
}

// endedBefore reports whether the process had certainly ended when a signal was sent.
func (e *episode) endedBefore(sent time.Time) bool {
	return !e.Ended.IsZero() && sent.After(e.Ended.Add(reuseMargin))
}

// startOf returns when a target was created; 0 if the event does not say.
func startOf(target *kill.Process) time.Duration {
	if target.Instance == nil {
		return 0
	}
	return target.Instance.SinceBoot
}

// begin begins an episode. It returns nil if there is none to begin.
func (t *Table) begin(s *signal, target *kill.Process) *episode {
	now := t.now()
	if t.watched.Load() >= MaxWatches && !t.sweep(now) {
		t.warnUnwatched(target.PID, errTooMany)
		return nil
	}
	if user := target.User.ID; !t.hasRoom(user) && (!t.sweep(now) || !t.hasRoom(user)) {
		t.warnUnwatched(target.PID, errTooManyOfUser)
		return nil
	}
	if s.Doubtful(target) && t.watched.Load() >= MaxWatches/2 {
		t.unwatched.Add(1) // the other half is for processes that were certainly struck
		return nil
	}
	watched := Target{
		PID: target.PID, Start: startOf(target), Command: target.Command,
		At: t.config.SinceBoot() - now.Sub(s.Time), Killed: s.Signal == kill.SIGKILL && !s.Doubtful(target),
	}
	start, err := t.config.Exits.Watch(watched)
	gone := errors.Is(err, ErrGone)
	if err != nil && !gone {
		t.warnUnwatched(target.PID, err)
		return nil
	}
	if gone {
		start = watched.Start
	}
	// A zombie has no further outcome: its episode was closed, or it was never watched and
	// ignores what it is sent.
	if t.setClosedSpan(target, start) || s.DeliveryTo(target) == kill.DeliveryIgnored && !t.config.Exits.Alive(target.PID, start) {
		t.config.Exits.Unwatch(target.PID)
		return nil
	}
	// The time of an event may be far off if the clock was set since.
	age := min(max(now.Sub(s.Time), 0), t.config.Timeout/2)
	ep := &episode{pid: target.PID, start: start, due: now.Add(t.config.Timeout - age)}
	ep.Target, ep.Source = *target, s.Source
	ep.begin(s.Event, target, s.sender(nil))
	// The whole process ends, whichever thread was addressed.
	ep.Target.Command, ep.Target.ThreadID = nameOf(target), target.PID
	ep.Target.Original, ep.Target.Delivery, ep.Target.Result = "", kill.DeliveryUnknown, nil
	ep.Span = t.span(s, ep)
	t.watch(ep)
	t.held += ep.signals.len()
	if gone {
		t.end(ep, now, kill.Exit{}, "")
	}
	return ep
}

// hasRoom reports whether another process of a user may be watched. A user who signals many of
// his own processes leaves as much room for all others as he takes; root may take all of it.
func (t *Table) hasRoom(user kill.ID) bool {
	return !user.Known || user.Value == 0 || int64(t.alivePerUser[user]) < MaxWatches-t.watched.Load()
}

// span returns the span of a new episode.
func (t *Table) span(s *signal, ep *episode) kill.Span {
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

// callOf returns the call that the episodes of a signal share.
func (t *Table) callOf(s *signal) *call {
	if s.call == nil {
		trace := t.ids.call(s.Event, 0)
		e := *s.Event
		e.Targets, e.Original = nil, ""
		s.call = &call{open: 1, callState: callState{ // open until all targets are handled
			Span: kill.Span{Trace: trace, ID: t.ids.root(trace)}, Event: &e, Verdicts: map[kill.Verdict]int{},
		}}
		t.calls[s.call.Span] = s.call
	}
	return s.call
}

// watch adds an episode to the table.
func (t *Table) watch(ep *episode) {
	t.open[ep.pid] = ep
	ep.move(t.alive, ep.due)
	t.watched.Add(1)
	t.alivePerUser[ep.Target.User.ID]++
	t.changed = true
}

// warnUnwatched counts and reports a process that cannot be watched.
func (t *Table) warnUnwatched(pid int, err error) {
	t.unwatched.Add(1)
	t.config.Warn(&problem.Problem{
		What: "the outcome of a process will not be known", Err: err, Details: []problem.Detail{{Name: "pid", Value: pid}},
	})
}
