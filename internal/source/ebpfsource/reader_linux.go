// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/rhythm"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// pollInterval is how often the reader looks by itself, because the records of processes do not wake it. If no more
	// than quietTimes things happen within quietAfter, every record wakes it, and it looks every quietInterval only: waking
	// up is most of what it costs there.
	pollInterval  = 250 * time.Millisecond
	quietAfter    = 2 * time.Second
	quietTimes    = 8
	quietInterval = 10 * time.Second
	// pace is how long the reader lets records gather after a single one, somePace after several, and busyPace after
	// at least busyFrom: a wakeup costs the sender of a signal more than everything else, and the goroutines that
	// take the events have to wake up as well. At 500,000 signals a second 5,000 arrive during the longest of them, and
	// the default ring holds 8,000.
	pace     = 2 * time.Millisecond
	somePace = 5 * time.Millisecond
	busyPace = 10 * time.Millisecond
	busyFrom = 32
	// clockInterval is how often the two clocks are compared, clockBracket how long the
	// comparison may take to be valid: it may be interrupted.
	clockInterval = time.Second
	clockBracket  = 20 * time.Microsecond
	// batch is how many records the reader handles before it hands on their events.
	batch = 512
	// ringHeader is the size of the header of each record (include/uapi/linux/bpf.h,
	// BPF_RINGBUF_HDR_SZ).
	ringHeader = 8
	// ringAlign is what the size of each is rounded up to.
	ringAlign = 8
)

// alarm is what wakes the reader while it waits (kernel/signal.bpf.c, waiting).
type alarm uint32

const (
	// awake is a reader that does not wait.
	awake alarm = iota
	// aSignal is everything but the records of processes and requests, unless they fill the ring.
	aSignal
	// anything is every record.
	anything
)

// ring is the part of ringbuf.Reader that the reader needs.
type ring interface {
	ReadInto(record *ringbuf.Record) error
	SetDeadline(deadline time.Time)
	AvailableBytes() int
	Flush() error
	Close() error
}

// kernel is the part of programs that the reader needs.
type kernel interface {
	wake(by alarm) error
	losses() (losses, error)
	// empty says that the ring was emptied once more, and whether the pipeline is far behind.
	emptied(pressed bool) error
	// sums passes on the signals that were counted until now. It returns false if some are still missing.
	sums(now time.Duration, add func(*kernelSumKey, *kernelSum)) (bool, error)
	// counts reports whether there are signals that are counted even while the ring has room, which wakes nobody.
	counts() bool
}

// reader empties the ring. Its goroutine waits for nothing but the ring.
type reader struct {
	ring   ring
	kernel kernel
	queue  *queue.Queue
	panics *panics.Guard
	ending atomic.Bool

	// mutex guards the fields below; it is held for as long as a batch of records takes.
	mutex     sync.Mutex
	assembler *assembler
	// gathered holds what has not been handed on yet.
	gathered []source.Observation
	lost     losses
	// busy is true if too much happens for the reader to rest. times counts the looks since counting that have found that
	// something happened, happened all of them, and came is true if this one has.
	busy     bool
	times    int
	counting time.Duration
	happened uint64
	came     bool
	// clockSet is when the clocks were last compared, since boot.
	clockSet time.Duration
	// stopped is true once events are no longer wanted.
	stopped bool
	now     func() time.Duration
	// upTo is the time up to which all records have been read. It becomes mark once the
	// reader has read ahead more bytes from the ring.
	upTo, mark time.Duration
	ahead      int
}

func newReader(ring ring, kernel kernel, config assemblerConfig, events *events) *reader {
	r := &reader{ring: ring, kernel: kernel, queue: queue.New(), now: sinceBoot}
	r.assembler = newAssembler(config, events, r.emit)
	r.assembler.lostSoFar = r.lostSignals
	return r
}

// sinceBoot is the current time on the clock that the kernel's records use.
func sinceBoot() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // which every kernel with BPF has
	return time.Duration(now.Nano())
}

