// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// limit is how long anything may take on a busy machine.
const limit = 30 * time.Second

// fakeRing stands in for the ring, and for the programs that write to it.
type fakeRing struct {
	mutex    sync.Mutex
	records  [][]byte
	deadline time.Time
	// by is what wakes the reader. onWake is called before the kernel knows that.
	by     alarm
	onWake func(by alarm)
	lost   losses
	asked  atomic.Int32
	// unwritten is how many of the next reads find a record that is not complete yet.
	unwritten int
	// sum are signals that were counted, and not taken yet.
	sum *kernelSum
	// counting is true while the programs count signals instead of reporting each.
	counting bool
	// endless is a record that arrives again and again.
	endless []byte
	failure error

	woken, flushed chan struct{}
}

func newFakeRing() *fakeRing {
	return &fakeRing{woken: make(chan struct{}, 1), flushed: make(chan struct{}, 1)}
}

// write adds a record, and wakes a reader that wants to be.
func (f *fakeRing) write(raw []byte) { f.writeFor(aSignal, raw) }

// writeLife adds the record of a process, which wakes only a reader that rests.
func (f *fakeRing) writeLife(raw []byte) { f.writeFor(anything, raw) }

func (f *fakeRing) writeFor(least alarm, raw []byte) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.records = append(f.records, aligned(raw))
	if f.by >= least {
		f.by = awake
		f.woken <- struct{}{}
	}
}

// writeSilently adds a record that wakes nothing.
func (f *fakeRing) writeSilently(raw []byte) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.records = append(f.records, aligned(raw))
}

func (f *fakeRing) AvailableBytes() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.endless != nil && len(f.records) < 100 {
		f.records = append(f.records, f.endless)
	}
	bytes := 0
	for _, raw := range f.records {
		bytes += ringHeader + len(raw)
	}
	return bytes
}

func (f *fakeRing) SetDeadline(deadline time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.deadline = deadline
}

// ReadInto returns a record if there is one, even without having waited.
func (f *fakeRing) ReadInto(record *ringbuf.Record) error {
	f.mutex.Lock()
	patience := time.Until(f.deadline)
	f.mutex.Unlock()
	if done, err := f.pop(record); done {
		return err
	}
	err := os.ErrDeadlineExceeded
	select {
	case <-f.woken:
		err = nil
	case <-f.flushed:
		err = ringbuf.ErrFlushed
	case <-time.After(patience):
	}
	if done, found := f.pop(record); done {
		return found
	}
	return err
}

func (f *fakeRing) pop(record *ringbuf.Record) (bool, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	switch {
	case f.failure != nil:
		return true, f.failure
	case len(f.records) == 0:
		return false, nil
	case f.unwritten > 0:
		f.unwritten--
		return true, os.ErrDeadlineExceeded
	}
	record.RawSample, f.records = f.records[0], f.records[1:]
	return true, nil
}

func (f *fakeRing) Flush() error {
	select {
	case f.flushed <- struct{}{}:
	default: // it will be flushed
	}
	return nil
}

func (*fakeRing) Close() error { return nil }

func (f *fakeRing) wake(by alarm) error {
	if f.onWake != nil {
		f.onWake(by)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.by = by
	return f.failure
}

func (f *fakeRing) emptied(bool) error { return nil }

func (f *fakeRing) sums(_ time.Duration, add func(*kernelSumKey, *kernelSum)) (bool, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.sum != nil {
		add(&kernelSumKey{Kind: kindSignal, Special: infoOwn, Signal: int32(kill.SIGTERM)}, f.sum)
		f.sum = nil
	}
	return true, nil
}

func (f *fakeRing) counts() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.counting
}

func (f *fakeRing) losses() (losses, error) {
	f.asked.Add(1)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.lost, nil
}

func (f *fakeRing) isWaiting() bool { return f.waitsFor() != awake }

func (f *fakeRing) waitsFor() alarm {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.by
}

