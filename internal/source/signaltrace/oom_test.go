// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package signaltrace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// slays is a SIGKILL that the kernel sends, in the time of a thread.
func slays(at time.Duration, thread, target uint32) []byte {
	return bytesOf(sends(func(r *kernelSignalRecord) {
		r.Special, r.Signal, r.Time = infoPriv, int32(kill.SIGKILL), uint64(at)
		r.Sender.Thread, r.Call.Number, r.Target = thread, callNone, party(target, "eater")
	}))
}

// chooses is the OOM killer's naming of its victim, in the time of thread 10.
func chooses(at time.Duration, victim uint32) []byte {
	return bytesOf(&kernelVictimRecord{Kind: kindVictim, Time: uint64(at), Thread: 10, Pid: victim})
}

func TestOOM(t *testing.T) {
	t.Parallel()
	const start, soon = time.Second, time.Second + 100*time.Microsecond
	tests := map[string]struct {
		records [][]byte
		// now is what comes at once, later what comes when all waiting is over.
		now, later []string
	}{
		"killed, then named": {
			records: [][]byte{slays(start, 10, 20), chooses(soon, 20)},
			now:     []string{"0>[20] oom"},
		},
		"named, then killed": {
			records: [][]byte{chooses(start, 20), slays(soon, 10, 20)},
			now:     []string{"0>[20] oom"},
		},
		"others that share its memory": {
			records: [][]byte{slays(start, 10, 20), chooses(soon, 20), slays(soon, 10, 21), slays(soon, 10, 22)},
			now:     []string{"0>[20] oom", "0>[21] oom", "0>[22] oom"},
		},
		"a whole control group": {
			records: [][]byte{slays(start, 10, 20), chooses(start, 20), slays(soon, 10, 21), chooses(soon, 21)},
			now:     []string{"0>[20] oom", "0>[21] oom"},
		},
		"the records of another processor come first": {
			records: [][]byte{slays(soon, 10, 20), chooses(start, 20)},
			now:     []string{"0>[20] oom"},
		},
		"no victim at all": {
			records: [][]byte{slays(start, 10, 20)},
			later:   []string{"10>[20]"},
		},
		"another thread's kill at the same time": {
			records: [][]byte{slays(start, 11, 30), slays(start, 10, 20), chooses(soon, 20)},
			now:     []string{"0>[20] oom"}, later: []string{"11>[30]"},
		},
		"long before": {
			records: [][]byte{slays(start, 10, 20), chooses(start+oomWindow, 20)},
			later:   []string{"10>[20]"},
		},
		"long after": {
			records: [][]byte{chooses(start, 20), slays(start+oomWindow, 10, 21)},
			later:   []string{"10>[21]"},
		},
		"a victim that was dying already": {records: [][]byte{chooses(start, 20)}},
		"a signal other than SIGKILL": {
			records: [][]byte{bytesOf(sends(func(r *kernelSignalRecord) { r.Special = infoPriv })), chooses(start, 20)},
			now:     []string{"10>[20]"},
		},
		"a kill by a process": {
			records: [][]byte{chooses(start, 20), bytesOf(sends(func(r *kernelSignalRecord) { r.Signal, r.Call.Signal = 9, 9 }))},
			now:     []string{"10>[20]"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			for _, raw := range tt.records {
				b.add(raw)
			}
			assert.Equal(t, tt.now, b.take())
			assert.Equal(t, len(tt.later), b.pending())
			assert.Zero(t, b.expire(start+time.Minute))
			assert.Equal(t, tt.later, b.take())
			assert.Zero(t, b.pending())
			assert.Empty(t, b.victims, "nobody is remembered for good")
		})
	}
}

func TestHeldForTheWindow(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(slays(time.Second, 10, 20))
	b.add(slays(time.Second+time.Millisecond, 10, 21))
	assert.Equal(t, oomWindow, b.expire(time.Second))
	assert.Empty(t, b.take())
	assert.Equal(t, time.Millisecond, b.expire(time.Second+oomWindow))
	assert.Equal(t, []string{"10>[20]"}, b.take())
	b.flush()
	assert.Equal(t, []string{"10>[21]"}, b.take())
	assert.Zero(t, b.pending())
}

// The thread in whose time a victim died may do other things later.
func TestVictimsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(chooses(time.Second, 20))
	b.expire(time.Second + 2*oomWindow - 1)
	assert.Len(t, b.victims, 1)
	b.expire(time.Second + 2*oomWindow)
	assert.Empty(t, b.victims)
}
