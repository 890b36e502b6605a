// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package signaltrace

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// oomWindow is how far apart the signal that the OOM killer sends and its naming of
	// the victim may be: it does one right after the other (mm/oom_kill.c,
	// __oom_kill_process), and may be interrupted in between.
	oomWindow = 20 * time.Millisecond
	// quiet is how long a call to a group may pause before it is taken for ended, where
	// its end is not seen.
	quiet = 100 * time.Millisecond
)

// assemblerConfig says how records become events.
type assemblerConfig struct {
	// timeout is how long the end of a call is waited for, maxPending how many calls may
	// be waited for.
	timeout    time.Duration
	maxPending int
	// seesEnds is true if the end of a call is told.
	seesEnds bool
	// partial is true if the kernel leaves out processes that nobody asked for, so that
	// a call without a target is none of interest.
	partial bool
}

// assembler makes events of records. A signal to one process is an event of its own;
// the signals to a group are one event, and wait for the end of the call.
type assembler struct {
	config assemblerConfig
	events *events
	emit   func(*kill.Event)

	// groups are the calls that go on, by the thread that makes them.
	groups map[uint32]*group
	// held are kills by the kernel that may turn out to be the OOM killer's, oldest
	// first.
	held    []held
	victims []victim

	// lostSoFar returns for how many signals the ring has had no room; lostBefore is
	// how many that were when it was last empty, so that no record in it is from before.
	lostSoFar  func() uint64
	lostBefore uint64

	counts counts
}

// counts is what has happened since the start.
type counts struct{ records, malformed, incomplete, evicted int64 }

// group is a call that strikes any number of processes.
type group struct {
	event *kill.Event
	call  kernelCall
	// last is the time of its last record, since boot.
	last time.Duration
	// lostBefore is what the assembler's was when it began.
	lostBefore uint64
}

// held is an event that waits for the OOM killer to say whom it has chosen.
type held struct {
	event *kill.Event
	at    time.Duration
	// thread is that in whose time the signal was sent.
	thread uint32
}

// victim is whom the OOM killer has chosen.
type victim struct {
	pid, thread uint32
	at          time.Duration
}

func newAssembler(config assemblerConfig, events *events, emit func(*kill.Event)) *assembler {
	return &assembler{
		config: config, events: events, emit: emit, groups: map[uint32]*group{}, lostSoFar: func() uint64 { return 0 },
	}
}

// add takes one record.
func (a *assembler) add(raw []byte) {
	a.counts.records++
	if len(raw) == 0 || !a.take(raw[0], raw) {
		a.counts.malformed++
	}
}

func (a *assembler) take(kind byte, raw []byte) bool {
	switch kind {
	case kindSignal, kindCall, kindDeath:
		r := whole[kernelSignalRecord](raw)
		if r == nil {
			return false
		}
		a.signal(r)
	case kindVictim:
		r := whole[kernelVictimRecord](raw)
		if r == nil {
			return false
		}
		a.victim(victim{pid: r.Pid, thread: r.Thread, at: time.Duration(r.Time)})
	default:
		return a.life(kind, raw)
	}
	return true
}

// life tells the process table what has become of a process.
func (a *assembler) life(kind byte, raw []byte) bool {
	table := a.events.processes
	switch kind {
	case kindFork:
		r := whole[kernelForkRecord](raw)
		if r == nil {
			return false
		}
		table.Fork(key(&r.Parent), key(&r.Child))
	case kindExec:
		x, ok := viewExec(raw)
		if !ok {
			return false
		}
		a.events.exec(&x)
	case kindExit:
		r := whole[kernelExitRecord](raw)
		if r == nil {
			return false
		}
		table.Exit(key(&r.Identity))
	case kindCgroup:
		r, path, ok := viewCgroup(raw)
		if !ok {
			return false
		}
		table.MadeCgroup(cgroup(&r.Group), string(path))
	default:
		return false
	}
	return true
}

func (a *assembler) signal(r *kernelSignalRecord) {
	at := time.Duration(r.Time)
	switch {
	case r.Kind == kindDeath:
		a.emit(a.events.death(r))
	case r.Kind == kindCall:
		a.ended(r)
	case byCall(r) && forMany(&r.Call):
		a.join(r)
	case r.Special == infoPriv && kill.Signal(r.Signal) == kill.SIGKILL:
		a.hold(held{event: a.events.signal(r), at: at, thread: r.Sender.Thread})
	default:
		a.emit(a.events.signal(r))
	}
}

// forMany reports whether a call may strike more than one process.
func forMany(c *kernelCall) bool {
	return c.Number == callKill && c.Pid <= 0 || c.Number == callPidfd && c.Flags == pidfdGroup
}

