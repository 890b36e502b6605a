// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// ending is the end of a process, three seconds after boot.
func ending(pid uint32, status int32) []byte {
	r := &kernelExitRecord{
		Kind: kindExit, Status: status, Time: uint64(3 * time.Second), Identity: party(pid, "").Identity,
	}
	copy(r.Command[:], "renamed")
	return bytesOf(r)
}

// strikesWith is a signal to one process.
func strikesWith(signal kill.Signal, target uint32) []byte {
	return bytesOf(sends(func(r *kernelSignalRecord) {
		r.Signal, r.Call.Signal, r.Target = int32(signal), int32(signal), party(target, "")
	}))
}

func newExitBench() *bench {
	return newBench(func(c *assemblerConfig) { c.followFor = time.Minute })
}

func TestExits(t *testing.T) {
	t.Parallel()
	a := toGroup(-20)
	dies := bytesOf(sends(func(r *kernelSignalRecord) { r.Kind, r.Signal, r.Code = kindDeath, 11, 1 }))
	tests := map[string]struct {
		records [][]byte
		// now is what is emitted at once, later what is emitted once all waiting is over.
		now, later []string
	}{
		"after a signal": {
			records: [][]byte{strikesWith(15, 20), ending(20, 15)}, now: []string{"10>[20]", "20 killed"},
		},
		"an exit code": {
			records: [][]byte{strikesWith(15, 20), ending(20, 3<<8)}, now: []string{"10>[20]", "20 exited"},
		},
		"by a crash": {
			records: [][]byte{dies, ending(20, 0x8b)}, now: []string{"0>[20] crash", "20 core_dumped"},
		},
		"once only": {
			records: [][]byte{strikesWith(15, 20), strikesWith(9, 20), ending(20, 9), ending(20, 9)},
			now:     []string{"10>[20]", "10>[20]", "20 killed"},
		},
		"of nobody who was struck": {records: [][]byte{strikesWith(15, 20), ending(21, 9)}, now: []string{"10>[20]"}},
		"after a signal that kills nobody": {
			records: [][]byte{strikesWith(18, 20), strikesWith(19, 20), ending(20, 0)}, now: []string{"10>[20]", "10>[20]"},
		},
		"after a question": {
			records: [][]byte{ends(10, kernelCall{Number: callKill, Pid: 20}, 0), ending(20, 0)}, now: []string{"10>[] of -1"},
		},
		"of a group, before its call": {
			records: [][]byte{strikes(10, a, 21), strikes(10, a, 20), ending(21, 15), ending(20, 15), ends(10, a, 0)},
			now:     []string{"10>[20 21]", "20 killed", "21 killed"},
		},
		"of a group whose call is not seen to end": {
			records: [][]byte{strikes(10, a, 20), ending(20, 15)}, later: []string{"10>[20] incomplete", "20 killed"},
		},
		"of who was struck by two calls": {
			records: [][]byte{
				strikes(10, a, 20), strikes(11, a, 20), ending(20, 15), ends(11, a, 0), ends(10, a, 0),
			},
			now: []string{"11>[20]", "10>[20]", "20 killed"},
		},
		"of a group that is not struck fatally": {
			records: [][]byte{
				strikesWith(15, 20), bytesOf(sends(func(r *kernelSignalRecord) {
					r.Signal, r.Call = 19, kernelCall{Number: callKill, Pid: -20, Signal: 19}
				})), ending(20, 15), ends(10, kernelCall{Number: callKill, Pid: -20, Signal: 19}, 0),
			},
			now: []string{"10>[20]", "10>[20]", "20 killed"},
		},
		"of who is struck by another's call": {
			records: [][]byte{strikes(10, a, 20), strikesWith(9, 21), ending(21, 9)},
			now:     []string{"10>[21]", "21 killed"}, later: []string{"10>[20] incomplete"},
		},
		"of a victim": {
			records: [][]byte{slays(early, 10, 20), chooses(soon, 20), slays(soon, 10, 21), ending(21, 9), ending(20, 9)},
			later:   []string{"0>[20 21] oom", "20 killed", "21 killed"},
		},
		"of who the OOM killer strikes twice": {
			records: [][]byte{slays(early, 10, 20), slays(soon, 10, 20), ending(20, 9)},
			later:   []string{"10>[20]", "20 killed"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newExitBench()
			for _, raw := range tt.records {
				b.add(raw)
			}
			assert.Equal(t, tt.now, b.take())
			assert.Zero(t, b.expire(time.Minute))
			assert.Equal(t, tt.later, b.take())
			assert.Empty(t, b.exits.waiting)
			assert.Empty(t, b.exits.late)
		})
	}
}