// newFakeReader returns a reader of a fake ring, at a time that the test sets.
func newFakeReader() (*reader, *fakeRing, *atomic.Int64) {
	ring, events := newFakeRing(), (*events)(nil)
	events, _ = newFakeEvents()
	r := newReader(ring, ring, assemblerConfig{timeout: time.Second, maxPending: 10, seesEnds: true}, events)
	clock := new(atomic.Int64)
	r.now = func() time.Duration { return time.Duration(clock.Load()) }
	return r, ring, clock
}

// begin lets the reader run until the test ends.
func begin(t *testing.T, r *reader) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- r.run() }()
	t.Cleanup(func() {
		assert.NoError(t, r.end())
		assert.NoError(t, <-ended)
	})
}

// next waits for an event.
func next(t *testing.T, r *reader) *kill.Event {
	t.Helper()
	var taken []source.Observation
	require.Eventually(t, func() bool {
		taken = r.queue.Take(1)
		return len(taken) > 0
	}, limit, time.Millisecond)
	return taken[0].Event
}

func newRecord() *ringbuf.Record { return &ringbuf.Record{} }

func TestReaderIsWoken(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	came := make(chan int)
	go func() {
		n, err := r.await(newRecord(), time.Hour)
		assert.NoError(t, err)
		came <- n
	}()
	require.Eventually(t, ring.isWaiting, limit, time.Millisecond)
	ring.write(bytesOf(kills()))
	assert.Equal(t, 1, <-came)
	assert.False(t, ring.isWaiting(), "who does not sleep is not woken")
}

// A record may arrive when the reader has found the ring empty, but the kernel does not know yet
// that the reader is about to sleep.
func TestReaderSleepsOverNothing(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.onWake = func(by alarm) {
		if by != awake {
			ring.write(bytesOf(kills()))
		}
	}
	_, err := r.await(newRecord(), time.Hour)
	require.NoError(t, err)
	n, err := r.drain(newRecord())
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.False(t, ring.isWaiting())
}

// The records of processes wake nothing, and are read when the reader checks on its own.
func TestReaderLooksByItself(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	r.busy = true
	begin(t, r)
	require.Eventually(t, ring.isWaiting, limit, time.Millisecond)
	ring.writeSilently(bytesOf(kills()))
	assert.Equal(t, 10, next(t, r).Sender.PID)
}

func TestReaderWaitsForWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.unwritten = 3
	ring.writeSilently(bytesOf(kills()))
	ring.writeSilently(bytesOf(sends(func(r *kernelSignalRecord) { r.Sender.Identity.Pid = 11 })))
	begin(t, r)
	assert.Equal(t, 10, next(t, r).Sender.PID)
	assert.Equal(t, 11, next(t, r).Sender.PID, "in the order of the ring")
}

// However much arrives, what waits is checked, and losses are noticed.
func TestReaderOfARingThatIsNeverEmpty(t *testing.T) {
	t.Parallel()
	r, ring, clock := newFakeReader()
	ring.writeSilently(slays(0, 10, 20))
	ring.writeSilently(strikes(11, toGroup(-1), 30))
	ring.endless = aligned(bytesOf(&kernelExitRecord{Kind: kindExit}))
	ring.lost.signals = 7
	begin(t, r)
	clock.Store(int64(time.Minute))
	events := map[int]bool{next(t, r).Targets[0].PID: true, next(t, r).Targets[0].PID: true}
	assert.Equal(t, map[int]bool{20: true, 30: true}, events)
	assert.EqualValues(t, 7, r.snapshot().signals)
}

// A reader that was kept from running finds in the ring what arrived in time.
func TestReaderThatIsLate(t *testing.T) {
	t.Parallel()
	r, ring, clock := newFakeReader()
	ring.writeSilently(slays(0, 10, 20))
	ring.writeSilently(strikes(11, toGroup(-1), 30))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	ring.writeSilently(chooses(time.Millisecond, 20))
	ring.writeSilently(ends(11, toGroup(-1), 0))
	clock.Store(int64(time.Minute))
	r.settle()
	assert.Empty(t, r.queue.Take(10), "it has not read on yet")
	_, err = r.drain(newRecord())
	require.NoError(t, err)
	r.settle()
	events := r.queue.Take(10)
	require.Len(t, events, 2)
	assert.True(t, events[0].Event.Complete)
	assert.Equal(t, kill.CauseOOM, events[1].Event.Cause)
}

