// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// MaxWatched bounds the processes that are followed at a time. Few hosts have
	// more that take their time to die; each takes a kilobyte and, with the audit
	// sources, a file descriptor.
	MaxWatched = 4096
	// maxEnded bounds those that have ended, while signals to them may still come.
	maxEnded = 4096
	// lateness is how long after the end of a process a signal to it may still come
	// from the audit system, where a call to many takes a while to be put together.
	lateness = 500 * time.Millisecond
	// reused is how much later than the end of a process a signal must have been sent
	// to be for another one with the same pid, as audit records bear the time of the
	// kernel's last tick.
	reused = 50 * time.Millisecond
)

// Config says how to follow processes.
type Config struct {
	// Timeout is how long after its first fatal signal a process is waited for.
	Timeout time.Duration
	// HostID and BootID name the host and this life of it.
	HostID, BootID string
	// Exits tells of the ends of processes. Punctual is true if it does so only after
	// all signals to them were told.
	Exits    Exits
	Punctual bool
	// SinceBoot tells how long the host runs.
	SinceBoot func() time.Duration
	Logger    *zap.Logger
}

// Table holds the episodes that are open. It is not safe for concurrent use, but for
// Counts.
type Table struct {
	config Config
	ids    *ids
	now    func() time.Time

	open map[int]*episode
	// waiting are those whose process lives, ended those whose process has ended, both
	// by the time at which they are due.
	waiting, ended *list.List
	calls          map[kill.Span]*call
	told           []*kill.Event
	changed        bool

	watched, dropped atomic.Int64
}

// NewTable returns a table that follows nobody yet.
func NewTable(config Config) *Table {
	return &Table{
		config: config, ids: newIDs(config.HostID, config.BootID), now: time.Now,
		open: map[int]*episode{}, waiting: list.New(), ended: list.New(), calls: map[kill.Span]*call{},
	}
}

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
}

// strike is an event while its targets are looked at, one after the other.
type strike struct {
	*kill.Event
	// sender is a copy of its own, call what its targets have in common, both made
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
	if ep == nil {
		if another || !fatal(s.Event) {
			return
		}
		if ep = t.begin(s, target); ep == nil {
			return
		}
	}
	var last *kill.Process
	if n := len(ep.Signals); n > 0 {
		last = ep.Signals[n-1].Sender
	}
	ep.add(s.Event, s.sender(last))
	target.Span = ep.Span
	t.changed = true
}

// find returns the episode of a target; nil if it has none. It is another's if the pid
// has been used again since the event.
func (t *Table) find(e *kill.Event, target *kill.Process) (ep *episode, another bool) {
	ep = t.open[target.PID]
	if ep == nil {
		return nil, false
	}
	var start time.Duration
	if target.Instance != nil {
		start = target.Instance.SinceBoot
	}
	switch {
	case start != 0 && ep.start != 0 && start < ep.start:
		return nil, true
	case start != 0 && ep.start != 0 && start > ep.start, // so it has ended, whether that was told or not
		start == 0 && !ep.Ended.IsZero() && e.Time.After(ep.Ended.Add(reused)):
		t.miss(ep)
		t.close(ep, ep.outcome())
		return nil, false
	}
	return ep, false
}

