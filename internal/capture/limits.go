// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"cmp"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxVictims is how many victims the kernel's log has told of are kept. Those of a larger group share one lack
	// of memory, and one of them suffices to know it.
	maxVictims = 1024
	// victimWindow is how far apart the times of a kill may be that the kernel's log and a source tell: they are taken by
	// different clocks.
	victimWindow = time.Second
)

// limits knows what the kernel's log says about which limit was reached when the kernel killed for lack of memory, for a
// source that can only infer it. It is safe for concurrent use.
type limits struct {
	mutex sync.Mutex
	// victims are the latest, each once; next is where the next one goes.
	victims [maxVictims]loggedVictim
	next    int
}

// loggedVictim is a process that was killed according to the kernel's log.
type loggedVictim struct {
	pid         int
	time        time.Time
	outOfMemory *kill.OutOfMemory
}

// learn takes note of a kill that the kernel's log tells of.
func (l *limits) learn(e *kill.Event) {
	if e.OutOfMemory == nil || e.OutOfMemory.Constraint == "" {
		return // some of the report is missing
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for i := range e.Targets {
		l.victims[l.next] = loggedVictim{e.Targets[i].PID, e.Time, e.OutOfMemory}
		l.next = (l.next + 1) % maxVictims
	}
}

// settle replaces what a source has inferred by what the log says. It reports whether the event can no longer know more.
func (l *limits) settle(e *kill.Event) bool {
	if l == nil || e.Cause != kill.CauseOOM || e.OutOfMemory != nil && !e.OutOfMemory.Inferred {
		return true
	}
	logged := l.first(e)
	if logged == nil {
		return false
	}
	e.OutOfMemory = combine(logged, e.OutOfMemory)
	return true
}

// first returns what the log says about the first victim among the targets of an event; nil if nothing yet. The pid of a
// victim is in use until it was told of.
func (l *limits) first(e *kill.Event) *kill.OutOfMemory {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var first *loggedVictim
	for i := range e.Targets {
		if v := l.of(e.Targets[i].PID, e.Time); v != nil && (first == nil || v.time.Before(first.time)) {
			first = v
		}
	}
	if first == nil {
		return nil
	}
	return first.outOfMemory
}

// of returns the victim with a pid whose time is the closest; nil if there is none.
func (l *limits) of(pid int, at time.Time) (found *loggedVictim) {
	for i := range l.victims {
		v := &l.victims[i]
		if v.pid != pid || v.time.Sub(at).Abs() > victimWindow {
			continue
		}
		if found == nil || v.time.Sub(at).Abs() < found.time.Sub(at).Abs() {
			found = v
		}
	}
	return found
}

// combine returns what the log says, and what else a source has seen of the same: who has asked for memory and, if it is
// the same group, what that group used. Which group it was is not known from the log if its path can be read in several
// ways. inferred may be nil.
func combine(logged, inferred *kill.OutOfMemory) *kill.OutOfMemory {
	if inferred == nil || logged.Cgroup == "" && logged.Constraint == inferred.Constraint && inferred.Cgroup != "" {
		return cmp.Or(inferred, logged)
	}
	both := *logged
	if inferred.Invoker.PID != 0 {
		both.Invoker = inferred.Invoker
	}
	if both.Cgroup != "" && both.Cgroup == inferred.Cgroup && !both.Limit.Known {
		both.Limit, both.Usage = inferred.Limit, inferred.Usage
	}
	return &both
}
