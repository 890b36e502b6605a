// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

const (
	// sourceName is the value of kill.source.
	sourceName = "audit_plugin"
	// linger is how long to go on reading after ctx is done: the signal that stops the
	// collector comes through auditd a moment after it was sent.
	linger = 100 * time.Millisecond
)

// Settings says which socket to read.
type Settings struct {
	// Path is the socket that auditd's af_unix plugin listens on.
	Path string
	// Correlation says how records are joined.
	Correlation correlate.Config
	// Facts delivers facts as well as events.
	Facts bool
	// Panics limits the damage of a panic to one line.
	Panics *panics.Guard
	Counts *source.Counts
	Logger *zap.Logger
	// Tampered is called when somebody is seen to blind the monitor.
	Tampered func()
	// Health receives a failure that may pass, and nil when it has passed.
	Health func(error)
}

// Source reads from auditd's af_unix plugin.
type Source struct {
	settings Settings
	// sampled is the logger for messages that may repeat many times.
	sampled *zap.Logger
	queue   *queue.Queue
	// self is this process as the records name it; 0 if that is not known.
	self int

	// stop ends the reader.
	stop    context.CancelFunc
	reading sync.WaitGroup

	// These belong to the reader until it has ended.
	scanner *logfile.Scanner
	// at is how many bytes were read from all connections together.
	at    correlate.Position
	pause *backoff.ExponentialBackOff
	// gone is when the last connection ended; zero while there is one that works.
	gone time.Time

	// reported and correlated are the counts of the scanner and its correlator that were already
	// added to settings.Counts.
	reported   logfile.Counts
	correlated correlate.Counts
	lastReport time.Time
}

var _ source.Source = (*Source)(nil)

// New returns a source that has not opened anything yet.
func New(settings Settings) *Source {
	s := &Source{
		settings: settings, sampled: logsampling.New(settings.Logger), queue: queue.New(), self: source.OwnPID(),
		pause: &backoff.ExponentialBackOff{
			InitialInterval: firstPause, MaxInterval: longestPause, Multiplier: 1.5, RandomizationFactor: 0.2,
		},
	}
	settings.Correlation.Source, settings.Correlation.PID = sourceName, s.self
	s.scanner = logfile.NewScanner(settings.Correlation, bufferSize, settings.Facts)
	s.scanner.Tampered, s.scanner.Panics, s.scanner.Rejected = settings.Tampered, settings.Panics, s.reject
	return s
}

// Start connects to the socket and begins to read.
func (s *Source) Start(ctx context.Context) error {
	conn, err := connect(ctx, s.settings.Path)
	if err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.reading.Go(func() { s.read(ctx, conn) })
	return nil
}

// Traits implements source.Source.
func (*Source) Traits() source.Traits { return source.Traits{Way: "plugin", Live: true} }

// Run implements source.Source.
func (s *Source) Run(ctx context.Context, deliver source.Deliver) {
	for ctx.Err() == nil {
		select {
		case <-s.queue.Ready():
			if !s.queue.Deliver(deliver) {
				return
			}
		case <-ctx.Done():
		}
	}
	time.Sleep(linger)
	s.halt()
	s.flush()
	s.queue.Finish()
	s.queue.Deliver(deliver)
}

// halt ends the reader.
func (s *Source) halt() {
	if s.stop != nil {
		s.stop()
		s.reading.Wait()
	}
}

// flush completes the events that still wait for records, and queues them.
func (s *Source) flush() {
	defer s.settings.Panics.Contain("completing an event of audit records")
	s.scanner.Correlator.Flush()
	s.hand()
}

// Close implements source.Source.
func (s *Source) Close() error {
	s.halt()
	s.queue.Abandon()
	s.report()
	return nil
}

// report brings the counts up to date.
func (s *Source) report() {
	counts, now, was := s.settings.Counts, s.scanner.Counts(), s.reported
	counts.Records.Add(now.Records - was.Records)
	counts.Malformed.Add(now.Malformed - was.Malformed)
	counts.TooLong.Add(now.TooLong - was.TooLong)
	s.reported = now

	correlated := s.scanner.Correlator.Counts()
	counts.Incomplete.Add(correlated.Incomplete - s.correlated.Incomplete)
	counts.Evicted.Add(correlated.Evicted - s.correlated.Evicted)
	s.correlated = correlated
	counts.Pending.Store(int64(s.scanner.Correlator.Pending()))
	counts.Lose(source.QueueFull, s.queue.TakeDropped())
	counts.Joined.Add(s.queue.TakeJoined())
	s.lastReport = time.Now()
}

// reject logs that a line could not be read.
func (s *Source) reject(_ []byte, why error) {
	if errors.Is(why, logfile.ErrNoRecord) {
		s.sampled.Warn("auditd's af_unix plugin sends something other than audit records, one per line: " +
			"it must send them as strings, see format and args in " + configFile)
		return
	}
	s.sampled.Warn("cannot read an audit record", zap.Error(why))
}
