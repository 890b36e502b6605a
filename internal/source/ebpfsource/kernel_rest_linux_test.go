// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os/exec"
	"testing"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Only a reader that rests is woken by the record of a process.
func TestProcessesWakeWhoRests(t *testing.T) {
	needRoot(t)
	p, err := load(wish{ring: 4 << 20, signals: []kill.Signal{kill.SIGKILL}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.close()) }()
	require.NoError(t, p.attachProcesses())
	ring, err := ringbuf.NewReader(p.collection.Maps[kernelMapRing])
	require.NoError(t, err)
	defer func() { assert.NoError(t, ring.Close()) }()
	// wait empties the ring, waits, and returns whether the end of a program has ended that.
	wait := func(by alarm, patience time.Duration) bool {
		var record ringbuf.Record
		ring.SetDeadline(time.Unix(0, 1))
		for err := error(nil); err == nil; {
			err = ring.ReadInto(&record)
		}
		require.NoError(t, p.wake(by))
		ended := make(chan error, 1)
		go func() {
			time.Sleep(100 * time.Millisecond)  // until it is waited for; if it is not yet, the test shows less
			ended <- exec.Command("true").Run() //nolint:noctx // at once
		}()
		deadline := time.Now().Add(patience)
		ring.SetDeadline(deadline)
		require.NoError(t, ring.ReadInto(&record)) // which also reads what has woken nobody, in the end
		woken := time.Now().Before(deadline)
		require.NoError(t, <-ended)
		return woken
	}
	assert.True(t, wait(anything, limit))
	woken := true
	for try := 0; woken && try < 20; try++ { // if there is a record of another process already, it does not wait
		woken = wait(aSignal, time.Second)
	}
	assert.False(t, woken)
	assert.True(t, wait(anything, limit))
}
