// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/managercall"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// quiet is the pause after which a call to a group is taken to have ended, where its end
// cannot be seen.
const quiet = 100 * time.Millisecond

// assemblerConfig says how records become events.
type assemblerConfig struct {
	// timeout is how long to wait for the end of a call, maxPending how many calls may wait.
	timeout    time.Duration
	maxPending int
	// followFor is how long the end of a process that was signaled is of interest; 0 if it is not.
	followFor time.Duration
	// unexplained is true if ends by a signal are of interest also if no signal was seen, allEnds if
	// all others are, too.
	unexplained, allEnds bool
	// seesEnds is true if the ends of calls are reported.
	seesEnds bool
	// seesHandled is true if it is reported when the OOM killer has killed all that it wants.
	seesHandled bool
	// partial is true if the kernel filters by target, so that a call without a target is
	// of no interest.
	partial bool
}

// assembler makes events from records. A signal to one process is an event of its own. The
// signals to a group are one event, which waits for the end of the call. So are the signals
// of a loop in the kernel, which ends with a pause.
type assembler struct {
	config assemblerConfig
	events *events
	emit   func(source.Observation)

	// groups holds the calls in progress, by the thread that makes them.
	groups map[uint32]*group
	// loops holds the kernel's own kills that are in progress or may turn out to be the OOM
	// killer's, oldest first; current holds the latest of them.
	loops   []*loop
	current map[loopID]*loop
	victims []victim

	exits exits

	// lostSoFar returns how many signals have found no room in the ring, even if they were counted; lostBefore is what
	// that was when the ring was last empty, so that every record in the ring is newer.
	lostSoFar  func() uint64
	lostBefore uint64
	// lastLoss is when signals were last lost, since boot; 0 if never.
	lastLoss time.Duration

	kinds kinds

	// heard is the latest number that the programs have returned (vigil).
	heard uint32

	counts counts
}

// counts is what has happened since the start. requests counts those that were dropped.
type counts struct{ records, malformed, incomplete, evicted, requests int64 }

// group is a call that signals any number of processes.
type group struct {
	event *kill.Event
	call  kernelCall
	// last is the time of its last record, since boot.
	last time.Duration
	// lostBefore is the assembler's lostBefore at the time when the call began.
	lostBefore uint64
}

func newAssembler(config assemblerConfig, events *events, emit func(source.Observation)) *assembler {
	return &assembler{
		config: config, events: events, emit: emit, groups: map[uint32]*group{}, current: map[loopID]*loop{},
		exits: newExits(config.followFor), kinds: kinds{}, lostSoFar: func() uint64 { return 0 },
	}
}

// event emits an event.
func (a *assembler) event(e *kill.Event) { a.emit(source.Observation{Event: e}) }

// add handles one record.
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
		r, path, ok := viewVictim(raw)
		if !ok {
			return false
		}
		a.victim(a.events.victimOf(r, path))
	case kindHandled:
		return a.handled(whole[kernelHandledRecord](raw))
	case kindPulse:
		r := whole[kernelPulseRecord](raw)
		if r == nil {
			return false
		}
		a.heard = r.Number
	case kindConnect, kindMessage:
		r, sent, ok := viewRequest(raw)
		if !ok {
			return false
		}
		a.request(r, sent)
	default:
		return a.life(kind, raw)
	}
	return true
}

// request emits requests: that a process has connected, or the calls that it sends.
func (a *assembler) request(r *kernelRequestRecord, sent []byte) {
	if r.Kind == kindConnect {
		a.emit(source.Observation{Fact: &attribution.Fact{Request: a.events.request(r, nil)}})
		return
	}
	for _, call := range managercall.Parse(sent) {
		a.emit(source.Observation{Fact: &attribution.Fact{Request: a.events.request(r, &call)}})
	}
}

