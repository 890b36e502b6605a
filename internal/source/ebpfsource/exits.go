// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// maxWatched bounds how many processes are watched in one generation, of which there are
// two. That is far more than anyone watches at once: it includes processes whose signals
// are filtered out later. Each takes some 50 bytes.
const maxWatched = 1 << 14

// exits knows which processes to report the end of: those that were signaled. It keeps an
// end back until all signals to that process have been emitted.
type exits struct {
	// followFor is how long the end of a process is of interest; 0 if it is not.
	followFor time.Duration
	// young holds the processes that were signaled since began, old those of the generation
	// before. So no process is forgotten too early, and no age has to be kept.
	young, old map[process.Key]struct{}
	began      time.Duration
	// waiting counts the events with a process as target that have not been emitted yet;
	// late holds the ends that wait for those events. Both are bounded by the number of
	// these events.
	waiting map[process.Key]int
	late    map[process.Key]*kill.End
}

func newExits(followFor time.Duration) exits {
	return exits{
		followFor: followFor, young: map[process.Key]struct{}{}, old: map[process.Key]struct{}{},
		waiting: map[process.Key]int{}, late: map[process.Key]*kill.End{},
	}
}

// watch remembers a process.
func (x *exits) watch(key process.Key, at time.Duration) {
	if x.followFor == 0 {
		return
	}
	if len(x.young) >= maxWatched || at-x.began >= x.followFor {
		x.young, x.old, x.began = x.old, x.young, at
		clear(x.young)
	}
	x.young[key] = struct{}{}
}

// forget reports whether a process was watched, and stops watching it.
func (x *exits) forget(key process.Key) bool {
	_, young := x.young[key]
	_, old := x.old[key]
	delete(x.young, key)
	delete(x.old, key)
	return young || old
}

// await notes that an event with this target will be emitted later.
func (x *exits) await(target *kill.Process) {
	if x.followFor != 0 {
		x.waiting[keyOf(target)]++
	}
}

// keepBack keeps the end of a process back if it has to wait for an event.
func (x *exits) keepBack(key process.Key, end *kill.End) bool {
	if x.waiting[key] == 0 {
		return false
	}
	x.late[key] = end
	return true
}

// emitted notes that an awaited event has been emitted, and returns the ends of its targets
// that waited for nothing else.
func (x *exits) emitted(targets []kill.Process) []*kill.End {
	if x.followFor == 0 {
		return nil
	}
	var ends []*kill.End
	for i := range targets {
		key := keyOf(&targets[i])
		x.waiting[key]--
		if x.waiting[key] > 0 {
			continue
		}
		delete(x.waiting, key)
		if end := x.late[key]; end != nil {
			delete(x.late, key)
			ends = append(ends, end)
		}
	}
	return ends
}

// keyOf returns the key of a target, as key does for an identity.
func keyOf(target *kill.Process) process.Key {
	k := process.Key{PID: target.PID}
	if target.Instance != nil {
		k.Start = target.Instance.SinceBoot
	}
	return k
}
