// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func init() { roles["flood"] = beFlood }

// beFlood sends a signal as often as it is asked to, to a process that ignores it.
func beFlood(arguments []string) {
	target, err := strconv.Atoi(arguments[0])
	check(err)
	runtime.LockOSThread()
	check(os.WriteFile("/proc/thread-self/comm", []byte(arguments[1]), 0))
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		times, err := strconv.Atoi(input.Text())
		check(err)
		for range times {
			check(unix.Kill(target, unix.Signal(floodSignal)))
		}
		fmt.Println(times) //nolint:forbidigo // this is how it answers
	}
}

// floodSignal is a signal that is rarely sent.
const floodSignal kill.Signal = 60

const floodSenders = 4

// flood is a source whose events are only counted.
type flood struct {
	*Source
	senders   []*helper
	target    *helper
	sent      atomic.Int64
	delivered atomic.Int64
	records   atomic.Int64
	wrong     atomic.Pointer[kill.Event]
	stop      func()
}

// startFlood returns a source with its senders. No events are accepted until taking is closed.
func startFlood(t *testing.T, ring int, taking <-chan struct{}) *flood {
	t.Helper()
	needRoot(t)
	f := &flood{target: help(t, "target", nil)}
	settings := newSettings(t)
	settings.RingBuffer, settings.Logger = ring, zap.NewNop()
	name := fmt.Sprintf("flood-%d", os.Getpid()) // there may be more such tests at the same time
	settings.Signals, settings.Senders = []kill.Signal{floodSignal}, []string{name}
	f.Source = New(settings)
	require.NoError(t, f.Start(t.Context()))
	var thread int
	f.target.read(&thread)
	for range floodSenders {
		f.senders = append(f.senders, help(t, "flood", nil, itoa(f.target.pid), name))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		f.Run(ctx, func(seen []source.Observation) error {
			<-taking
			for _, o := range seen {
				e := o.Event
				if e.Signal != floodSignal || e.Sender.Command != name || e.Targets[0].Command == "" || len(e.Targets) != 1 || e.Targets[0].PID != f.target.pid || !e.Complete {
					f.wrong.Store(e)
				}
			}
			f.records.Add(int64(len(seen)))
			for _, o := range seen {
				f.delivered.Add(int64(o.Event.Signals()))
			}
			return nil
		})
	})
	f.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		assert.NoError(t, f.Close())
	})
	t.Cleanup(f.stop)
	return f
}

// send makes each sender send so many signals in turns. Before each turn it calls may.
func (f *flood) send(t *testing.T, turns, times int, may func() bool) {
	t.Helper()
	var sending sync.WaitGroup
	for _, sender := range f.senders {
		sending.Go(func() {
			for range turns {
				if !assert.Eventually(t, may, limit, 100*time.Microsecond) {
					return
				}
				f.sent.Add(int64(times))
				if _, err := fmt.Fprintln(sender.in, times); err != nil || !sender.out.Scan() {
					t.Error("a sender has ended", err)
					return
				}
			}
		})
	}
	sending.Wait()
}

func (f *flood) lost() int64 {
	return f.settings.Counts.Lost(source.RingSignals) + f.settings.Counts.Lost(source.QueueFull)
}

// A source that has enough time loses nothing.
func TestAMillionSignals(t *testing.T) {
	const times = 500
	turns := 500
	if testing.Short() { // a machine that is emulated would take minutes
		turns /= 25
	}
	f := startFlood(t, 8<<20, now())
	f.send(t, turns, times, func() bool { return f.sent.Load()-f.delivered.Load() < floodSenders*times })
	require.Eventually(t, func() bool { return f.delivered.Load() >= f.sent.Load() }, limit, time.Millisecond)
	f.stop()
	assert.EqualValues(t, floodSenders*turns*times, f.sent.Load())
	assert.Equal(t, f.sent.Load(), f.delivered.Load())
	assert.Zero(t, f.lost())
	assert.Nil(t, f.wrong.Load())
}

// now accepts events from the beginning.
func now() <-chan struct{} {
	taking := make(chan struct{})
	close(taking)
	return taking
}

// requireAllTold checks that each signal was told, although not by itself.
func (f *flood) requireAllTold(t *testing.T) {
	t.Helper()
	assert.Eventually(t, func() bool { return f.delivered.Load() >= f.sent.Load() }, limit, 10*time.Millisecond)
	f.stop()
	assert.Equal(t, f.sent.Load(), f.delivered.Load())
	assert.Zero(t, f.lost())
	assert.Less(t, f.records.Load(), f.sent.Load()/2)
	assert.Nil(t, f.wrong.Load())
	t.Logf("%d signals in %d events", f.sent.Load(), f.records.Load())
}

func TestSumsOfTheRing(t *testing.T) {
	times := 50_000
	if testing.Short() { // as above
		times /= 5
	}
	f := startFlood(t, 64<<10, now())
	f.send(t, 1, times, func() bool { return true })
	f.requireAllTold(t)
}

func TestSumsOfTheQueue(t *testing.T) {
	const ring = 8 << 20
	taking := make(chan struct{})
	f := startFlood(t, ring, taking)
	defer f.stop()
	take := sync.OnceFunc(func() { close(taking) })
	defer take()
	f.send(t, 50, 500, func() bool { return f.reader.ring.AvailableBytes() < ring/4 })
	take()
	f.requireAllTold(t)
}