// life updates the process table with what has happened to a process.
func (a *assembler) life(kind byte, raw []byte) bool {
	table := a.events.processes
	switch kind {
	case kindFork:
		r := whole[kernelForkRecord](raw)
		if r == nil {
			return false
		}
		table.Witness(key(&r.Parent), process.Session{Number: r.Session, User: r.Uid})
		table.Fork(key(&r.Parent), key(&r.Child))
	case kindExec:
		x, ok := viewExec(raw)
		if !ok {
			return false
		}
		a.events.exec(&x)
	case kindChanged:
		r := whole[kernelChangedRecord](raw)
		if r == nil {
			return false
		}
		table.Changed(key(&r.Identity), process.Session{Number: r.Session, User: r.Uid})
	case kindExit:
		r := whole[kernelExitRecord](raw)
		if r == nil {
			return false
		}
		a.exit(r)
		table.Exit(key(&r.Identity), a.events.boot.Add(time.Duration(r.Time)))
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
	if r.Kind != kindCall && kill.Signal(r.Signal).Fatal() {
		a.exits.watch(key(&r.Target.Identity), r.Target.Uid, time.Duration(r.Time))
	}
	switch {
	case r.Kind == kindDeath:
		a.event(a.events.death(r))
	case r.Kind == kindCall:
		a.ended(r)
	case byCall(r) && forMany(&r.Call):
		a.join(r)
	case ofLoop(r):
		a.addKill(r)
	default:
		a.event(a.events.signal(r))
	}
}

// forMany reports whether a call may signal more than one process.
func forMany(c *kernelCall) bool {
	return c.Number == callKill && c.Pid <= 0 || c.Number == callPidfd && c.Flags == pidfdGroup
}

// join adds a target to the call that signals it.
func (a *assembler) join(r *kernelSignalRecord) {
	g := a.groups[r.Sender.Thread]
	if g != nil && (g.call != r.Call || g.event.Targets[0].PID == int(r.Target.Identity.Pid)) {
		// This is the next call: no call signals a process twice.
		a.close(r.Sender.Thread, !a.config.seesEnds)
		g = nil
	}
	if g == nil {
		if len(a.groups) >= a.config.maxPending {
			a.evict()
		}
		g = &group{event: a.events.signal(r), call: r.Call, last: time.Duration(r.Time), lostBefore: a.lostBefore}
		a.groups[r.Sender.Thread] = g
		a.exits.await(&g.event.Targets[0])
		return
	}
	g.last = time.Duration(r.Time)
	a.addAnother(g.event, r)
}

// addAnother adds a target to an event that already has one.
func (a *assembler) addAnother(e *kill.Event, r *kernelSignalRecord) {
	a.events.addTarget(e, &r.Target)
	a.exits.await(&e.Targets[len(e.Targets)-1])
	last := len(e.Targets) - 1
	switch delivery := deliveryOf(kill.Signal(r.Signal), r.Result); e.Delivery {
	case delivery:
		return
	case kill.DeliveryUnknown: // it already differs between the targets
	default:
		for i := range last {
			e.Targets[i].Delivery = e.Delivery
		}
		e.Delivery = kill.DeliveryUnknown
	}
	e.Targets[last].Delivery = deliveryOf(kill.Signal(r.Signal), r.Result)
}

// exit emits the end of a process that was signaled, or of one for which that would explain it. If the pipeline is too slow, the queue
// drops and counts it as it does any event; a later check for processes that are gone finds
// it.
func (a *assembler) exit(r *kernelExitRecord) {
	k := key(&r.Identity)
	signaled := a.exits.forget(k)
	if !signaled && !a.config.wantsUnexplained(r) {
		return
	}
	end := a.events.exit(r)
	// It may die of a lost signal at any time later, if it was blocking that.
	end.Complete = a.lastLoss == 0 || time.Duration(r.Identity.Start) > a.lastLoss
	if !signaled {
		a.events.unexplained(end, r)
	}
	if !a.exits.keepBack(k, end) {
		a.emit(source.Observation{End: end})
	}
}

// wantsUnexplained reports whether to report the end of a process to which no signal was seen.
func (c *assemblerConfig) wantsUnexplained(r *kernelExitRecord) bool {
	killed := kill.Exit{Known: true, Status: int(r.Status)}.Signal() != 0
	return c.unexplained && (killed || c.allEnds)
}

// emitAwaited emits an event that the ends of its targets may have waited for, and those ends.
func (a *assembler) emitAwaited(e *kill.Event) {
	a.event(e)
	for _, end := range a.exits.emitted(e.Targets) {
		a.emit(source.Observation{End: end})
	}
}

// ended handles the end of a call.
func (a *assembler) ended(r *kernelSignalRecord) {
	thread := r.Sender.Thread
	g := a.groups[thread]
	switch {
	case g != nil && g.call == r.Call:
		a.close(thread, true)
	case r.Result == -errnoAgain: // the generation has told that a queue was full
	case r.Result < 0 || r.Call.Signal == 0:
		a.event(a.events.call(r))
	case !a.config.partial && a.events.wasAsked(r.Call.Signal):
		// It has signaled at least one process, but the ring had no room for the record that says which. If that was counted
		// instead, the sum says so.
		if a.lastLoss == 0 || time.Duration(r.Time)-a.lastLoss > a.config.timeout {
			return
		}
		e := a.events.call(r)
		e.TargetCount = -1
		a.incomplete(e)
		a.event(e)
	}
}

// close emits the event of a call.
func (a *assembler) close(thread uint32, complete bool) {
	g := a.groups[thread]
	e := g.event
	delete(a.groups, thread)
	a.count(e)
	if !complete || a.lostSoFar() != g.lostBefore {
		a.incomplete(e)
	}
	a.emitAwaited(e)
}

// count sorts and counts the targets of an event that may have many.
func (a *assembler) count(e *kill.Event) {
	// The order in which the kernel signals them means nothing. Sorted, the event is the
	// same as that of the audit source.
	slices.SortFunc(e.Targets, func(a, b kill.Process) int { return a.PID - b.PID })
	e.TargetCount = len(e.Targets)
	if a.config.partial {
		e.TargetCount = -1 // the kernel has reported only some of them
	}
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

// expire emits what has waited long enough. now is the time since boot up to which
// everything has been read. It returns how long to wait until the next call, or 0 if
// nothing waits.
func (a *assembler) expire(now time.Duration) time.Duration {
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
	a.endLoops(now, sooner)
	for thread, g := range a.groups {
		if now-g.last >= patience {
			a.close(thread, !a.config.seesEnds)
			continue
		}
		sooner(g.last + patience)
	}
	return next
}

// flush emits everything that waits.
func (a *assembler) flush() {
	for _, l := range a.loops {
		a.endLoop(l)
	}
	a.loops = nil
	for thread := range a.groups {
		a.close(thread, false)
	}
}

// pending returns how many events wait.
func (a *assembler) pending() int { return len(a.loops) + len(a.groups) }
