// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

const (
	// hotFrom is how many equal signals within one look make what follows be counted even while the ring has room,
	// hotFor for how long. At most maxHot kinds of signals are.
	hotFrom = 16
	hotFor  = 2 * time.Second
	maxHot  = 1024
	// settling is how long a program may take to write to the side that it has chosen, patience how long to wait for
	// one that was interrupted.
	settling = 100 * time.Microsecond
	patience = 10 * time.Millisecond
	// atOnce is how many sums are read with one call.
	atOnce = 4096
)

// sums reads what the programs have counted because the ring had no room (kernel/sums.h).
type sums struct {
	sides                                        [2]*ebpf.Map
	side, looks, entered, left, storming, summed *ebpf.Variable
	// active is the side that the programs write to. unread is true if the other one was not quiet yet when it was
	// to be read.
	active uint32
	unread bool
	// looked is how often the side was changed.
	looked uint32
	// taken is how many signals were in the sums that were read.
	taken uint64
	// hot has the kinds of signals that are counted even while the ring has room.
	hot    map[kernelSumKey]hot
	keys   []kernelSumKey
	values []kernelSum
}

// hot is how long a kind of signals is counted even while the ring has room, and what is told of its processes.
type hot struct {
	until time.Duration
	sum   kernelSum
}

func newSums(collection *ebpf.Collection) *sums {
	return &sums{
		sides:   [2]*ebpf.Map{collection.Maps[kernelMapSums0], collection.Maps[kernelMapSums1]},
		side:    collection.Variables[kernelVarSide],
		looks:   collection.Variables[kernelVarLooks],
		entered: collection.Variables[kernelVarEntered], left: collection.Variables[kernelVarLeft],
		storming: collection.Variables[kernelVarStorming], summed: collection.Variables[kernelVarSummedSignals],
		hot: map[kernelSumKey]hot{},
	}
}

// take passes on all sums that the programs have begun until now. It returns false if it has to be called again,
// because a program was interrupted while it was counting. now is the time since boot.
func (s *sums) take(now time.Duration, add func(*kernelSumKey, *kernelSum)) (bool, error) {
	var summed uint64
	if err := s.summed.Get(&summed); err != nil {
		return false, err
	}
	if summed == s.taken && len(s.hot) == 0 && !s.unread {
		return true, nil
	}
	if !s.unread {
		s.active = 1 - s.active
		s.looked++
		if err := errors.Join(s.side.Set(s.active), s.looks.Set(s.looked)); err != nil {
			return false, err
		}
	}
	quiet, err := s.settle(1 - s.active)
	if s.unread = !quiet; err != nil || s.unread {
		return false, err
	}
	err = errors.Join(s.empty(1-s.active, now, add), s.arm(now))
	return true, err
}

// counts reports whether programs count signals even while the ring has room, or have counted some that were not taken.
func (s *sums) counts() bool {
	var summed uint64
	return s.unread || len(s.hot) > 0 || s.summed.Get(&summed) != nil || summed != s.taken
}

// settle waits until no program writes to a side any more.
func (s *sums) settle(side uint32) (bool, error) {
	var entered, left [2]uint64
	for waited := time.Duration(0); waited < patience; waited += settling {
		time.Sleep(settling)
		// In this order: what has entered meanwhile is not taken for something that has left.
		if err := errors.Join(s.left.Get(&left), s.entered.Get(&entered)); err != nil {
			return false, err
		}
		if left[side] == entered[side] {
			return true, nil
		}
	}
	return false, nil
}

// empty reads a side and empties it.
func (s *sums) empty(side uint32, now time.Duration, add func(*kernelSumKey, *kernelSum)) error {
	if s.keys == nil {
		s.keys, s.values = make([]kernelSumKey, atOnce), make([]kernelSum, atOnce)
	}
	var cursor ebpf.MapBatchCursor
	for {
		n, err := s.sides[side].BatchLookupAndDelete(&cursor, s.keys, s.values, nil)
		for i := range n {
			s.taken += s.values[i].Count
			if s.values[i].Count >= hotFrom && len(s.hot) < maxHot {
				s.hot[s.keys[i]] = hot{until: now + hotFor, sum: s.values[i]}
			}
			if s.values[i].Count > 0 {
				add(&s.keys[i], &s.values[i])
			}
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("reading how many signals were counted: %w", err)
		}
	}
}

// arm makes the programs count hot signals on both sides.
func (s *sums) arm(now time.Duration) error {
	for key, h := range s.hot {
		if now > h.until {
			delete(s.hot, key)
			continue
		}
		h.sum.Count = 0 // the rest says whose signals they are
		for _, side := range s.sides {
			err := side.Update(&key, &h.sum, ebpf.UpdateNoExist)
			if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
				return fmt.Errorf("having signals counted: %w", err)
			}
		}
	}
	var storming uint32
	if len(s.hot) > 0 {
		storming = 1
	}
	return s.storming.Set(storming)
}