// The same, with so much in the ring that it takes several batches.
func TestReaderThatIsLateByManyBatches(t *testing.T) {
	t.Parallel()
	r, ring, clock := newFakeReader()
	ring.writeSilently(slays(0, 10, 20))
	for range 3 * batch {
		ring.writeSilently(bytesOf(&kernelExitRecord{Kind: kindExit}))
	}
	ring.writeSilently(chooses(time.Millisecond, 20))
	clock.Store(int64(time.Minute))
	for ring.AvailableBytes() > 0 {
		_, err := r.drain(newRecord())
		require.NoError(t, err)
		r.settle()
	}
	events := r.queue.Take(10)
	require.Len(t, events, 1)
	assert.Equal(t, kill.CauseOOM, events[0].Event.Cause)
}

// Losses during a call to a group make it incomplete.
func TestReaderNoticesLosses(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.writeSilently(strikes(10, toGroup(-1), 20))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	r.settle()
	ring.lost = losses{signals: 1, processes: 5}
	r.settle()
	ring.writeSilently(ends(10, toGroup(-1), 0))
	_, err = r.drain(newRecord())
	require.NoError(t, err)
	assert.False(t, next(t, r).Complete)
	assert.Equal(t, losses{signals: 1, processes: 5}, r.snapshot().losses)
}

// The reader sleeps no longer than what waits may wait.
func TestReaderWaits(t *testing.T) {
	t.Parallel()
	r, ring, clock := newFakeReader()
	r.busy = true
	assert.Equal(t, pollInterval, r.settle())
	ring.writeSilently(slays(0, 10, 20))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	assert.Equal(t, oomWindow, r.settle())
	clock.Store(int64(oomWindow - 3*time.Millisecond))
	_, err = r.drain(newRecord())
	require.NoError(t, err)
	assert.Equal(t, 3*time.Millisecond, r.settle())
}

func TestReaderFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, prepare := range map[string]func(*fakeRing){
		"while it waits": func(*fakeRing) {},
		"while it reads": func(f *fakeRing) { f.writeSilently(bytesOf(kills())) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ring, _ := newFakeReader()
			prepare(ring)
			ring.failure = broken
			require.ErrorIs(t, r.run(), broken)
		})
	}
}

// At the end everything that waits is emitted, and nothing that arrives later.
func TestReaderFlush(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.writeSilently(slays(0, 10, 20))
	ring.writeSilently(strikes(11, toGroup(-1), 30))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	assert.Equal(t, 2, r.snapshot().pending)
	r.flush()
	assert.Len(t, r.queue.Take(10), 2)
	ring.writeSilently(bytesOf(kills()))
	_, err = r.drain(newRecord())
	require.NoError(t, err)
	assert.Empty(t, r.queue.Take(10))
	assert.EqualValues(t, 3, r.snapshot().records)
}

// A process can be watched without having been seen to be signaled.
func TestReaderFollows(t *testing.T) {
	t.Parallel()
	ring := newFakeRing()
	events, _ := newFakeEvents()
	r := newReader(ring, ring, assemblerConfig{timeout: time.Second, maxPending: 10, followFor: time.Minute}, events)
	r.watch(process.Key{PID: 20, Start: 20 * tick})
	ring.writeSilently(ending(21, 0))
	ring.writeSilently(ending(20, 15))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	taken := r.queue.Take(10)
	require.Len(t, taken, 1)
	require.NotNil(t, taken[0].End)
	assert.Equal(t, 20, taken[0].End.PID)
}

// A full queue drops the end of a process like any event.
func TestReaderDropsEnds(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	r.assembler.exits = newExits(time.Minute)
	r.watch(process.Key{PID: 20, Start: 20 * tick})
	r.queue.Add(source.Events([]*kill.Event{{Targets: make([]kill.Process, queue.Max)}}))
	ring.writeSilently(ending(20, 15))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	assert.Len(t, r.queue.Take(10), 1)
	assert.EqualValues(t, 1, r.snapshot().dropped)
}
