// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

const (
	// maxWatched bounds how many processes are watched in one generation, of which there are
	// two for root's processes and two for those of others. That is far more than anyone
	// watches at once: it includes processes whose signals are filtered out later. Each takes
	// some 50 bytes.
	maxWatched = 1 << 14
	// maxWatchedOfUser is how many of them may be an ordinary user's, so that nobody makes
	// those of others be forgotten.
	maxWatchedOfUser = maxWatched / 4
)

// exits knows which processes to report the end of: those that were signaled. It keeps an
// end back until all signals to that process have been emitted.
type exits struct {
	// followFor is how long the end of a process is of interest; 0 if it is not.
	followFor time.Duration
	// ofRoot are those of root's processes, others all others.
	ofRoot, others generations
	// waiting counts the events with a process as target that have not been emitted yet;
	// late holds the ends that wait for those events. Both are bounded by the number of
	// these events.
	waiting map[process.Key]int
	late    map[process.Key]*kill.End
}

// generations are processes that were signaled: young holds those since began, old those of
// the generation before. So no process is forgotten too early, and no age has to be kept.
type generations struct {
	young, old followed
	began      time.Duration
}

// followed are processes with their users, and how many each user has.
type followed struct {
	users map[process.Key]uint32
	count map[uint32]int
}

func newFollowed() followed {
	return followed{users: map[process.Key]uint32{}, count: map[uint32]int{}}
}

func newExits(followFor time.Duration) exits {
	return exits{
		followFor: followFor,
		ofRoot:    generations{young: newFollowed(), old: newFollowed()}, others: generations{young: newFollowed(), old: newFollowed()},
		waiting: map[process.Key]int{}, late: map[process.Key]*kill.End{},
	}
}

// watch remembers a process of a user.
func (x *exits) watch(key process.Key, user uint32, at time.Duration) {
	switch {
	case x.followFor == 0:
	case user == 0:
		x.ofRoot.add(key, user, at, x.followFor)
	case x.others.young.count[user] < maxWatchedOfUser || at-x.others.began >= x.followFor:
		x.others.add(key, user, at, x.followFor)
	}
}

func (g *generations) add(key process.Key, user uint32, at, followFor time.Duration) {
	if len(g.young.users) >= maxWatched || at-g.began >= followFor {
		g.young, g.old, g.began = g.old, g.young, at
		clear(g.young.users)
		clear(g.young.count)
	}
	if _, known := g.young.users[key]; !known {
		g.young.users[key] = user
		g.young.count[user]++
	}
}

// forget reports whether a process was watched, and stops watching it.
func (x *exits) forget(key process.Key) bool {
	found := false
	for _, w := range []followed{x.ofRoot.young, x.ofRoot.old, x.others.young, x.others.old} {
		found = w.remove(key) || found
	}
	return found
}

func (w followed) remove(key process.Key) bool {
	user, known := w.users[key]
	if !known {
		return false
	}
	delete(w.users, key)
	w.count[user]--
	if w.count[user] == 0 {
		delete(w.count, user)
	}
	return true
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
