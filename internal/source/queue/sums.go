// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// tellEvery is how often a sum is told while signals are added to it.
	tellEvery = time.Second
	// mostAlone is how many equal signals of an ordinary user are told one by one in that time: who sends more is not read
	// one by one.
	mostAlone = 32
	// maxSums is the most sums that wait, together some 100 MB. The kernel's programs count no more, either
	// (ebpfsource/kernel/sums.h).
	maxSums = 65536
)

// Key is what signals have in common that are counted together: sender, target, signal and result, and how it was sent.
type Key struct {
	// user is whose share it takes.
	user           uint32
	kind           kill.Kind
	sender, target instance
	signal         kill.Signal
	origin         kill.Origin
	syscall, code  string
	scope          kill.Scope
	requested      int
	result         kill.Result
	delivery       kill.Delivery
}

// instance is a process, by its pid and when it was created. Where that is not known, the names show if the pid was reused.
type instance struct {
	pid                 int
	start               time.Duration
	command, executable string
	user, login         kill.ID
}

// KeyOf returns the key of an event, and false if it is none to be joined: it has several targets, or is no signal.
func KeyOf(e *kill.Event) (Key, bool) {
	if e.Kind != kill.KindSignal && e.Kind != kill.KindAbend || len(e.Targets) > 1 || !e.Complete || e.OutOfMemory != nil {
		return Key{}, false
	}
	k := Key{
		user: userOf(e),
		kind: e.Kind, sender: instanceOf(&e.Sender), signal: e.Signal, origin: e.Origin, syscall: e.Syscall, code: e.Code,
		scope: e.Scope, requested: e.Requested, result: e.Result, delivery: e.Delivery,
	}
	if len(e.Targets) == 1 {
		k.target = instanceOf(&e.Targets[0])
	}
	return k, true
}

func instanceOf(p *kill.Process) instance {
	if p.Instance != nil {
		return instance{pid: p.PID, start: p.Instance.SinceBoot, user: p.User.ID}
	}
	return instance{pid: p.PID, command: p.Command, executable: p.Executable, user: p.User.ID, login: p.Login.ID}
}

// sum counts equal signals.
type sum struct {
	key         Key
	event       *kill.Event
	count       int
	first, last time.Time
	// alone is how many were told by themselves, told is true if the sum was told since the last look.
	alone int
	told  bool
	// gone is true once it was forgotten.
	gone bool
}

// take returns the event that tells the sum, which begins anew.
func (s *sum) take() *kill.Event {
	e := s.event
	e.Time = s.first
	if s.count > 1 {
		e.Count, e.LastTime = s.count, s.last
		if e.Cause == kill.CauseCrash {
			e.Trigger = nil // its address is that of one of them
		}
	}
	s.event, s.count, s.told = nil, 0, true
	return e
}

// sums are the sums that are being counted. Those that were told remain for a while, so that what follows is joined as
// well.
type sums struct {
	all   []*sum // oldest first
	byKey map[Key]*sum
	// of has those of each target, by its pid.
	of map[int][]*sum
	// users is how many there are of each user.
	users map[uint32]int
}

func newSums() sums {
	return sums{byKey: map[Key]*sum{}, of: map[int][]*sum{}, users: map[uint32]int{}}
}

func (s *sums) has(key Key) bool { return s.byKey[key] != nil }

// counts reports whether there are signals in the sum with a key.
func (s *sums) counts(key Key) bool {
	known := s.byKey[key]
	return known != nil && known.count > 0
}

// begin returns the sum with a key, which may be new; nil if there are too many.
func (s *sums) begin(key Key) *sum {
	known := s.byKey[key]
	if known == nil && len(s.all) < maxSums && s.mayBegin(key.user) {
		known = &sum{key: key}
		s.users[key.user]++
		s.all = append(s.all, known)
		s.byKey[key] = known
		s.of[key.target.pid] = append(s.of[key.target.pid], known)
	}
	return known
}

// mayBegin reports whether a user may have one more: an ordinary one has a quarter, and the last quarter is root's.
func (s *sums) mayBegin(user uint32) bool {
	return user == 0 || s.users[user] < maxSums/4 && len(s.all) < maxSums/4*3
}

// add adds signals to a sum. It fails if there are too many sums.
func (s *sums) add(key Key, count int, first, last time.Time, event func() *kill.Event) bool {
	known := s.begin(key)
	if known == nil {
		return false
	}
	if known.count == 0 {
		known.event, known.first = event(), first
	}
	known.count += count
	known.last = last
	return true
}

// forgetQuiet forgets the sums to which nothing was added since they were told.
func (s *sums) forgetQuiet() {
	forgotten := map[int]struct{}{}
	s.all = slices.DeleteFunc(s.all, func(known *sum) bool {
		switch {
		case known.count > 0:
			known.told = false
			return false
		case known.alone > 0 && !known.told:
			known.alone = 0
			return false
		}
		delete(s.byKey, known.key)
		s.users[known.key.user]--
		if s.users[known.key.user] == 0 {
			delete(s.users, known.key.user)
		}
		known.gone = true
		forgotten[known.key.target.pid] = struct{}{}
		return true
	})
	for pid := range forgotten { // once each: anybody can make all sums be of one target
		s.of[pid] = slices.DeleteFunc(s.of[pid], func(known *sum) bool { return known.gone })
		if len(s.of[pid]) == 0 {
			delete(s.of, pid)
		}
	}
}
