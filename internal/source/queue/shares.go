// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// share is how much of the queue the signals of one ordinary user may take.
	share = Max / 8
	// reserve is what is kept free for signals of root and the kernel that are of consequence: whoever has sub-uids
	// (subuid(5)) has as many shares.
	reserve = Max / 4
)

// shares is how much of the queue the signals of each user take, by the number of the user.
type shares map[uint32]int

// add adds what an observation takes, or with sign -1 frees it.
func (s shares) add(o source.Observation, sign int) {
	if o.Event == nil {
		return
	}
	user := userOf(o.Event)
	if s[user] += sign * Weight(o); s[user] <= 0 {
		delete(s, user)
	}
}

// userOf returns whose share a signal takes: that of the sender; if it is the kernel, that of the target, whose timers and
// faults anybody can have as many of as he likes, but for lack of memory, of which the target need not be the cause.
func userOf(e *kill.Event) uint32 {
	user := e.Sender.RealUser.ID
	if e.Origin == kill.OriginKernel {
		if e.Cause == kill.CauseOOM || len(e.Targets) == 0 {
			return 0
		}
		if user = e.Targets[0].RealUser.ID; !user.Known {
			user = e.Targets[0].User.ID
		}
	}
	if !user.Known {
		return 0
	}
	return user.Value
}

// admits reports whether an event may wait by itself.
func (q *Queue) admits(e *kill.Event) bool {
	after := q.weight + Weight(source.Observation{Event: e})
	user := userOf(e)
	switch {
	case q.weight == 0:
		return true
	case after > Max, after > Max-reserve && (user != 0 || idle(e)):
		return false
	}
	return user == 0 || q.shares[user]+Weight(source.Observation{Event: e}) <= share
}

// idle reports whether a signal changes nothing: the target ignores it, has one pending already or was not reached.
func idle(e *kill.Event) bool {
	return e.Delivery == kill.DeliveryIgnored || e.Delivery == kill.DeliveryPending || e.Result.Failed()
}