// run reads until end is called or the ring fails.
func (r *reader) run() error {
	record := ringbuf.Record{RawSample: make([]byte, 0, 4096)}
	wait := pollInterval
	r.ring.SetDeadline(time.Unix(0, 1)) // only await waits
	for !r.ending.Load() {
		first := 0
		if r.ring.AvailableBytes() == 0 {
			var err error
			if first, err = r.await(&record, wait); err != nil {
				return err
			}
		}
		more, err := r.drain(&record)
		if err != nil {
			return err
		}
		switch came := first + more; {
		case more == batch: // there is more to read
		case came >= busyFrom:
			time.Sleep(busyPace)
		case came > 1:
			time.Sleep(somePace)
		case came > 0:
			time.Sleep(pace)
		}
		wait = r.settle()
	}
	return nil
}

// rests reports whether so little happens that whatever happens next wakes the reader.
func (r *reader) rests() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.quiet()
}

// quiet is rests for who holds the mutex. What is only counted wakes nobody, and while the pipeline is far behind, more is.
func (r *reader) quiet() bool { return !r.busy && !r.kernel.counts() && !r.queue.Pressed() }

// rouse decides after each look whether the reader may rest.
func (r *reader) rouse() {
	if now := r.now(); now-r.counting >= quietAfter {
		r.busy = r.busy && r.times > quietTimes/2
		r.counting, r.times = now, 0
	}
	if !r.came {
		return
	}
	r.came = false
	r.happened++
	r.times++
	r.busy = r.busy || r.times > quietTimes
}

// overlooked wakes a reader that rests although something is there. That can be: no barrier keeps the kernel from writing a
// record before it knows that the reader waits, and the reader from looking before that.
func (r *reader) overlooked() error {
	r.mutex.Lock()
	counts := r.kernel.counts()
	r.mutex.Unlock()
	if counts || r.ring.AvailableBytes() > 0 {
		return r.ring.Flush()
	}
	return nil
}

// happenings returns how often something has happened.
func (r *reader) happenings() uint64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.happened
}

// end makes run return.
func (r *reader) end() error {
	r.ending.Store(true)
	return r.ring.Flush()
}

// await returns once a record has arrived, which it adds, or after a while. It returns how
// many have arrived.
func (r *reader) await(record *ringbuf.Record, wait time.Duration) (came int, err error) {
	by := aSignal
	if r.rests() {
		by = anything
	}
	if err := r.kernel.wake(by); err != nil {
		return 0, err
	}
	// Records that arrived before the kernel knew that the reader waits do not wake it.
	if r.ring.AvailableBytes() == 0 {
		r.ring.SetDeadline(time.Now().Add(wait))
		got, err := r.read(record)
		if err != nil {
			return 0, err
		}
		if got {
			r.take(record.RawSample)
			came++
		}
		r.ring.SetDeadline(time.Unix(0, 1))
	}
	return came, r.kernel.wake(awake)
}

// read reads one record, and returns false if there is none.
func (r *reader) read(record *ringbuf.Record) (bool, error) {
	err := r.ring.ReadInto(record)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ringbuf.ErrFlushed) {
		return false, nil
	}
	return err == nil, err
}

// drain reads what is in the ring, but no more than a batch.
func (r *reader) drain(record *ringbuf.Record) (came int, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.ahead <= 0 {
		r.mark, r.ahead = r.now(), r.ring.AvailableBytes()
		if err := r.kernel.emptied(r.queue.Pressed()); err != nil {
			return 0, err
		}
	}
	r.checkLosses()
	// What was counted comes before the records that are in the ring now: the end of a process after all signals to it.
	room := r.ring.AvailableBytes()
	r.takeSums()
	full := r.queue.HalfFull()
	for came < batch && room > 0 {
		got, err := r.read(record)
		if err != nil {
			return came, err
		}
		if !got {
			break // the next record is reserved, but not written yet
		}
		if full && isRequest(record.RawSample) { // anybody can make many: they must not displace signals
			r.assembler.counts.requests++
		} else {
			r.add(record.RawSample)
		}
		r.came = r.came || !isPulse(record.RawSample)
		length := ringHeader + (len(record.RawSample)+ringAlign-1)/ringAlign*ringAlign
		r.ahead -= length
		room -= length
		came++
	}
	if r.ahead <= 0 || r.ring.AvailableBytes() == 0 {
		r.upTo, r.ahead = r.mark, 0
	}
	r.hand()
	return came, nil
}

