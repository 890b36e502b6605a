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
	"github.com/auditkill/auditkillreceiver/internal/resident"
	"github.com/auditkill/auditkillreceiver/internal/rhythm"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// reportInterval is how often the counts are updated.
	reportInterval = time.Second
	// vigilInterval is how often the programs are checked. If they are silent, that is reported after
	// as many intervals as beats may stay away, and one more.
	vigilInterval = 10 * time.Second
	// linger is how long to keep reading when the receiver is stopped: the signal that
	// stops the collector is the last one that it sees.
	linger = 20 * time.Millisecond
)

// Settings says which signals to report, and how.
type Settings struct {
	// RingBuffer is the size of the ring in bytes, a power of two.
	RingBuffer int
	// Signals are the signals that the kernel reports. Targets and Senders are as
	// configured; the kernel filters by them if all of them are plain names.
	Signals []kill.Signal
	// Ending are further signals, reported only if the target ends of them.
	Ending           []kill.Signal
	Targets, Senders []string
	// IncludeFailed also reports calls that failed.
	IncludeFailed bool
	// Sockets are the paths of managers' sockets (attribution.CheckSocket). Requests are reported of
	// processes that connect to them; if there are none, no program looks for any.
	Sockets []string
	// Processes is kept up to date with all processes, and asked about those that are signaled.
	Processes *process.Table
	// CorrelationTimeout is how long to wait for the end of a call to a group, MaxPending
	// how many such calls may be in progress.
	CorrelationTimeout time.Duration
	MaxPending         int
	// FollowFor is how long after a fatal signal the end of a process is reported; 0 to
	// report no ends.
	FollowFor time.Duration
	// Unexplained makes the source also report the ends of processes to which it has seen no signal:
	// those by a signal, and all others as well.
	Unexplained, AllEnds bool
	// LostEnds is called when ends of processes may have been lost; it may be nil.
	LostEnds func()
	// Panics contains a panic to the record that caused it.
	Panics *panics.Guard
	Counts *source.Counts
	Logger *zap.Logger
	// Health is called with an error when nothing can be read, and with nil once that has passed.
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
	skipped  skipped

	// vigilInterval is the constant of that name, except in tests.
	vigilInterval time.Duration
}

var _ source.Source = (*Source)(nil)

// New returns a source that has opened nothing yet.
func New(settings Settings) *Source {
	return &Source{settings: settings, vigilInterval: vigilInterval}
}

// Start loads the programs and attaches them. If the kernel or the rights of the process do
// not suffice, its error says what would.
func (s *Source) Start(ctx context.Context) error {
	w := wish{
		ring: s.settings.RingBuffer, signals: s.settings.Signals, ending: s.settings.Ending, includeFailed: s.settings.IncludeFailed,
		targets: s.settings.Targets, senders: s.settings.Senders, sockets: s.settings.Sockets,
	}
	var err error
	if s.programs, err = load(w); err != nil {
		return explain(err)
	}
	err = s.attach()
	if err != nil {
		return explain(err)
	}
	s.logCallEnds()
	// The memory that loading took, above all for the kernel's type information, is not
	// needed again, and the runtime alone would return it only after minutes.
	debug.FreeOSMemory()
	if failed := resident.ReleaseProgram(); failed != nil {
		s.settings.Logger.Debug("cannot release what the start needed of the program file", zap.Error(failed))
	}
	ring, err := ringbuf.NewReader(s.programs.collection.Maps[kernelMapRing])
	if err != nil {
		return fmt.Errorf("opening the ring buffer: %w", err)
	}
	return s.begin(ctx, ring)
}

// attach attaches the programs. Those for processes come first, so that none is missed
// between reading which processes run and seeing new ones.
func (s *Source) attach() error {
	if err := s.programs.attachProcesses(); err != nil {
		return err
	}
	if err := s.settings.Processes.Prime(); err != nil {
		s.settings.Logger.Warn("cannot list the processes that already run, so little will be known about them", zap.Error(err))
	}
	return s.programs.attachSignals()
}

// logCallEnds logs what seeing the ends of calls costs, if it costs anything.
func (s *Source) logCallEnds() {
	const cost = "which costs every system call of the host a little (docs/ebpf.md#what-it-costs); "
	switch s.programs.calls {
	case endsOfSixCalls, endsOfAllCalls:
		s.settings.Logger.Info("the kernel does not allow functions to be traced, so failed signals are seen in a way "+
			cost+"include_failed: false avoids that", zap.String("by", string(s.programs.calls)))
	}
	if s.programs.connects.costsAll() && s.programs.calls != endsOfAllCalls {
		s.settings.Logger.Info("the kernel does not allow functions to be traced, so requests to managers are seen in a way "+
			cost+"without attribution there are none", zap.String("by", string(s.programs.connects)))
	}
	if s.programs.connects != connectsUnseen && s.programs.collection.Programs[kernelProgStreamSent] == nil {
		s.settings.Logger.Info("the kernel does not allow the function to be traced that sends messages, so it is only known " +
			"who has connected to a manager, and what was asked for is inferred")
	}
}

