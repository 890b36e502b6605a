// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// While little happens, the reader does not look by itself, and whatever happens wakes it.
func TestReaderRests(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	assert.True(t, r.rests())
	assert.NotEqual(t, pollInterval, r.settle())
	for name, raw := range map[string][]byte{
		"a process": bytesOf(&kernelExitRecord{Kind: kindExit}), "a request": asking(kindConnect, ""),
	} {
		came := make(chan int)
		go func() {
			n, err := r.await(newRecord(), time.Hour)
			assert.NoError(t, err, name)
			came <- n
		}()
		require.Eventually(t, func() bool { return ring.waitsFor() == anything }, limit, time.Millisecond, name)
		ring.writeLife(raw)
		assert.Equal(t, 1, <-came, name)
		before := r.happenings()
		r.settle()
		assert.Equal(t, before+1, r.happenings(), name)
		assert.True(t, r.rests(), name)
	}
}

// Where more happens, the reader looks by itself, which is cheaper than to be woken each time, until little happens again.
func TestReaderOfABusyHost(t *testing.T) {
	t.Parallel()
	r, ring, clock := newFakeReader()
	clock.Store(int64(time.Hour))
	// look looks several times, as often as the reader does by itself; something has happened before every nth time.
	look := func(times, n int) {
		for i := range times {
			if i%n == 0 {
				ring.writeSilently(bytesOf(&kernelExitRecord{Kind: kindExit}))
			}
			_, err := r.drain(newRecord())
			require.NoError(t, err)
			r.settle()
			clock.Add(int64(pollInterval))
		}
	}
	look(100, 2)
	assert.True(t, r.rests(), "to be woken twice a second is cheaper than to look four times")
	for range quietTimes + 1 {
		look(1, 1)
		clock.Add(-int64(pollInterval / 2)) // woken more often
	}
	assert.False(t, r.rests())
	assert.Equal(t, pollInterval, r.settle())
	look(100, 1)
	assert.False(t, r.rests())
	look(24, 4)
	assert.True(t, r.rests())
}

// What is only counted wakes nobody, and is noticed all the same.
func TestReaderDoesNotRestInAStorm(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.counting = true
	assert.False(t, r.rests())
	assert.Equal(t, pollInterval, r.settle())
	require.NoError(t, r.overlooked())
	assert.Len(t, ring.flushed, 1)
	ring.counting = false
	assert.True(t, r.rests())
}

// Signals that were only counted are something that happens, of which the counts are reported.
func TestSumsAreSomethingThatHappens(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	r.settle()
	assert.Zero(t, r.happenings())
	ring.sum = &kernelSum{Count: 7}
	r.settle()
	assert.EqualValues(t, 1, r.happenings())
	r.settle()
	assert.EqualValues(t, 1, r.happenings())
}

// While the pipeline is far behind, the programs count more, until the reader has told them that it is not any more.
func TestReaderDoesNotRestUnderPressure(t *testing.T) {
	t.Parallel()
	r, _, _ := newFakeReader()
	for n := 0; !r.queue.Pressed(); n++ {
		r.queue.Add(source.Events([]*kill.Event{{Kind: kill.KindSignal, Signal: kill.SIGKILL, Sender: kill.Process{PID: n + 1}}}))
	}
	assert.False(t, r.rests())
	for r.queue.Len() > 0 {
		r.queue.Take(1000)
	}
	assert.True(t, r.rests())
}

// A record that has woken nobody does not wait for long.
func TestReaderIsWokenForWhatItHasOverlooked(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	begin(t, r)
	require.Eventually(t, func() bool { return ring.waitsFor() == anything }, limit, time.Millisecond)
	require.NoError(t, r.overlooked())
	assert.Empty(t, ring.flushed, "there is nothing")
	ring.writeSilently(bytesOf(kills()))
	require.NoError(t, r.overlooked())
	assert.Equal(t, 10, next(t, r).Sender.PID)
}

// The reader's own heartbeat is nothing that happens.
func TestReaderRestsBetweenBeats(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	for range quietTimes + 1 {
		ring.writeSilently(bytesOf(&kernelPulseRecord{Kind: kindPulse, Number: 7}))
		_, err := r.drain(newRecord())
		require.NoError(t, err)
		r.settle()
	}
	assert.True(t, r.rests())
	assert.Zero(t, r.happenings())
	assert.EqualValues(t, 7, r.heard())
}
