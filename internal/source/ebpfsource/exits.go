// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// maxStruck bounds how many processes are remembered as struck in one generation, of
// which there are two: far more than anybody follows at once, as those are told as well
// whose signals are filtered out later. Each takes some 50 bytes.
const maxStruck = 1 << 14

// exits knows of which processes the end is told: those that were struck. It keeps an
// end back until all has been told that struck the process.
type exits struct {
	// followFor is how long the end of a process is of interest; 0 if none is.
	followFor time.Duration
	// young are who was struck since began, old who was in the generation before: so
	// nobody is forgotten too early, and nobody's age is kept.
	young, old map[process.Key]struct{}
	began      time.Duration
	// waiting is how many events that were not emitted yet strike a process, late the
	// ends that wait for those. They are bounded by what these events are.
	waiting map[process.Key]int
	late    map[process.Key]*kill.End
}

func newExits(followFor time.Duration) exits {
	return exits{
		followFor: followFor, young: map[process.Key]struct{}{}, old: map[process.Key]struct{}{},
		waiting: map[process.Key]int{}, late: map[process.Key]*kill.End{},
	}
}

// strike remembers a process.
func (x *exits) strike(key process.Key, at time.Duration) {
	if x.followFor == 0 {
		return
	}
	if len(x.young) >= maxStruck || at-x.began >= x.followFor {
		x.young, x.old, x.began = x.old, x.young, at
		clear(x.young)
	}
	x.young[key] = struct{}{}
}

// forget reports whether a process was struck, which it is no longer.
func (x *exits) forget(key process.Key) bool {
	_, young := x.young[key]
	_, old := x.old[key]
	delete(x.young, key)
	delete(x.old, key)
	return young || old
}

// await says that an event strikes a process, and is emitted later.
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

// emitted says that an event that was awaited is emitted now, and returns the ends of
// its targets that waited for nothing else.
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

// keyOf names the process that is a target, as key does.
func keyOf(target *kill.Process) process.Key {
	k := process.Key{PID: target.PID}
	if target.Instance != nil {
		k.Start = target.Instance.SinceBoot
	}
	return k
}