// take adds one record.
func (r *reader) take(raw []byte) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.setClock()
	r.add(raw)
	r.came = r.came || !isPulse(raw)
}

func (r *reader) add(raw []byte) {
	defer r.panics.Contain("reading a record of the kernel's programs")
	r.assembler.add(raw)
}

func (r *reader) expire() time.Duration {
	defer r.panics.Contain("completing an event of the kernel's programs")
	return r.assembler.expire(r.upTo)
}

// emit receives an observation from the assembler.
func (r *reader) emit(o source.Observation) {
	if !r.stopped {
		r.gathered = append(r.gathered, o)
	}
}

// watch reports the end of a process as if it had been signaled. There are few of them, whoever's they are.
func (r *reader) watch(key process.Key) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.assembler.exits.watch(key, 0, r.now())
}

// heard returns the latest number that the programs have returned.
func (r *reader) heard() uint32 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.assembler.heard
}

// settle emits what has waited long enough, and returns how long to wait for more. If the
// reader itself was held up, the ring may still hold what an event waits for.
func (r *reader) settle() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.setClock()
	r.takeSums()
	r.rouse()
	wait := pollInterval
	if r.quiet() {
		wait = rhythm.Next(quietInterval)
	}
	if next := r.expire(); next > 0 {
		wait = min(wait, next)
	}
	r.hand()
	return wait
}

// checkLosses finds out whether the ring had no room for records that would have come
// before the ones that are read next.
func (r *reader) checkLosses() {
	now, err := r.kernel.losses()
	if err != nil {
		return
	}
	if now.execs != r.lost.execs {
		r.assembler.events.processes.Doubt()
	}
	if now.signals != r.lost.signals {
		r.assembler.lastLoss = r.now()
	}
	r.lost = now
	if r.ring.AvailableBytes() == 0 {
		r.assembler.lostBefore = now.signals + now.counted
	}
}

// takeSums takes the signals that the programs have counted because the ring had no room.
func (r *reader) takeSums() {
	defer r.panics.Contain("reading what the kernel's programs have counted")
	complete, err := r.kernel.sums(r.now(), func(key *kernelSumKey, s *kernelSum) {
		r.came = true
		r.assembler.sum(key, s, r.queue)
	})
	if err != nil || !complete {
		r.assembler.lastLoss = r.now() // the end of a process may come before a signal to it
	}
}

// lostSignals returns how many signals have found no room in the ring so far.
func (r *reader) lostSignals() uint64 {
	now, err := r.kernel.losses()
	if err != nil {
		return r.lost.signals + r.lost.counted
	}
	return now.signals + now.counted
}

// setClock adjusts to the wall clock, which people who read the events go by.
func (r *reader) setClock() {
	before := r.now()
	wall := time.Now()
	if before-r.clockSet < clockInterval || r.now()-before > clockBracket {
		return
	}
	r.assembler.events.boot, r.clockSet = wall.Add(-before), before
}

// hand puts what was gathered into the queue.
func (r *reader) hand() {
	r.queue.Add(r.gathered)
	clear(r.gathered)
	r.gathered = r.gathered[:0]
}

// flush emits what still waits, and accepts no more.
func (r *reader) flush() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.takeSums()
	r.assembler.flush()
	r.hand()
	r.queue.Finish()
	r.stopped = true
}

// snapshot is what the source reports.
type snapshot struct {
	counts
	losses
	dropped int64
	pending int
}

func (r *reader) snapshot() snapshot {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return snapshot{
		counts: r.assembler.counts, losses: r.lost, dropped: r.queue.TakeDropped(), pending: r.assembler.pending(),
	}
}
