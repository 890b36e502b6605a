// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxEnded is how many ended processes stay open for late signals at a time.
	maxEnded = 4096
	// lateness is how long after the end of a process a signal to it may still arrive: the
	// audit system takes a while to report a call with many targets.
	lateness = 500 * time.Millisecond
	// grace is how long the report of an end may take after the process was found to be
	// gone: the pipeline may have held it up.
	grace = 5 * time.Second
	// sweepInterval is the shortest time between sweeps. A sweep checks which processes are
	// gone, if ends were lost or too many processes are watched; for that many it takes some
	// 40 ms.
	sweepInterval = 5 * time.Second
)

// Exited records the end of a process.
func (t *Table) Exited(end *kill.End) {
	ep := t.open[end.PID]
	if end.Process != nil && (ep == nil || end.Start != ep.start) {
		t.unsent(end)
		return
	}
	if ep == nil || !ep.Ended.IsZero() || end.Start != ep.start {
		return
	}
	ep.missed = ep.missed || !end.Complete
	t.end(ep, end.Time, end.Exit, end.Command)
	if t.config.Ordered {
		t.close(ep, ep.endOutcome())
	}
}

// end moves an episode to those whose process has ended.
func (t *Table) end(ep *episode, at time.Time, exit kill.Exit, name string) {
	if !ep.Ended.IsZero() {
		return
	}
	t.changed = true
	t.unwatch(ep)
	ep.end(at, exit, name)
	ep.move(t.ended, t.now().Add(lateness))
	if t.ended.Len() > maxEnded {
		t.closeOldest()
	}
}

// unwatch counts the process of an episode as no longer watched, if it was watched.
func (t *Table) unwatch(ep *episode) {
	if ep.queue != t.alive {
		return
	}
	t.watched.Add(-1)
	user := ep.Target.User.ID
	t.alivePerUser[user]--
	if t.alivePerUser[user] == 0 {
		delete(t.alivePerUser, user)
	}
}

// sweep checks which processes are gone, unless it has just done so. It reports whether
// another process can be watched now.
func (t *Table) sweep(now time.Time) bool {
	if now.Sub(t.lastSweep) < sweepInterval {
		return false
	}
	t.lastSweep, t.sweepRequested = now, false
	for place := t.alive.Front(); place != nil; {
		ep := place.Value.(*episode)
		place = place.Next()
		if !t.config.Exits.Alive(ep.pid, ep.start) {
			t.markGone(ep, now)
		}
	}
	return t.watched.Load() < MaxWatches
}

// markGone notes that a process is gone, though its end was not reported yet.
func (t *Table) markGone(ep *episode, now time.Time) {
	t.unwatch(ep)
	ep.move(t.gone, now.Add(grace))
	if t.gone.Len() > MaxWatches {
		t.endUnreported(head(t.gone))
	}
}

// endUnreported records the end of a process whose end was never reported.
func (t *Table) endUnreported(ep *episode) {
	if !ep.Ended.IsZero() {
		return
	}
	at := t.now()
	if ep.queue == t.gone {
		at = ep.due.Add(-grace) // when the process was found to be gone
	}
	t.config.Exits.Unwatch(ep.pid)
	ep.Incomplete = true
	t.end(ep, at, kill.Exit{}, "")
}

// closeOldest closes the episode whose process ended first.
func (t *Table) closeOldest() {
	ep := head(t.ended)
	t.close(ep, ep.endOutcome())
}

// close closes an episode with its outcome event.
func (t *Table) close(ep *episode, e *kill.Event) {
	t.changed = true
	if t.open[ep.pid] == ep {
		delete(t.open, ep.pid)
	}
	t.unwatch(ep)
	ep.leave()
	if who := (instance{ep.pid, ep.start}); ep.Ended.IsZero() {
		t.config.Exits.Unwatch(ep.pid)
		t.survivors.remember(who, t.survivors.known[who]|ep.signals.numbers())
	} else {
		t.closed.remember(who, ep.Span)
	}
	t.held -= ep.signals.len()
	told := ep.told(e.Outcome)
	e.Outcome.Injected = t.injected(ep, e.Outcome)
	if told {
		t.outcomes = append(t.outcomes, e)
	}
	if ep.call == nil {
		return
	}
	if told {
		ep.call.addOutcome(e)
	}
	if ep.call.release() {
		t.finish(ep.call)
	}
}

// injected returns the signal that has ended a process if nobody can have sent it without being seen; 0 otherwise. A process that has
// another name now may have been sent signals that were filtered out.
func (t *Table) injected(ep *episode, o *kill.Outcome) kill.Signal {
	number := o.Exit.Signal()
	seen := ep.signals.numbers() | t.survivors.known[instance{ep.pid, ep.start}]
	if number == 0 || ep.missed || ep.start == 0 || ep.start <= t.survivors.forgotten || o.LastName != "" ||
		t.config.Sees == nil || !t.config.Sees(number) || seen.has(number) {
		return 0
	}
	return number
}

// finish reports a call whose episodes are all closed.
func (t *Table) finish(c *call) {
	delete(t.calls, c.Span)
	if len(c.Verdicts) == 0 {
		return // none of its targets has an outcome that is told
	}
	t.outcomes = append(t.outcomes, c.outcome())
}

// RequestSweep makes Expire check which processes are gone, because ends may have been lost.
func (t *Table) RequestSweep() { t.sweepRequested = true }

// Expire closes what is due.
func (t *Table) Expire() {
	now := t.now()
	if t.sweepRequested {
		t.sweep(now)
	}
	for ep := head(t.ended); ep != nil && !ep.due.After(now); ep = head(t.ended) {
		t.closeOldest()
	}
	for ep := head(t.gone); ep != nil && !ep.due.After(now); ep = head(t.gone) {
		t.endUnreported(ep)
	}
	for ep := head(t.alive); ep != nil && !ep.due.After(now); ep = head(t.alive) {
		if t.config.Exits.Alive(ep.pid, ep.start) {
			t.close(ep, ep.outcome(kill.VerdictSurvived, now))
		} else {
			t.markGone(ep, now)
		}
	}
}

// NextDue returns when Expire has something to do; the zero time if nothing is open.
func (t *Table) NextDue() time.Time {
	var next time.Time
	for _, queue := range []*list.List{t.ended, t.gone, t.alive} {
		if ep := head(queue); ep != nil && (next.IsZero() || ep.due.Before(next)) {
			next = ep.due
		}
	}
	sweep := t.lastSweep.Add(sweepInterval)
	if t.sweepRequested && t.alive.Len() > 0 && (next.IsZero() || sweep.Before(next)) {
		next = sweep
	}
	return next
}

// Settle closes the episodes of all processes that have ended, without waiting for late
// signals or for the report of the end.
func (t *Table) Settle() {
	t.lastSweep = time.Time{}
	t.sweep(t.now())
	for ep := head(t.gone); ep != nil; ep = head(t.gone) {
		t.endUnreported(ep)
	}
	for t.ended.Len() > 0 {
		t.closeOldest()
	}
}

// Abandon closes the episodes of processes that are still alive, with an unknown outcome.
func (t *Table) Abandon() {
	for ep := head(t.alive); ep != nil; ep = head(t.alive) {
		t.close(ep, ep.outcome(kill.VerdictUnknown, t.now()))
	}
}
