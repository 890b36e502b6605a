// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// maxHeld is how many signals of the host's systemd wait at most for what is behind them: to the processes of the
	// largest unit, or of all units at a shutdown. What is beyond goes on without.
	maxHeld = 4096
	// maxHeldOfOne is how many one other systemd may have wait, and maxHeldOfOthers how many all of these, so that no user and no
	// container lets the signals of others go on without.
	maxHeldOfOne, maxHeldOfOthers = 512, 2048
	// maxBlocked is how many observations wait at most together with those that are behind one about the same process. At half
	// of that, no signals wait any longer but those of the host's systemd.
	maxBlocked = 4 * maxHeld
	// hostInit is the pid of the host's systemd.
	hostInit = 1
	// reconsiderPause is the minimum pause between looks at what waits, however many facts arrive. If a look takes long,
	// the pause does, too.
	reconsiderPause = 5 * time.Millisecond
)

// behind finds out what is behind signals; nil does not. Its fields are used only while Capture.busy is held,
// but for missed and wake.
type behind struct {
	table   *attribution.Table
	timeout time.Duration
	// waits is true if events may wait here. Those of a log wait in their source.
	waits bool
	// limits knows from the kernel's log which limit was reached; nil if the source sees that itself, or if nothing can.
	limits *limits
	// held waits, oldest first; pids counts in how many of them a process is a target or has ended.
	held []held
	pids map[int]int
	// bySender counts those that wait for more to be known, by the pid of the sender, and others all but those of the host's
	// systemd.
	bySender map[int]int
	others   int
	// missed counts the events of managers of which nothing more was known in time.
	missed *atomic.Int64
	// panics contains a panic while an event is explained; nil does not.
	panics *panics.Guard
	// wake holds a token when facts have arrived, or something begins to wait.
	wake chan struct{}
}

// held is an observation that waits until more is known of it, or for an earlier one with the same target.
type held struct {
	source.Observation
	// due is when it goes on at the latest, if nothing before it waits for its target; zero if it waits for
	// nothing else.
	due time.Time
	// heard is what Reconsider has returned for it.
	heard uint64
}

// openBehind prepares to find out what is behind signals, if that is wanted.
func (c *Capture) openBehind() {
	s := &c.settings
	if !s.Attribution.Enabled {
		return
	}
	config := attribution.Config{
		Processes: c.processes,
		Live:      c.traits.Live,
		Session: func(of int, id string) (attribution.Login, bool) {
			if c.managers == nil {
				return attribution.Login{}, false
			}
			return c.managers.Session(of, id)
		},
		Local: func(node string) bool { return machine.Same(node, s.Host.Name) },
		// Only the host writes audit records, which name no process.
		Name: func(p *kill.Process) {
			c.processes.NameLate(p)
			c.users.NameProcess(p, p.Instance == nil)
		},
	}
	c.behind = newBehind(attribution.New(config), s.Attribution.Timeout, c.traits.Live, &c.counts.AttributionMissed)
	c.behind.panics = c.panics
}

func newBehind(table *attribution.Table, timeout time.Duration, waits bool, missed *atomic.Int64) *behind {
	return &behind{
		table: table, timeout: timeout, waits: waits, pids: map[int]int{}, bySender: map[int]int{}, missed: missed,
		wake: make(chan struct{}, 1),
	}
}

// learn takes note of a fact. It is called from any goroutine.
func (b *behind) learn(f *attribution.Fact) {
	if b == nil {
		return
	}
	b.table.Learn(f)
	b.rouse()
}

// learnLimits takes note of kills that the kernel's log tells of. It is called from any goroutine.
func (b *behind) learnLimits(kills []*kill.Event) {
	for _, e := range kills {
		b.limits.learn(e)
	}
	b.rouse()
}

func (b *behind) rouse() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake already
	}
}

// hold explains an event, and keeps it if it has to wait. An event or an end also waits for what is before
// it, if that is about the same process.
func (b *behind) hold(o source.Observation, now time.Time) bool {
	if b == nil {
		return false
	}
	h := held{Observation: o}
	if o.Event != nil && !b.explain(&h, true) {
		h.due = now.Add(b.timeout)
	}
	if h.due.IsZero() && !b.blocked(o) {
		return false
	}
	if !h.due.IsZero() && !b.mayWait(o.Event) {
		b.countMissed(o.Event)
		h.due = time.Time{}
		if !b.blocked(o) {
			return false
		}
	}
	return b.keep(h, now)
}

// mayWait reports whether an event may wait until more is known of it.
func (b *behind) mayWait(e *kill.Event) bool {
	count := b.bySender[e.Sender.PID]
	if e.Sender.PID == hostInit {
		return b.waits && count < maxHeld
	}
	return b.waits && count < maxHeldOfOne && b.others < maxHeldOfOthers
}

// explain explains an event, and reports whether nothing more is to be expected. It does so only if something was told
// meanwhile, or anyway. A panic costs only what could be said of the event.
func (b *behind) explain(h *held, anyway bool) (settled bool) {
	defer b.panics.Contain("finding out what is behind an event")
	if anyway {
		h.heard = 0
	}
	settled = b.limits.settle(h.Event)
	explained, heard := b.table.Reconsider(h.Event, h.heard)
	h.heard = heard
	return settled && explained
}

