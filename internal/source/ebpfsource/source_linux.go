// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// reportInterval is how often the metrics are brought up to date.
	reportInterval = time.Second
	// linger is how long to go on reading when the receiver is told to stop: the signal
	// that stops the collector is the one that it sees last.
	linger = 20 * time.Millisecond
)

// Settings says what to look for.
type Settings struct {
	// RingBuffer is the size of the ring in bytes, a power of two.
	RingBuffer int
	// Signals are those that the kernel tells of. Targets and Senders are as the
	// configuration has them; the kernel filters by them if all are plain names.
	Signals          []kill.Signal
	Targets, Senders []string
	// IncludeFailed also tells of calls that failed.
	IncludeFailed bool
	// Processes is told of all processes, and asked for those that are signaled.
	Processes *process.Table
	// CorrelationTimeout is how long the end of a call to a group is waited for,
	// MaxPending how many such calls may be under way.
	CorrelationTimeout time.Duration
	MaxPending         int
	// FollowFor is how long after a fatal signal the end of a process is reported; 0 if
	// nobody wants that.
	FollowFor time.Duration
	// LostEnds is called when ends of processes may have been lost; nil for nobody.
	LostEnds func()
	// Panics contains a panic while one record is worked on.
	Panics *panics.Guard
	Counts *source.Counts
	Logger *zap.Logger
	// Health is told that nothing can be read, and with nil that it can.
	Health func(error)
}

// Source sees signals where the kernel generates them.
type Source struct {
	settings Settings
	programs *programs
	reader   *reader

	// stop ends the reports.
	stop               context.CancelFunc
	reading, reporting sync.WaitGroup

	reported snapshot
	missed   uint64
}

var _ source.Source = (*Source)(nil)

// New returns a source that has not opened anything yet.
func New(settings Settings) *Source {
	return &Source{settings: settings}
}

// Start loads the programs and attaches them. It fails if the kernel or the rights of
// the process do not suffice, and says what does.
func (s *Source) Start(ctx context.Context) error {
	w := wish{
		ring: s.settings.RingBuffer, signals: s.settings.Signals, includeFailed: s.settings.IncludeFailed,
		targets: s.settings.Targets, senders: s.settings.Senders,
	}
	var err error
	if s.programs, err = load(w); err != nil {
		return explain(err)
	}
	err = s.attach()
	if err != nil {
		return explain(err)
	}
	s.tellEnds()
	// What loading took, the type information of the kernel above all, is not needed again:
	// by itself the runtime would return it after minutes.
	debug.FreeOSMemory()
	ring, err := ringbuf.NewReader(s.programs.collection.Maps[kernelMapRing])
	if err != nil {
		return fmt.Errorf("opening the ring buffer: %w", err)
	}
	return s.begin(ctx, ring)
}

// attach makes the programs see what happens. First the processes, so that none is
// missed between being primed and being told.
func (s *Source) attach() error {
	if err := s.programs.attachProcesses(); err != nil {
		return err
	}
	if err := s.settings.Processes.Prime(); err != nil {
		s.settings.Logger.Warn("cannot read which processes run already, so that little will be known of them", zap.Error(err))
	}
	return s.programs.attachSignals()
}

// tellEnds says what the end of calls costs where it is not for nothing.
func (s *Source) tellEnds() {
	switch s.programs.calls {
	case endsOfSixCalls, endsOfAllCalls:
		s.settings.Logger.Info("the kernel does not let functions be traced, so that failed signals are seen by tracepoints, "+
			"which cost every system call some 20 to 100 ns; include_failed: false spares that",
			zap.String("by", string(s.programs.calls)))
	}
}

func (s *Source) begin(ctx context.Context, ring ring) error {
	config := assemblerConfig{
		timeout: s.settings.CorrelationTimeout, maxPending: s.settings.MaxPending, followFor: s.settings.FollowFor,
		seesEnds: s.programs.calls != endsUnseen, partial: plain(s.settings.Targets),
	}
	s.reader = newReader(ring, s.programs, config, newEvents(s.settings.Processes))
	s.reader.panics = s.settings.Panics
	s.reading.Go(s.read)
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.reporting.Go(func() { s.supervise(ctx) })
	return nil
}

// Traits implements source.Source.
func (s *Source) Traits() source.Traits {
	return source.Traits{Way: sourceName, Live: true, TracksProcesses: true, Watch: s.watch}
}

// read empties the ring until the source is closed.
func (s *Source) read() {
	if err := s.reader.run(); err != nil {
		s.settings.Health(fmt.Errorf("reading the ring buffer: %w", err))
		s.settings.Logger.Error("cannot read the ring buffer anymore; no signals are seen until this process is restarted",
			zap.Error(err))
	}
}

// watch reports the end of a process as if it had been sent a fatal signal, as it was
// when the collector ran before. If the process has ended before, nothing is reported:
// whoever asks has to check afterwards whether it lives.
func (s *Source) watch(pid int, start time.Duration) {
	s.reader.follow(process.Key{PID: pid, Start: start.Truncate(tick)})
}

// supervise reports until ctx is done.
func (s *Source) supervise(ctx context.Context) {
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.report()
		}
	}
}

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, deliver source.Deliver) {
	queue := s.reader.queue
	for ctx.Err() == nil {
		select {
		case <-queue.Ready():
			if !s.reader.queue.Deliver(deliver) {
				return
			}
		case <-ctx.Done():
		}
	}
	time.Sleep(linger)
	s.reader.flush()
	s.reader.queue.Deliver(deliver)
}

// report brings the counts up to date.
func (s *Source) report() {
	now, last, c := s.reader.snapshot(), s.reported, s.settings.Counts
	missed := s.programs.missed()
	signals, processes := int64(now.signals-last.signals), int64(now.processes-last.processes)
	c.Records.Add(now.records - last.records)
	c.Malformed.Add(now.malformed - last.malformed)
	c.Incomplete.Add(now.incomplete - last.incomplete)
	c.Evicted.Add(now.evicted - last.evicted)
	c.Pending.Store(int64(now.pending))
	c.Lose(source.QueueFull, now.dropped)
	c.Lose(source.RingSignals, signals)
	c.Lose(source.RingProcesses, processes)
	c.Lose(source.ProgramsSkipped, int64(missed-s.missed))
	if s.settings.LostEnds != nil && (signals > 0 || processes > 0 || missed > s.missed || now.dropped > 0) {
		s.settings.LostEnds()
	}
	s.reported, s.missed = now, missed
}

// Close implements source.Source. It takes the programs out of the kernel.
func (s *Source) Close() error {
	if s.programs == nil {
		return nil
	}
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.end())
		s.reading.Wait()
		s.stop()
		s.reporting.Wait()
		s.reader.queue.Abandon()
		errs = append(errs, s.reader.ring.Close())
		s.report()
	}
	return errors.Join(append(errs, s.programs.close())...)
}
