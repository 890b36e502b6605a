// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"time"

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
)

// Exited takes the end of a process.
func (t *Table) Exited(end *kill.End) {
	ep := t.open[end.PID]
	if ep == nil || !ep.Ended.IsZero() || end.Start != ep.start {
		return
	}
	t.end(ep, end.Time, end.Exit, end.Command)
	if t.config.Ordered {
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
			t.suspect(ep, now)
		}
	}
	return t.watched.Load() < MaxWatches
}

// suspect notes that a process is gone, though its end was not told yet.
func (t *Table) suspect(ep *episode, now time.Time) {
	t.watched.Add(-1)
	ep.move(t.missing, now.Add(grace))
	if t.missing.Len() > MaxWatches {
		t.giveUp(head(t.missing))
	}
}

// giveUp ends an episode of whose end nobody has told, as something was lost.
func (t *Table) giveUp(ep *episode) {
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
	t.held -= ep.signals.len()
	t.told = append(t.told, e)
	if ep.call != nil && ep.call.close(e) {
		t.finish(ep.call)
	}
}

// finish reports a call of which nothing more will come.
func (t *Table) finish(c *call) {
	delete(t.calls, c.Span)
	t.told = append(t.told, c.outcome())
}

// Doubt requests a check of which processes are gone, as ends may have been lost.
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
		t.giveUp(ep)
	}
	for ep := head(t.waiting); ep != nil && !ep.due.After(now); ep = head(t.waiting) {
		if t.config.Exits.Lives(ep.pid, ep.start) {
			t.close(ep, ep.tell(kill.VerdictSurvived, now))
		} else {
			t.suspect(ep, now)
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
// come, or how they ended.
func (t *Table) Settle() {
	t.swept = time.Time{}
	t.sweep(t.now())
	for ep := head(t.missing); ep != nil; ep = head(t.missing) {
		t.giveUp(ep)
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
