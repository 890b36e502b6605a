// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package signaltrace

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// tick is how often the reader looks even if nobody wakes it: the records of
	// processes do not.
	tick = 100 * time.Millisecond
	// pace is how long the reader lets records gather once it has emptied the ring, as
	// a wakeup costs the sender of a signal more than all else; busyPace is the same
	// while at least busyFrom have come together. At 500,000 signals a second 2,500 come
	// meanwhile, and the default ring holds 8,000.
	pace     = 2 * time.Millisecond
	busyPace = 5 * time.Millisecond
	busyFrom = 16
	// handAfter is how many events the reader gathers before it hands them on.
	handAfter = 256
	// busyPause is how long a record may be reserved and not yet written.
	busyPause = 100 * time.Microsecond
)

// ring is what ringbuf.Reader is.
type ring interface {
	ReadInto(record *ringbuf.Record) error
	SetDeadline(deadline time.Time)
	AvailableBytes() int
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

	// mutex guards what follows; it is held for as long as the records take that are in
	// the ring.
	mutex     sync.Mutex
	assembler *assembler
	// gathered are events that were not handed on yet.
	gathered []*kill.Event
	lost     losses
	// stopped is true once events are not wanted anymore.
	stopped bool
	now     func() time.Duration
}

func newReader(ring ring, kernel kernel, config assemblerConfig, events *events) *reader {
	r := &reader{ring: ring, kernel: kernel, queue: queue.New(), now: sinceBoot}
	r.assembler = newAssembler(config, events, r.emit)
	return r
}

// sinceBoot is the time that the kernel's records bear.
func sinceBoot() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // which every kernel with BPF has
	return time.Duration(now.Nano())
}

// run reads until the ring is closed or fails.
func (r *reader) run() error {
	record := ringbuf.Record{RawSample: make([]byte, 0, 4096)}
	wait := tick
	for {
		came, err := r.drain(&record, wait)
		if err != nil {
			return err
		}
		switch {
		case came >= busyFrom:
			time.Sleep(busyPace)
		case came > 0:
			time.Sleep(pace)
		}
		wait = r.settle()
	}
}

// drain takes what is in the ring; it waits for something to come if it is empty.
func (r *reader) drain(record *ringbuf.Record, wait time.Duration) (came int, err error) {
	if r.ring.AvailableBytes() == 0 {
		if err := r.kernel.wake(true); err != nil {
			return 0, err
		}
		// It may have come before the kernel knew that we wait.
		if r.ring.AvailableBytes() == 0 {
			r.ring.SetDeadline(time.Now().Add(wait))
			err := r.ring.ReadInto(record)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, nil
			}
			if err != nil {
				return 0, err
			}
			r.take(record.RawSample)
			came++
		}
		if err := r.kernel.wake(false); err != nil {
			return came, err
		}
	}
	for r.ring.AvailableBytes() > 0 {
		r.ring.SetDeadline(time.Now().Add(busyPause))
		err := r.ring.ReadInto(record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return came, err
		}
		r.take(record.RawSample)
		came++
	}
	return came, nil
}

// take takes one record.
func (r *reader) take(raw []byte) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.assembler.add(raw)
	if len(r.gathered) >= handAfter {
		r.hand()
	}
}

// emit takes an event from the assembler.
func (r *reader) emit(e *kill.Event) {
	if !r.stopped {
		r.gathered = append(r.gathered, e)
	}
}

// settle emits what has waited for long enough, and returns how long to wait for
// more.
func (r *reader) settle() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if now, err := r.kernel.losses(); err == nil {
		if now.signals != r.lost.signals {
			r.assembler.lost()
		}
		r.lost = now
	}
	wait := tick
	if next := r.assembler.expire(r.now()); next > 0 {
		wait = min(wait, next)
	}
	r.hand()
	return wait
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