func (s *Source) begin(ctx context.Context, ring ring) error {
	config := assemblerConfig{
		timeout: s.settings.CorrelationTimeout, maxPending: s.settings.MaxPending, followFor: s.settings.FollowFor,
		seesEnds: s.programs.calls != endsUnseen, seesHandled: s.programs.tracesMemory(), partial: plain(s.settings.Targets),
		unexplained: s.settings.Unexplained, allEnds: s.settings.AllEnds,
	}
	made := newEvents(s.settings.Processes)
	made.asked = bits(s.settings.Signals)
	s.reader = newReader(ring, s.programs, config, made)
	s.reader.panics = s.settings.Panics
	s.programs.note()
	s.reading.Go(s.read)
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.reporting.Go(func() { s.supervise(ctx) })
	return nil
}

// Traits implements source.Source.
func (s *Source) Traits() source.Traits {
	return source.Traits{
		Way: sourceName, Live: true, TracksProcesses: true, Watch: s.watch, InfersLimits: !s.programs.tracesMemory(),
	}
}

// read empties the ring until the source is closed.
func (s *Source) read() {
	if err := s.reader.run(); err != nil {
		s.settings.Health(fmt.Errorf("reading the ring buffer: %w", err))
		s.settings.Logger.Error("cannot read the ring buffer anymore; no signals are seen until this process is restarted",
			zap.Error(err))
	}
}

// watch reports the end of a process as if it had been sent a fatal signal, as it was in an
// earlier run of the collector. If the process has already ended, nothing is reported: the
// caller has to check afterwards whether it is alive.
func (s *Source) watch(pid int, start time.Duration) {
	s.reader.watch(process.Key{PID: pid, Start: start.Truncate(tick)})
}

// supervise reports the counts, and whether the programs are still heard, until ctx is done.
func (s *Source) supervise(ctx context.Context) {
	reports, rounds := time.NewTimer(rhythm.Next(reportInterval)), time.NewTimer(rhythm.Next(s.vigilInterval))
	defer reports.Stop()
	defer rounds.Stop()
	v := vigil{programs: s.programs, heard: s.reader.heard}
	happened := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-reports.C:
			if now := s.reader.happenings(); now != happened {
				happened = now
				s.report()
			}
			if err := s.reader.overlooked(); err != nil {
				s.settings.Logger.Debug("cannot wake the reader of the ring", zap.Error(err))
			}
			reports.Reset(rhythm.Next(reportInterval))
		case <-rounds.C:
			s.report()
			s.tell(v.check())
			rounds.Reset(rhythm.Next(s.vigilInterval))
		}
	}
}

// tell reports what was done to the programs. Nothing shows by whom.
func (s *Source) tell(found []kill.Tamper) {
	for _, tamper := range found {
		e := kill.Found(time.Now(), tamper)
		e.Source = sourceName
		s.reader.queue.Add(source.Events([]*kill.Event{e}))
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

// report updates the counts.
func (s *Source) report() {
	now, last, c := s.reader.snapshot(), s.reported, s.settings.Counts
	skipped := s.programs.skipped()
	signals, processes := int64(now.signals-last.signals), int64(now.processes-last.processes)
	c.Records.Add(now.records - last.records)
	c.Malformed.Add(now.malformed - last.malformed)
	c.Incomplete.Add(now.incomplete - last.incomplete)
	c.Evicted.Add(now.evicted - last.evicted)
	c.Pending.Store(int64(now.pending))
	c.Lose(source.QueueFull, now.dropped)
	c.Joined.Add(s.reader.queue.TakeJoined())
	c.Lose(source.RingSignals, signals)
	s.tellWhose(signals)
	c.Lose(source.RingProcesses, processes)
	c.RequestsLost.Add(int64(now.losses.requests-last.losses.requests) + now.counts.requests - last.counts.requests)
	c.Lose(source.ProgramsSkipped, int64(skipped.reports+skipped.processes-s.skipped.reports-s.skipped.processes))
	if skipped.processes > s.skipped.processes {
		s.settings.Processes.Doubt()
	}
	if s.settings.LostEnds != nil && (signals > 0 || processes > 0 || skipped.reports > s.skipped.reports || now.dropped > 0) {
		s.settings.LostEnds()
	}
	s.reported, s.skipped = now, skipped
}

// tellWhose logs whose signals were lost.
func (s *Source) tellWhose(signals int64) {
	if signals <= 0 {
		return
	}
	s.settings.Logger.Warn("signals of these users have been lost since the start: neither the ring buffer nor the sums had room",
		zap.Any("by_user_id", s.programs.lostOf()))
}

// Close implements source.Source. It removes the programs from the kernel.
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