// join adds a target to the call that strikes it.
func (a *assembler) join(r *kernelSignalRecord) {
	g := a.groups[r.Sender.Thread]
	if g != nil && (g.call != r.Call || g.event.Targets[0].PID == int(r.Target.Identity.Pid)) {
		// The next call: none strikes anybody twice.
		a.close(r.Sender.Thread, !a.config.seesEnds)
		g = nil
	}
	if g == nil {
		if len(a.groups) >= a.config.maxPending {
			a.evict()
		}
		a.groups[r.Sender.Thread] = &group{
			event: a.events.signal(r), call: r.Call, last: time.Duration(r.Time), lostBefore: a.lostBefore,
		}
		return
	}
	g.last = time.Duration(r.Time)
	a.events.addTarget(g.event, &r.Target)
	if g.event.Delivery != deliveryOf(r.Result) {
		g.event.Delivery = kill.DeliveryUnknown // not the same for all
	}
}

// ended takes the end of a call.
func (a *assembler) ended(r *kernelSignalRecord) {
	thread := r.Sender.Thread
	g := a.groups[thread]
	switch {
	case g != nil && g.call == r.Call:
		a.close(thread, true)
	case r.Result < 0 || r.Call.Signal == 0:
		a.emit(a.events.call(r))
	case !a.config.partial:
		// It has struck somebody, and the ring had no room to tell whom.
		e := a.events.call(r)
		e.TargetCount = -1
		a.incomplete(e)
		a.emit(e)
	}
}

// close emits the event of a call.
func (a *assembler) close(thread uint32, complete bool) {
	g := a.groups[thread]
	e := g.event
	delete(a.groups, thread)
	// The order in which the kernel strikes them means nothing; sorted, an event is the
	// same as the audit source's.
	slices.SortFunc(e.Targets, func(a, b kill.Process) int { return a.PID - b.PID })
	e.TargetCount = len(e.Targets)
	if a.config.partial {
		e.TargetCount = -1 // the kernel has told of some only
	}
	if !complete || a.lostSoFar() != g.lostBefore {
		a.incomplete(e)
	}
	a.emit(e)
}

func (a *assembler) incomplete(e *kill.Event) {
	if e.Complete {
		e.Complete = false
		a.counts.incomplete++
	}
}

// evict makes room by closing the call that has waited longest.
func (a *assembler) evict() {
	var oldest uint32
	var last time.Duration
	for thread, g := range a.groups {
		if oldest == 0 || g.last < last {
			oldest, last = thread, g.last
		}
	}
	a.counts.evicted++
	a.close(oldest, false)
}

// dropped says that there was no room for events: each call that goes on may have
// struck somebody else.
func (a *assembler) dropped() {
	for _, g := range a.groups {
		a.incomplete(g.event)
	}
}

// hold keeps a kill back until it is known whether it is the OOM killer's.
func (a *assembler) hold(h held) {
	for _, v := range a.victims {
		if v.struck(h) {
			h.event.Cause = kill.CauseOOM
			h.event.Sender = kill.Process{} // who needed memory has killed nobody
			a.emit(h.event)
			return
		}
	}
	a.held = append(a.held, h)
}

// victim takes whom the OOM killer has chosen. Everybody else that shares the
// victim's memory is killed by the same thread right afterwards.
func (a *assembler) victim(v victim) {
	a.victims = append(a.victims, v)
	waiting := a.held
	a.held = nil
	for _, h := range waiting {
		a.hold(h)
	}
}

func (v victim) struck(h held) bool {
	apart := (v.at - h.at).Abs()
	return apart < oomWindow && (int(v.pid) == h.event.Targets[0].PID || v.thread == h.thread)
}

// expire emits what has waited for long enough, now being the time since boot up to
// which everything has been read. It returns how long to wait until it is due again,
// or 0 if nothing waits.
func (a *assembler) expire(now time.Duration) time.Duration {
	for len(a.held) > 0 && now-a.held[0].at >= oomWindow {
		a.emit(a.held[0].event)
		a.held = a.held[1:]
	}
	for len(a.victims) > 0 && now-a.victims[0].at >= 2*oomWindow {
		a.victims = a.victims[1:]
	}
	patience := a.config.timeout
	if !a.config.seesEnds {
		patience = quiet
	}
	var next time.Duration
	sooner := func(due time.Duration) {
		if wait := max(due-now, time.Millisecond); next == 0 || wait < next {
			next = wait
		}
	}
	if len(a.held) > 0 {
		sooner(a.held[0].at + oomWindow)
	}
	for thread, g := range a.groups {
		if now-g.last >= patience {
			a.close(thread, !a.config.seesEnds)
			continue
		}
		sooner(g.last + patience)
	}
	return next
}

// flush emits all that waits.
func (a *assembler) flush() {
	for _, h := range a.held {
		a.emit(h.event)
	}
	a.held = nil
	for thread := range a.groups {
		a.close(thread, false)
	}
}

// pending returns how many events wait.
func (a *assembler) pending() int { return len(a.held) + len(a.groups) }
