// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxEnded bounds those that have ended, while signals to them may still come.
	maxEnded = 4096
	// lateness is how long after the end of a process a signal to it may still come
	// from the audit system, where a call to many takes a while to be put together.
	lateness = 500 * time.Millisecond
	// grace is how long the end of a process may take to be told after it was found to
	// be gone: the pipeline may have held it up.
	grace = 5 * time.Second
	// sweepInterval is how often it is looked who is gone, if ends were lost or there are
	// too many to follow another one. It takes some 40 ms, if that many are followed.
	sweepInterval = 5 * time.Second
	// maxClosed is how many of those whose outcome was told are remembered: signals are
	// sent to the dead as well, and a zombie can be followed.
	maxClosed = 4096
	// reused is how much later than the end of a process a signal must have been sent
	// to be for another one with the same pid, as audit records bear the time of the
	// kernel's last tick.
	reused = 50 * time.Millisecond
)

var errTooMany = fmt.Errorf("%d processes are followed already: a shorter outcome::timeout, or targets, makes them fewer",
	MaxWatches)

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

// instance is one life of a process.
type instance struct {
	pid   int
	start time.Duration
}

// Table holds the episodes that are open. It is not safe for concurrent use, but for
// Counts.
type Table struct {
	config Config
	ids    *ids
	now    func() time.Time

	open map[int]*episode
	// waiting are those whose process lives, missing those whose process is gone, of
	// which its end may still tell more, and ended those whose process has ended; all by
	// the time at which they are due.
	waiting, missing, ended *list.List
	calls                   map[kill.Span]*call
	// closed are those whose outcome was told, the first one first, and their spans.
	closed   map[instance]kill.Span
	closings []instance
	// held is how many signals all episodes hold, swept when it was last looked who is
	// gone.
	held  int
	swept time.Time
	// doubt is true if ends may not have been told.
	doubt   bool
	told    []*kill.Event
	changed bool

	watched, dropped atomic.Int64
}

