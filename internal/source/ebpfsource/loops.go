// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// oomWindow is how far apart the OOM killer's signal and its report of the victim may
	// be: it does one right after the other (mm/oom_kill.c, __oom_kill_process), but may be
	// interrupted in between.
	oomWindow = 20 * time.Millisecond
	// loopWindow is how far apart two kills of one loop in the kernel may be. The loop goes
	// from one process to the next in microseconds, but may be interrupted in between. Two
	// loops of one thread that are this close count as one. Kills held for the OOM killer
	// are not complete before that either.
	loopWindow = 2 * time.Millisecond
	// longestLoop is how long a loop may last before the next kill begins a new event
	// regardless, so that a thread that makes the kernel kill again and again does not fill
	// the memory.
	longestLoop = time.Second
	// maxVictims is of how many processes a loop keeps what they held; who makes a whole control group
	// run out of memory chooses how many are in it.
	maxVictims = 1 << 14
)

// loop is a kill by the kernel that may have many targets: the kernel goes through the
// processes of a control group (kernel/cgroup/cgroup.c, __cgroup_kill), of a pid namespace
// (kernel/pid_namespace.c, zap_pid_ns_processes), or through those that the OOM killer
// kills with its victim (mm/oom_kill.c). It does not report its end.
type loop struct {
	loopID
	event *kill.Event
	// first and last are the times of its first and last kill, since boot.
	first, last time.Duration
	// others holds the pids of all targets but the first.
	others map[int]struct{}
	// victims holds the first report of each victim, by its pid; nil if there is none.
	victims map[int]victim
	// lostBefore is the assembler's lostBefore at the time when the loop began.
	lostBefore uint64
	// seesHandled is that of the assembler.
	seesHandled bool
}

// loopID is what the kills of one loop have in common.
type loopID struct {
	// thread is the one that was running when the signals were sent.
	thread  uint32
	special uint8
	// cause is a cause of the kernel (kernel/record.h), or causeUnknown.
	cause uint32
}

// ofLoop reports whether the kernel kills on its own account, be it one process or many. A
// signal with siginfo of its own has only one target.
func ofLoop(r *kernelSignalRecord) bool {
	return kill.Signal(r.Signal) == kill.SIGKILL && r.Special != infoOwn
}

// addKill adds a kill by the kernel to its loop.
func (a *assembler) addKill(r *kernelSignalRecord) {
	at := time.Duration(r.Time)
	id := loopID{thread: r.Sender.Thread, special: r.Special, cause: r.Cause}
	l := a.current[id]
	if l == nil || at >= l.due() || at-l.first > longestLoop {
		a.beginLoop(id, r)
		return
	}
	l.last = at
	pid := int(r.Target.Identity.Pid)
	if _, known := l.others[pid]; known || pid == l.event.Targets[0].PID {
		return // the OOM killer kills its victim again with the rest of the control group
	}
	if l.others == nil {
		l.others = map[int]struct{}{}
	}
	l.others[pid] = struct{}{}
	if l.event.Sender.PID == 0 && prompted(r, l.event.Cause) {
		a.events.addSender(l.event, r) // the first target was the sender itself
	}
	a.addAnother(l.event, r)
}

func (a *assembler) beginLoop(id loopID, r *kernelSignalRecord) {
	if len(a.loops) >= a.config.maxPending {
		a.counts.evicted++
		a.endLoop(a.loops[0])
		a.loops = a.loops[1:]
	}
	at := time.Duration(r.Time)
	l := &loop{loopID: id, event: a.events.signal(r), first: at, last: at, lostBefore: a.lostBefore, seesHandled: a.config.seesHandled}
	for _, v := range a.victims {
		l.blame(v)
	}
	a.exits.await(&l.event.Targets[0])
	a.loops = append(a.loops, l)
	a.current[id] = l
}

// victim handles a report of the OOM killer. The same thread kills all other processes that
// share the victim's memory right afterwards.
func (a *assembler) victim(v victim) {
	if n := len(a.victims); n > 0 && v.follows(&a.victims[n-1]) {
		v.outOfMemory = a.victims[n-1].outOfMemory
	}
	a.victims = append(a.victims, v)
	for _, l := range a.loops {
		l.blame(v)
	}
}

// mayBeOOM reports whether it may be the OOM killer. Where it kills who has used up all its CPU time, it is.
func (l *loop) mayBeOOM() bool { return l.special == infoPriv && l.cause != causeNamespaceEnd }

// due is when nothing more can arrive that belongs to the loop.
func (l *loop) due() time.Duration {
	switch {
	case l.mayBeOOM() && l.event.Cause != kill.CauseOOM:
		return l.last + oomWindow
	case l.seesHandled && l.event.Cause == kill.CauseOOM:
		return l.first + longestLoop // unless it is reported before, see handled
	}
	return l.last + loopWindow
}

// handled ends the loop of a thread, which has killed all that the OOM killer wants.
func (a *assembler) handled(r *kernelHandledRecord) bool {
	a.loops = slices.DeleteFunc(a.loops, func(l *loop) bool {
		if r == nil || l.thread != r.Thread || l.event.Cause != kill.CauseOOM {
			return false
		}
		a.endLoop(l)
		return true
	})
	return r != nil
}

// endLoop emits the event of a loop.
func (a *assembler) endLoop(l *loop) {
	if a.current[l.loopID] == l {
		delete(a.current, l.loopID)
	}
	l.describeMemory()
	if len(l.event.Targets) > 1 {
		l.event.Scope = kill.ScopeUnknown // no scope describes it
		if a.lostSoFar() != l.lostBefore {
			a.incomplete(l.event)
		}
		a.count(l.event)
	}
	a.emitAwaited(l.event)
}

// endLoops emits the events of the loops that are due, and forgets the victims that no loop
// needs any more. It calls soon with the time at which each other loop is due.
func (a *assembler) endLoops(now time.Duration, soon func(due time.Duration)) {
	a.loops = slices.DeleteFunc(a.loops, func(l *loop) bool {
		if l.due() > now {
			soon(l.due())
			return false
		}
		a.endLoop(l)
		return true
	})
	for len(a.victims) > 0 && now-a.victims[0].at >= 2*oomWindow {
		a.victims = a.victims[1:]
	}
}
