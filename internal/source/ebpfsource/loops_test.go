// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// slays is a SIGKILL that the kernel sends while a thread is running.
func slays(at time.Duration, thread, target uint32) []byte {
	return slaysAs(infoPriv, at, thread, target)
}

// slaysAs is slays with the given kind of siginfo.
func slaysAs(special uint8, at time.Duration, thread, target uint32) []byte {
	return bytesOf(sends(func(r *kernelSignalRecord) {
		r.Special, r.Signal, r.Time = special, int32(kill.SIGKILL), uint64(at)
		r.Sender, r.Call.Number, r.Target = party(thread, "eater"), callNone, party(target, "eaten")
	}))
}

// chooses is the OOM killer's report of its victim, while thread 10 is running.
func chooses(at time.Duration, victim uint32) []byte {
	return bytesOf(&kernelVictimRecord{Kind: kindVictim, Time: uint64(at), Thread: 10, Pid: victim})
}

const (
	early = time.Second
	soon  = early + 100*time.Microsecond
)

func TestLoops(t *testing.T) {
	t.Parallel()
	const apart = early + loopWindow
	group := func(at time.Duration, target uint32) []byte { return slaysAs(infoNone, at, 10, target) }
	tests := map[string]struct {
		records [][]byte
		// want is what is emitted once all waiting is over, in the order in which the events began.
		want []string
	}{
		"killed, then named": {
			records: [][]byte{slays(early, 10, 20), chooses(soon, 20)}, want: []string{"0>[20] oom"},
		},
		"named, then killed": {
			records: [][]byte{chooses(early, 20), slays(soon, 10, 20)}, want: []string{"0>[20] oom"},
		},
		"others that share its memory": {
			records: [][]byte{slays(early, 10, 20), chooses(soon, 20), slays(soon, 10, 22), slays(soon, 10, 21)},
			want:    []string{"0>[20 21 22] oom"},
		},
		"others after a while": {
			records: [][]byte{slays(early, 10, 20), chooses(early, 20), slays(apart, 10, 21)},
			want:    []string{"0>[20] oom", "0>[21] oom"},
		},
		"a whole control group": {
			records: [][]byte{
				slays(early, 10, 20), chooses(early, 20), slays(soon, 10, 21), chooses(soon, 21), slays(soon, 10, 20),
				chooses(soon, 20), slays(soon, 10, 22), chooses(soon, 22), slays(soon, 10, 21),
			},
			want: []string{"0>[20 21 22] oom"},
		},
		"the records of another processor come first": {
			records: [][]byte{slays(soon, 10, 20), chooses(early, 20)}, want: []string{"0>[20] oom"},
		},
		"no victim at all": {
			records: [][]byte{slays(early, 10, 20)}, want: []string{"10>[20]"},
		},
		"another thread's kill at the same time": {
			records: [][]byte{slays(early, 11, 30), slays(early, 10, 20), chooses(soon, 20), slays(soon, 11, 31)},
			want:    []string{"0>[20] oom", "11>[30 31]"},
		},
		"a control group at the same time": {
			records: [][]byte{group(early, 30), slays(early, 10, 20), chooses(soon, 20), group(soon, 31)},
			want:    []string{"10>[30 31]", "0>[20] oom"},
		},
		"long before": {
			records: [][]byte{slays(early, 10, 20), chooses(early+oomWindow, 20)}, want: []string{"10>[20]"},
		},
		"long after": {
			records: [][]byte{chooses(early, 20), slays(early+oomWindow, 10, 21)}, want: []string{"10>[21]"},
		},
		"a victim that was dying already": {records: [][]byte{chooses(early, 20)}},
		"a pid namespace": {
			records: [][]byte{slays(early, 10, 22), slays(soon, 10, 20), slays(soon, 10, 21)},
			want:    []string{"10>[20 21 22]"},
		},
		"a pid namespace, with interruptions": {
			records: [][]byte{slays(early, 10, 20), slays(early+oomWindow-1, 10, 21), slays(early+2*oomWindow-1, 10, 22)},
			want:    []string{"10>[20 21]", "10>[22]"},
		},
		"control groups, one after the other": {
			records: [][]byte{group(early, 20), group(soon, 21), group(soon+loopWindow-1, 22), group(soon+2*loopWindow-1, 23)},
			want:    []string{"10>[20 21 22]", "10>[23]"},
		},
		"the control group of who kills it": {
			records: [][]byte{group(early, 10), group(early, 20)}, want: []string{"10>[10 20]"},
		},
		"who kills its control group is alone in it": {
			records: [][]byte{group(early, 10)}, want: []string{"0>[10]"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			for _, raw := range tt.records {
				b.add(raw)
			}
			assert.Empty(t, b.take(), "nothing is known to be complete")
			assert.Equal(t, len(tt.want), b.pending())
			assert.Zero(t, b.expire(early+time.Minute))
			assert.ElementsMatch(t, tt.want, b.take())
			assert.Zero(t, b.pending())
			assert.Empty(t, b.victims, "no victim is remembered forever")
			assert.Empty(t, b.current)
		})
	}
}