// An end is reported with everything that is needed to find which process has ended.
func TestExit(t *testing.T) {
	t.Parallel()
	events, _ := newFakeEvents()
	want := &kill.End{
		PID: 20, Start: instanceOf(20).SinceBoot, Time: boot.Add(3 * time.Second), Exit: kill.Exit{Known: true, Status: 0x8b},
		Command: "renamed", User: kill.NewID(0),
	}
	assert.Equal(t, want, events.exit(whole[kernelExitRecord](aligned(ending(20, 0x8b)))))
}

// A process with a reused pid is not mistaken for the previous one.
func TestExitOfAnotherLife(t *testing.T) {
	t.Parallel()
	b := newExitBench()
	b.add(strikesWith(15, 20))
	another := aligned(ending(20, 0))
	whole[kernelExitRecord](another).Identity.Start += uint64(tick)
	b.add(another)
	b.add(ending(20, 15))
	assert.Equal(t, []string{"10>[20]", "20 killed"}, b.take())
	assert.Equal(t, []string{"exit {20 210ms}", "exit {20 200ms}"}, b.fake.told)
}

func TestNobodyWantsExits(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(strikesWith(15, 20))
	b.add(strikes(10, toGroup(-20), 20))
	b.add(ending(20, 15))
	b.flush()
	assert.Equal(t, []string{"10>[20]", "10>[20] incomplete"}, b.take())
	assert.Equal(t, newExits(0), b.exits, "nothing is remembered")
}

func TestExitsAreForgotten(t *testing.T) {
	t.Parallel()
	const followFor = time.Minute
	life := func(pid int) process.Key { return process.Key{PID: pid} }
	begin := func() exits {
		x := newExits(followFor)
		x.watch(life(1), 0, followFor)
		return x
	}
	t.Run("not while they are of interest", func(t *testing.T) {
		t.Parallel()
		x := begin()
		x.watch(life(2), 0, 2*followFor-1)
		x.watch(life(3), 0, 2*followFor)
		assert.True(t, x.forget(life(1)))
		assert.False(t, x.forget(life(1)))
	})
	t.Run("when they are no longer", func(t *testing.T) {
		t.Parallel()
		x := begin()
		x.watch(life(2), 0, 2*followFor)
		x.watch(life(3), 0, 3*followFor)
		assert.False(t, x.forget(life(1)))
		assert.True(t, x.forget(life(2)))
	})
	t.Run("not if they are struck again", func(t *testing.T) {
		t.Parallel()
		x := begin()
		x.watch(life(1), 0, 2*followFor)
		x.watch(life(2), 0, 3*followFor)
		assert.True(t, x.forget(life(1)))
	})
	t.Run("when there are too many", func(t *testing.T) {
		t.Parallel()
		x := begin()
		for pid := 2; pid < 4*maxWatched; pid++ {
			x.watch(life(pid), 0, followFor)
			assert.LessOrEqual(t, len(x.ofRoot.young.users)+len(x.ofRoot.old.users), 2*maxWatched)
		}
		assert.False(t, x.forget(life(1)))
		assert.True(t, x.forget(life(3*maxWatched)))
	})
	t.Run("not because of others'", func(t *testing.T) {
		t.Parallel()
		x := begin()
		x.watch(life(2), 27, followFor)
		for pid := 3; pid < 8*maxWatched; pid++ {
			x.watch(life(pid), 65534, followFor)
		}
		assert.True(t, x.forget(life(1)), "root's")
		assert.True(t, x.forget(life(2)), "another user's")
		assert.True(t, x.forget(life(3)), "his own first ones")
		assert.False(t, x.forget(life(3+maxWatchedOfUser)))
		x.watch(life(3+maxWatchedOfUser), 65534, followFor)
		assert.True(t, x.forget(life(3+maxWatchedOfUser)), "one has ended since")
		assert.Len(t, x.others.young.count, 1)
	})
	t.Run("if they are of too many users", func(t *testing.T) {
		t.Parallel()
		x := begin()
		for pid := 2; pid < 4*maxWatched; pid++ {
			x.watch(life(pid), uint32(pid), followFor)
			assert.LessOrEqual(t, len(x.others.young.users)+len(x.others.old.users), 2*maxWatched)
		}
		assert.True(t, x.forget(life(1)))
	})
}
