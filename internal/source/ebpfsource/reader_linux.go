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
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// glance is how often the reader looks even if nobody wakes it: the records of
	// processes do not.
	glance = 250 * time.Millisecond
	// pace is how long the reader lets records gather once it has emptied the ring, as
	// a wakeup costs the sender of a signal more than all else; busyPace is the same
	// while at least busyFrom have come together. At 500,000 signals a second 2,500 come
	// meanwhile, and the default ring holds 8,000.
	pace     = 2 * time.Millisecond
	busyPace = 5 * time.Millisecond
	busyFrom = 16
	// clockInterval is how often the two clocks are compared, clockBracket how long that
	// may take, as it may be interrupted.
	clockInterval = time.Second
	clockBracket  = 20 * time.Microsecond
	// batch is how many records the reader takes before it hands on their events.
	batch = 512
	// ringHeader is what each record takes besides (include/uapi/linux/bpf.h,
	// BPF_RINGBUF_HDR_SZ).
	ringHeader = 8
)

// ring is what ringbuf.Reader is.
type ring interface {
	ReadInto(record *ringbuf.Record) error
	SetDeadline(deadline time.Time)
	AvailableBytes() int
	Flush() error
	Close() error
}

// kernel is what programs is to the reader.
type kernel interface {
	wake(waiting bool) error
	losses() (losses, error)
}

// reader empties the ring. It has a goroutine of its own, which waits for nothing but
// the ring.
type reader struct {
	ring   ring
	kernel kernel
	queue  *queue.Queue
	panics *panics.Guard
	ending atomic.Bool

	// mutex guards what follows; it is held for as long as a batch of records takes.
	mutex     sync.Mutex
	assembler *assembler
	// gathered is what was not handed on yet.
	gathered []source.Observation
	lost     losses
	// clockSet is when the clocks were last compared, since boot.
	clockSet time.Duration
	// stopped is true once events are not wanted anymore.
	stopped bool
	now     func() time.Duration
	// upTo is the time up to which all records have been read. The next such time is
	// mark, once ahead more bytes of the ring have been.
	upTo, mark time.Duration
	ahead      int
}

func newReader(ring ring, kernel kernel, config assemblerConfig, events *events) *reader {
	r := &reader{ring: ring, kernel: kernel, queue: queue.New(), now: sinceBoot}
	r.assembler = newAssembler(config, events, r.emit)
	r.assembler.lostSoFar = r.lostSignals
	return r
}

// sinceBoot is the time that the kernel's records bear.
func sinceBoot() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // which every kernel with BPF has
	return time.Duration(now.Nano())
}

// run reads until it is told to end, or the ring fails.
func (r *reader) run() error {
	record := ringbuf.Record{RawSample: make([]byte, 0, 4096)}
	wait := glance
	r.ring.SetDeadline(time.Unix(0, 1)) // nothing is waited for, but in await
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
		case more == batch: // and it is not all
		case came >= busyFrom:
			time.Sleep(busyPace)
		case came > 0:
			time.Sleep(pace)
		}
		wait = r.settle()
	}
	return nil
}

// end makes run return.
func (r *reader) end() error {
	r.ending.Store(true)
	return r.ring.Flush()
}

// await returns once a record has come, which it takes, or after a while. It returns
// how many have come.
func (r *reader) await(record *ringbuf.Record, wait time.Duration) (came int, err error) {
	if err := r.kernel.wake(true); err != nil {
		return 0, err
	}
	// What came before the kernel knew that we wait wakes nobody.
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
	return came, r.kernel.wake(false)
}

// read reads one record, and reports false if there is none.
func (r *reader) read(record *ringbuf.Record) (bool, error) {
	err := r.ring.ReadInto(record)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ringbuf.ErrFlushed) {
		return false, nil
	}
	return err == nil, err
}

// drain takes what is in the ring, but no more than a batch.
func (r *reader) drain(record *ringbuf.Record) (came int, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.ahead <= 0 {
		r.mark, r.ahead = r.now(), r.ring.AvailableBytes()
	}
	r.checkLosses()
	full, dropped := r.queue.Full(), int64(0)
	for came < batch && r.ring.AvailableBytes() > 0 {
		got, err := r.read(record)
		if err != nil {
			return came, err
		}
		if !got {
			break // it was reserved, but has not been written yet
		}
		if full && isSignal(record.RawSample) {
			dropped++ // to make an event of it would only keep the pipeline from making room
		} else {
			r.add(record.RawSample)
		}
		r.ahead -= ringHeader + len(record.RawSample)
		came++
	}
	if dropped > 0 {
		r.queue.Drop(dropped)
		r.assembler.dropped()
	}
	if r.ahead <= 0 || r.ring.AvailableBytes() == 0 {
		r.upTo, r.ahead = r.mark, 0
	}
	r.hand()
	return came, nil
}

// take takes one record.
func (r *reader) take(raw []byte) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.add(raw)
}

func (r *reader) add(raw []byte) {
	defer r.panics.Contain("reading a record of the kernel's programs")
	r.assembler.add(raw)
}

func (r *reader) expire() time.Duration {
	defer r.panics.Contain("completing an event of the kernel's programs")
	return r.assembler.expire(r.upTo)
}

// emit takes an observation from the assembler.
func (r *reader) emit(o source.Observation) {
	if !r.stopped {
		r.gathered = append(r.gathered, o)
	}
}

// follow tells the end of a process as if it had been struck.
func (r *reader) follow(key process.Key) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.assembler.exits.strike(key, r.now())
}

// settle emits what has waited for long enough, and returns how long to wait for
// more. What was held up itself may still find in the ring what an event waits for.
func (r *reader) settle() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.setClock()
	wait := glance
	if next := r.expire(); next > 0 {
		wait = min(wait, next)
	}
	r.hand()
	return wait
}

// checkLosses finds out whether the ring had no room for what would stand before the
// records that are read next.
func (r *reader) checkLosses() {
	now, err := r.kernel.losses()
	if err != nil {
		return
	}
	if now.processes != r.lost.processes {
		r.assembler.events.processes.Doubt()
	}
	r.lost = now
	if r.ring.AvailableBytes() == 0 {
		r.assembler.lostBefore = now.signals
	}
}

// lostSignals returns for how many signals the ring has had no room so far.
func (r *reader) lostSignals() uint64 {
	now, err := r.kernel.losses()
	if err != nil {
		return r.lost.signals
	}
	return now.signals
}

// setClock follows the clock on the wall, as whoever reads the events goes by it.
func (r *reader) setClock() {
	before := r.now()
	wall := time.Now()
	if before-r.clockSet < clockInterval || r.now()-before > clockBracket {
		return
	}
	r.assembler.events.boot, r.clockSet = wall.Add(-before), before
}

// hand moves the events on.
func (r *reader) hand() {
	r.queue.Add(r.gathered)
	clear(r.gathered)
	r.gathered = r.gathered[:0]
}

// flush emits what still waits, and takes no more events.
func (r *reader) flush() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.assembler.flush()
	r.hand()
	r.stopped = true
}

// snapshot is what the metrics need.
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