// A signal that is no kill by the kernel, or that carries siginfo, waits for nothing.
func TestNoLoops(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string][]byte{
		"another signal":    bytesOf(sends(func(r *kernelSignalRecord) { r.Special = infoPriv })),
		"a kill by process": bytesOf(sends(func(r *kernelSignalRecord) { r.Signal, r.Call.Signal = 9, 9 })),
		"a fault":           bytesOf(sends(func(r *kernelSignalRecord) { r.Signal, r.Code, r.Call.Number = 9, codeKernel, callNone })),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			b.add(chooses(early, 20))
			b.add(raw)
			assert.Len(t, b.take(), 1)
			assert.Zero(t, b.pending())
		})
	}
}

// What an event says about many targets is what is true for all of them.
func TestLoopOfMany(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		records [][]byte
		partial bool
		scope   kill.Scope
		count   int
	}{
		"one":               {[][]byte{slays(early, 10, 20)}, false, kill.ScopeProcess, 1},
		"one of those told": {[][]byte{slays(early, 10, 20)}, true, kill.ScopeProcess, 1},
		"two":               {[][]byte{slays(early, 10, 20), slays(soon, 10, 21)}, false, kill.ScopeUnknown, 2},
		"two of those told": {[][]byte{slays(early, 10, 20), slays(soon, 10, 21)}, true, kill.ScopeUnknown, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(func(c *assemblerConfig) { c.partial = tt.partial })
			for _, raw := range tt.records {
				b.add(raw)
			}
			b.flush()
			require.Len(t, b.events, 1)
			e := b.events[0].Event
			assert.Equal(t, tt.scope, e.Scope)
			assert.Equal(t, tt.count, e.TargetCount)
			assert.Equal(t, boot.Add(early), e.Time, "of the first")
			assert.Equal(t, kill.OriginKernel, e.Origin)
			assert.Equal(t, kill.DeliveryDelivered, e.Delivery)
			assert.True(t, e.Complete)
		})
	}
}

func TestLoopsAreHeld(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		records [][]byte
		wait    time.Duration
	}{
		"for the OOM killer":       {[][]byte{slays(early, 10, 20)}, oomWindow},
		"for others":               {[][]byte{slaysAs(infoNone, early, 10, 20)}, loopWindow},
		"for others of a victim":   {[][]byte{slays(early, 10, 20), chooses(early, 20)}, loopWindow},
		"from the last of many on": {[][]byte{slays(soon, 10, 20), slays(early, 10, 21)}, oomWindow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			for _, raw := range tt.records {
				b.add(raw)
			}
			assert.Equal(t, tt.wait, b.expire(early))
			assert.Equal(t, time.Millisecond, b.expire(early+tt.wait-1), "no sleep is shorter")
			assert.Empty(t, b.take())
			assert.Zero(t, b.expire(early+tt.wait))
			assert.Len(t, b.take(), 1)
		})
	}
}

// A thread that makes the kernel kill all the time does not fill the memory.
func TestLoopsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	kills := 0
	for at := early; at <= early+2*longestLoop; at += loopWindow / 2 {
		b.add(slays(at, 10, uint32(20+kills)))
		kills++
	}
	b.flush()
	require.Len(t, b.events, 2)
	assert.Equal(t, kills, len(b.events[0].Event.Targets)+len(b.events[1].Event.Targets))
}

func TestLoopsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *assemblerConfig) { c.maxPending = 2 })
	for thread := uint32(10); thread < 13; thread++ {
		b.add(slays(early, thread, 20))
	}
	assert.Equal(t, []string{"10>[20]"}, b.take(), "who has waited longest")
	assert.Equal(t, 2, b.pending())
	assert.Len(t, b.current, 2)
	assert.EqualValues(t, 1, b.counts.evicted)
}

// If something was lost meanwhile, there may be more targets than those reported.
func TestLoopsWithLosses(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(slays(early, 10, 20))
	b.add(slays(early, 10, 21))
	b.add(slays(early, 11, 30))
	b.lostSoFar = func() uint64 { return 1 }
	b.flush()
	assert.Equal(t, []string{"10>[20 21] incomplete", "11>[30]"}, b.take())
	assert.EqualValues(t, 1, b.counts.incomplete)
}

// The thread that was running when a victim died may do other things later.
func TestVictimsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(chooses(time.Second, 20))
	b.expire(time.Second + 2*oomWindow - 1)
	assert.Len(t, b.victims, 1)
	b.expire(time.Second + 2*oomWindow)
	assert.Empty(t, b.victims)
}