// begin begins an episode. It returns nil if the process cannot be followed.
func (t *Table) begin(s *strike, target *kill.Process) *episode {
	if t.watched.Load() >= MaxWatched {
		t.drop(target.PID, errors.New("too many processes are followed"))
		return nil
	}
	now := t.now()
	whom := Target{PID: target.PID, Command: target.Command, At: t.config.SinceBoot() - now.Sub(s.Time)}
	if target.Instance != nil {
		whom.Start = target.Instance.SinceBoot
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
	ep := &episode{pid: target.PID, start: start, due: t.dueAt(now, s.Time)}
	ep.Target, ep.Source, ep.Began, ep.First = *target, s.Source, s.Time, s.Signal
	ep.Target.Original, ep.Span = "", t.span(s, ep)
	t.watch(ep)
	if gone {
		t.end(ep, now, kill.Exit{}, "")
	}
	return ep
}

// dueAt returns when an episode that began then is not waited for any more, whoever
// sets the clock meanwhile.
func (t *Table) dueAt(now, began time.Time) time.Time {
	return now.Add(t.config.Timeout - min(max(now.Sub(began), 0), t.config.Timeout))
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
	return kill.Span{Trace: trace, ID: t.ids.termination(trace, ep.pid, ep.Began)}
}

// callOf returns what the targets of a call have in common.
func (t *Table) callOf(s *strike) *call {
	if s.call == nil {
		trace := t.ids.call(s.Event, 0)
		e := *s.Event
		e.Targets, e.Original = nil, ""
		s.call = &call{callStory: callStory{
			Span: kill.Span{Trace: trace, ID: t.ids.root(trace)}, Event: &e, Verdicts: map[kill.Verdict]int{},
		}}
		t.calls[s.call.Span] = s.call
	}
	return s.call
}

// watch takes an episode in.
func (t *Table) watch(ep *episode) {
	t.open[ep.pid] = ep
	ep.place = t.waiting.PushBack(ep)
	t.watched.Add(1)
	t.changed = true
}

func (t *Table) drop(pid int, err error) {
	t.dropped.Add(1)
	t.config.Logger.Warn("what becomes of a process will not be told", zap.Int("pid", pid), zap.Error(err))
}

// Exited takes an event of kill.KindExit.
func (t *Table) Exited(e *kill.Event) {
	target := &e.Targets[0]
	ep := t.open[target.PID]
	if ep == nil || !ep.Ended.IsZero() || target.Instance == nil || target.Instance.SinceBoot != ep.start {
		return
	}
	t.end(ep, e.Time, *e.Exit, target.Command)
	if t.config.Punctual {
		t.close(ep, ep.outcome())
	}
}

// end notes that a process has ended.
func (t *Table) end(ep *episode, at time.Time, exit kill.Exit, name string) {
	if !ep.Ended.IsZero() {
		return
	}
	t.changed = true
	t.watched.Add(-1)
	t.waiting.Remove(ep.place)
	ep.end(at, exit, name)
	ep.closes = t.now().Add(lateness)
	ep.place = t.ended.PushBack(ep)
	if t.ended.Len() > maxEnded {
		t.closeOldest()
	}
}

// miss notes that a process has ended without anybody being told, as something was
// lost.
func (t *Table) miss(ep *episode) {
	if ep.Ended.IsZero() {
		t.config.Exits.Forget(ep.pid)
		t.end(ep, t.now(), kill.Exit{}, "")
	}
}

// closeOldest tells the outcome of who has ended first.
func (t *Table) closeOldest() {
	ep := t.ended.Front().Value.(*episode)
	t.close(ep, ep.outcome())
}

// close ends an episode with what is told of it.
func (t *Table) close(ep *episode, e *kill.Event) {
	t.changed = true
	if t.open[ep.pid] == ep {
		delete(t.open, ep.pid)
	}
	if ep.Ended.IsZero() {
		t.watched.Add(-1)
		t.waiting.Remove(ep.place)
		t.config.Exits.Forget(ep.pid)
	} else {
		t.ended.Remove(ep.place)
	}
	t.told = append(t.told, e)
	if ep.call == nil {
		return
	}
	if whole := ep.call.close(e); whole != nil {
		delete(t.calls, ep.call.Span)
		t.told = append(t.told, whole)
	}
}

// Expire ends what is due.
func (t *Table) Expire() {
	now := t.now()
	for t.ended.Len() > 0 && !t.ended.Front().Value.(*episode).closes.After(now) {
		t.closeOldest()
	}
	for t.waiting.Len() > 0 {
		ep := t.waiting.Front().Value.(*episode)
		if ep.due.After(now) {
			break
		}
		if t.config.Exits.Lives(ep.pid, ep.start) {
			t.close(ep, ep.tell(kill.VerdictSurvived, now))
		} else {
			t.miss(ep)
		}
	}
}

// Next returns when Expire has something to do; the zero time if nothing is open.
func (t *Table) Next() time.Time {
	var next time.Time
	if t.ended.Len() > 0 {
		next = t.ended.Front().Value.(*episode).closes
	}
	if t.waiting.Len() > 0 {
		if due := t.waiting.Front().Value.(*episode).due; next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// Settle tells the outcomes of all that have ended, though signals to them may still
// come.
func (t *Table) Settle() {
	for t.ended.Len() > 0 {
		t.closeOldest()
	}
}

// Abandon gives up those that live: it is not known what will become of them.
func (t *Table) Abandon() {
	for t.waiting.Len() > 0 {
		ep := t.waiting.Front().Value.(*episode)
		t.close(ep, ep.tell(kill.VerdictUnknown, t.now()))
	}
}

// Take returns the outcomes that have come about since it was last called: events of
// kill.KindOutcome and kill.KindCall.
func (t *Table) Take() []*kill.Event {
	told := t.told
	t.told = nil
	return told
}

// Changed reports whether there is something to Save.
func (t *Table) Changed() bool { return t.changed }

// Watched returns how many processes are followed.
func (t *Table) Watched() int64 { return t.watched.Load() }

// Dropped returns how many could not be followed, since the start.
func (t *Table) Dropped() int64 { return t.dropped.Load() }