func (b *behind) keep(h held, now time.Time) bool {
	if n := len(b.held); n >= maxBlocked/2 && n%(maxBlocked/8) == 0 { // not each time: it takes a while
		b.hurry(now, n >= maxBlocked)
	}
	if !h.due.IsZero() {
		b.bySender[h.Event.Sender.PID]++
		if h.Event.Sender.PID != hostInit {
			b.others++
		}
	}
	b.held = append(b.held, h)
	eachPID(h.Observation, func(pid int) { b.pids[pid]++ })
	b.rouse()
	return true
}

// hurry has signals wait no longer because somebody sends too many to what waits: all, or all but those of the host's systemd.
func (b *behind) hurry(now time.Time, all bool) {
	for i := range b.held {
		h := &b.held[i]
		if h.due.After(now) && (all || h.Event.Sender.PID != hostInit) {
			h.due = now
		}
	}
}

// holds reports whether something waits that a function is true for.
func (b *behind) holds(what func(source.Observation) bool) bool {
	return b != nil && slices.ContainsFunc(b.held, func(h held) bool { return what(h.Observation) })
}

// blocked reports whether something waits that is about the same process.
func (b *behind) blocked(o source.Observation) (blocked bool) {
	if len(b.pids) == 0 {
		return false
	}
	eachPID(o, func(pid int) { blocked = blocked || b.pids[pid] > 0 })
	return blocked
}

// eachPID calls a function with the processes whose order an observation matters to.
func eachPID(o source.Observation, call func(pid int)) {
	switch {
	case o.End != nil:
		call(o.End.PID)
	case o.Event != nil:
		for i := range o.Event.Targets {
			call(o.Event.Targets[i].PID)
		}
	}
}

// release removes what need not wait any longer, and returns it in its order.
func (b *behind) release(now time.Time) []source.Observation {
	if b == nil {
		return nil
	}
	var ready []source.Observation
	waiting := b.held[:0]
	blocked := map[int]bool{}
	for _, h := range b.held {
		stays := false
		eachPID(h.Observation, func(pid int) { stays = stays || blocked[pid] })
		if !h.due.IsZero() && !stays {
			due := !now.Before(h.due)
			settled := b.explain(&h, due)
			stays = !settled && !due
			if !settled && !stays {
				b.countMissed(h.Event)
			}
		}
		if stays {
			eachPID(h.Observation, func(pid int) { blocked[pid] = true })
			waiting = append(waiting, h)
			continue
		}
		ready = append(ready, h.Observation)
		if !h.due.IsZero() {
			uncount(b.bySender, h.Event.Sender.PID)
			if h.Event.Sender.PID != hostInit {
				b.others--
			}
		}
		eachPID(h.Observation, func(pid int) { uncount(b.pids, pid) })
	}
	clear(b.held[len(waiting):])
	b.held = waiting
	return ready
}

func uncount(counts map[int]int, pid int) {
	counts[pid]--
	if counts[pid] <= 0 {
		delete(counts, pid)
	}
}

// next returns how long nothing has to be looked at unless facts arrive; 0 if nothing waits.
func (b *behind) next(now time.Time) time.Duration {
	var first time.Time
	for _, h := range b.held {
		if !h.due.IsZero() && (first.IsZero() || h.due.Before(first)) {
			first = h.due
		}
	}
	if first.IsZero() {
		return 0
	}
	return max(first.Sub(now), time.Millisecond)
}

// countMissed counts an event of a manager of which nothing more is known.
func (b *behind) countMissed(e *kill.Event) {
	if e != nil && e.Behind != nil && e.Behind.Managed && !e.Cause.Managed() && e.Behind.Requester == nil {
		b.missed.Add(1)
	}
}

// waitFor returns for how long after an event of a log there may be records that explain it: systemd writes
// SERVICE_STOP once the service has stopped.
func (c *Capture) waitFor(e *kill.Event) time.Duration {
	if !attribution.Managed(e) {
		return 0
	}
	return c.settings.Attribution.Timeout
}

// releaseHeld passes on what waits, as soon as it need not any more, until ctx is done.
func (c *Capture) releaseHeld(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wait := reconsiderPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.behind.wake:
			// More facts come with these.
			pause := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				pause.Stop()
				return
			case <-pause.C:
			}
		case <-timer.C:
		}
		began := time.Now()
		if next := c.passReady(began); next > 0 {
			timer.Reset(next)
		}
		wait = max(reconsiderPause, time.Since(began))
	}
}

// passReady passes on what need not wait any longer, and returns when to look again; 0 if nothing waits.
func (c *Capture) passReady(now time.Time) time.Duration {
	c.busy.Lock()
	defer c.busy.Unlock()
	ready := c.behind.release(now)
	for _, o := range ready {
		if c.pass(o) != nil {
			c.refused = true
			return 0 // shutting down
		}
	}
	if len(ready) > 0 {
		c.refused = c.handler.Flush() != nil || c.refused // it reports itself what it cannot deliver any more
		c.outcomes.schedule()
	}
	return c.behind.next(now)
}

// passHeld passes on all that waits, at the end.
func (c *Capture) passHeld() {
	if c.behind == nil {
		return
	}
	c.passReady(time.Now().Add(c.behind.timeout))
}