// NewTable returns a table that follows nobody yet.
func NewTable(config Config) *Table {
	return &Table{
		config: config, ids: newIDs(config.HostID, config.BootID), now: time.Now,
		open: map[int]*episode{}, waiting: list.New(), missing: list.New(), ended: list.New(),
		calls: map[kill.Span]*call{}, closed: map[instance]kill.Span{},
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
		if another || t.buried(target, startOf(target)) || !fatal(s.Event) {
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
	limit, before := maxSignals, len(ep.Signals)
	if t.held >= maxHeld {
		limit = fewSignals
	}
	ep.add(s.Event, s.sender(last), limit)
	t.held += len(ep.Signals) - before
	if target.ThreadID == 0 || target.ThreadID == target.PID || target.Leader != "" {
		ep.LastName = nameOf(target)
	}
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
	start := startOf(target)
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

// startOf returns when a target was created; 0 if the event does not tell.
func startOf(target *kill.Process) time.Duration {
	if target.Instance == nil {
		return 0
	}
	return target.Instance.SinceBoot
}

// buried reports whether the outcome of a process was told already. What is sent to it
// then belongs to the same span, and changes nothing.
func (t *Table) buried(target *kill.Process, start time.Duration) bool {
	span, ok := t.closed[instance{target.PID, start}]
	if ok {
		target.Span = span
	}
	return ok
}

// bury remembers whose outcome was told.
func (t *Table) bury(ep *episode) {
	who := instance{ep.pid, ep.start}
	if _, ok := t.closed[who]; ok || ep.start == 0 {
		return
	}
	if len(t.closings) >= maxClosed {
		delete(t.closed, t.closings[0])
		t.closings = t.closings[1:]
	}
	t.closed[who] = ep.Span
	t.closings = append(t.closings, who)
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
	} else if t.buried(target, start) { // a zombie
		t.config.Exits.Forget(target.PID)
		return nil
	}
	// The time of an event is not to be trusted while the clock is being set.
	age := min(max(now.Sub(s.Time), 0), t.config.Timeout/2)
	ep := &episode{pid: target.PID, start: start, due: now.Add(t.config.Timeout - age)}
	ep.Target, ep.Source, ep.Began, ep.First = *target, s.Source, s.Time, s.Signal
	ep.Target.Original, ep.Span = "", t.span(s, ep)
	t.watch(ep)
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
	ep.move(t.waiting, ep.due)
	t.watched.Add(1)
	t.changed = true
}

// move puts an episode at the end of a queue.
func (e *episode) move(to *list.List, due time.Time) {
	e.leave()
	e.queue, e.due = to, due
	e.place = to.PushBack(e)
}

func (e *episode) leave() {
	if e.queue != nil {
		e.queue.Remove(e.place)
		e.queue = nil
	}
}

// head returns the first episode of a queue; nil if there is none.
func head(queue *list.List) *episode {
	if queue.Len() == 0 {
		return nil
	}
	return queue.Front().Value.(*episode)
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
	if ep.queue == t.waiting {
		t.watched.Add(-1)
	}
	ep.end(at, exit, name)
	ep.move(t.ended, t.now().Add(lateness))
	if t.ended.Len() > maxEnded {
		t.closeOldest()
	}
}

// sweep looks who is gone, unless it has just done so, and reports whether there is room
// now.
func (t *Table) sweep(now time.Time) bool {
	if now.Sub(t.swept) < sweepInterval {
		return false
	}
	t.swept, t.doubt = now, false
	for place := t.waiting.Front(); place != nil; {
		ep := place.Value.(*episode)
		place = place.Next()
		if !t.config.Exits.Lives(ep.pid, ep.start) {
			t.missed(ep, now)
		}
	}
	return t.watched.Load() < MaxWatches
}

// missed notes that a process is gone, though its end was not told yet.
func (t *Table) missed(ep *episode, now time.Time) {
	t.watched.Add(-1)
	ep.move(t.missing, now.Add(grace))
	if t.missing.Len() > MaxWatches {
		t.miss(head(t.missing))
	}
}

// miss ends an episode of whose end nobody has told, as something was lost.
func (t *Table) miss(ep *episode) {
	if !ep.Ended.IsZero() {
		return
	}
	at := t.now()
	if ep.queue == t.missing {
		at = ep.due.Add(-grace) // when it was found to be gone
	}
	t.config.Exits.Forget(ep.pid)
	ep.Incomplete = true
	t.end(ep, at, kill.Exit{}, "")
}

// closeOldest tells the outcome of who has ended first.
func (t *Table) closeOldest() {
	ep := head(t.ended)
	t.close(ep, ep.outcome())
}

// close ends an episode with what is told of it.
func (t *Table) close(ep *episode, e *kill.Event) {
	t.changed = true
	if t.open[ep.pid] == ep {
		delete(t.open, ep.pid)
	}
	if ep.queue == t.waiting {
		t.watched.Add(-1)
	}
	ep.leave()
	if ep.Ended.IsZero() {
		t.config.Exits.Forget(ep.pid)
	} else {
		t.bury(ep)
	}
	t.held -= len(ep.Signals)
	t.told = append(t.told, e)
	if ep.call == nil {
		return
	}
	if whole := ep.call.close(e); whole != nil {
		delete(t.calls, ep.call.Span)
		t.told = append(t.told, whole)
	}
}

// Doubt says that ends of processes were lost, so that it has to be looked who is gone.
func (t *Table) Doubt() { t.doubt = true }

// Expire ends what is due.
func (t *Table) Expire() {
	now := t.now()
	if t.doubt {
		t.sweep(now)
	}
	for ep := head(t.ended); ep != nil && !ep.due.After(now); ep = head(t.ended) {
		t.closeOldest()
	}
	for ep := head(t.missing); ep != nil && !ep.due.After(now); ep = head(t.missing) {
		t.miss(ep)
	}
	for ep := head(t.waiting); ep != nil && !ep.due.After(now); ep = head(t.waiting) {
		if t.config.Exits.Lives(ep.pid, ep.start) {
			t.close(ep, ep.tell(kill.VerdictSurvived, now))
		} else {
			t.missed(ep, now)
		}
	}
}

// Next returns when Expire has something to do; the zero time if nothing is open.
func (t *Table) Next() time.Time {
	var next time.Time
	for _, queue := range []*list.List{t.ended, t.missing, t.waiting} {
		if ep := head(queue); ep != nil && (next.IsZero() || ep.due.Before(next)) {
			next = ep.due
		}
	}
	if sweep := t.swept.Add(sweepInterval); t.doubt && t.waiting.Len() > 0 && (next.IsZero() || sweep.Before(next)) {
		next = sweep
	}
	return next
}

// Settle tells the outcomes of all that have ended, though signals to them may still
// come.
func (t *Table) Settle() {
	for ep := head(t.missing); ep != nil; ep = head(t.missing) {
		t.miss(ep)
	}
	for t.ended.Len() > 0 {
		t.closeOldest()
	}
}

// Abandon gives up those that live: it is not known what will become of them.
func (t *Table) Abandon() {
	for ep := head(t.waiting); ep != nil; ep = head(t.waiting) {
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

// Unsaved says that what Save has returned could not be kept.
func (t *Table) Unsaved() { t.changed = true }

// Watched returns how many processes are followed.
func (t *Table) Watched() int64 { return t.watched.Load() }

// Dropped returns how many could not be followed, since the start.
func (t *Table) Dropped() int64 { return t.dropped.Load() }
