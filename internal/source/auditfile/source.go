// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// SourceName is the value of kill.source for events from a file.
const SourceName = "audit_file"

const (
	// maxBatch is how many events are handed on at once at most.
	maxBatch = 256
	// checkpointInterval is how often the checkpoint moves on while nothing in
	// the log is an event.
	checkpointInterval = time.Second
)

// Settings says which log to follow, and how.
type Settings struct {
	// Path is the live file.
	Path string
	// FromBeginning reads everything that is there, rotated files first, unless
	// a checkpoint tells where to go on.
	FromBeginning bool
	// Follow waits for more at the end.
	Follow bool
	// Correlation says how records are joined.
	Correlation correlate.Config
	// Storage keeps the checkpoint.
	Storage   storage.Client
	Telemetry *metadata.TelemetryBuilder
	Logger    *zap.Logger
	// Report is told of trouble that may pass, and with nil that it has passed.
	Report func(error)
}

// Source follows one audit log.
type Source struct {
	settings    Settings
	trail       *trail
	scanner     *scanner
	watcher     *watcher
	checkpoints *checkpoints

	lastBatch time.Time
	// behind and pending are read by the metrics' callbacks.
	behind, pending atomic.Int64
	// troubled is true while the log cannot be read, ended once a log that is
	// not followed was read to its end.
	troubled, ended bool
}

var _ source.Source = (*Source)(nil)

// New returns a source that has not looked at anything yet.
func New(settings Settings) *Source {
	settings.Correlation.Source = SourceName
	s := &Source{
		settings:    settings,
		scanner:     newScanner(settings.Correlation, settings.Telemetry),
		checkpoints: newCheckpoints(settings.Storage, settings.Path),
		watcher:     &watcher{},
	}
	s.trail = &trail{path: settings.Path, logger: settings.Logger, lost: func() {
		settings.Telemetry.ReceiverAuditKillFileLost.Add(context.Background(), 1)
	}}
	return s
}

// Start opens the log where reading has to begin. A log that does not exist is
// waited for; one that cannot be read is an error.
func (s *Source) Start(ctx context.Context) error {
	if _, err := regular(s.settings.Path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.missing(err); err != nil {
			return err
		}
	}
	at, err := s.checkpoints.load(ctx)
	switch {
	case err != nil:
		return err
	case at != nil:
		err = s.trail.openAt(*at)
	case s.settings.FromBeginning:
		err = s.trail.openOldest()
	default:
		err = s.trail.openEnd()
	}
	if err != nil {
		return err
	}
	// From here on nothing may be missed, even if the collector is killed
	// before the first event.
	if first, ok := s.trail.checkpoint(s.trail.position()); ok {
		s.save(first)
	}
	if s.settings.Follow {
		s.watcher = newWatcher(s.settings.Path, s.settings.Logger)
	}
	return s.registerMetrics()
}

// missing decides whether to wait for a log that does not exist.
func (s *Source) missing(err error) error {
	entries, listErr := listing(s.settings.Path)
	if listErr != nil {
		return listErr
	}
	if !s.settings.Follow && len(entries) == 0 {
		return fmt.Errorf("nothing to read: %w", err)
	}
	s.settings.Logger.Warn("the log does not exist yet, waiting for it: is auditd installed and running?",
		zap.String("path", s.settings.Path))
	return nil
}

func (s *Source) registerMetrics() error {
	return errors.Join(
		s.settings.Telemetry.RegisterReceiverAuditKillFileBytesBehindCallback(observe(&s.behind)),
		s.settings.Telemetry.RegisterReceiverAuditKillPendingCallback(observe(&s.pending)),
	)
}

func observe(value *atomic.Int64) metric.Int64Callback {
	return func(_ context.Context, observer metric.Int64Observer) error {
		observer.Observe(value.Load())
		return nil
	}
}

// batch is what is delivered together, and the checkpoint that holds then.
type batch struct {
	events []*kill.Event
	at     checkpoint
	atOK   bool
}

// Run implements source.Source. Reading and delivering overlap by one batch, so
// that both processors of a small host are busy during a backfill, and no more.
func (s *Source) Run(ctx context.Context, deliver source.Deliver) {
	batches := make(chan batch, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.deliver(batches, deliver)
	}()
	s.readAll(ctx, batches)
	s.stop(batches)
	close(batches)
	<-done
}

// deliver hands batches on, and moves the checkpoint behind each that was taken.
func (s *Source) deliver(batches <-chan batch, deliver source.Deliver) {
	failed := false
	for b := range batches {
		if failed {
			continue // shutting down: what is not delivered is read again
		}
		if len(b.events) > 0 && deliver(b.events) != nil {
			failed = true
			continue
		}
		if b.atOK {
			s.save(b.at)
		}
	}
}

func (s *Source) save(at checkpoint) {
	// Not the context that ends the reading: the last batch counts as well.
	if err := s.checkpoints.save(context.Background(), at); err != nil {
		s.settings.Telemetry.ReceiverAuditKillCheckpointErrors.Add(context.Background(), 1)
		s.settings.Logger.Error("events are delivered, but will be delivered again after a restart: "+
			"make room for the storage extension", zap.Error(err))
	}
}

// readAll reads until ctx is done.
func (s *Source) readAll(ctx context.Context, batches chan<- batch) {
	for ctx.Err() == nil {
		err := s.read()
		switch {
		case err == nil:
			if len(s.scanner.events) >= maxBatch || time.Since(s.lastBatch) > checkpointInterval {
				s.send(batches, s.checkpoint())
			}
		case errors.Is(err, io.EOF), errors.Is(err, errDamaged):
			if s.moveOn() {
				continue
			}
			if !s.settings.Follow {
				s.end(batches)
				<-ctx.Done()
				return
			}
			s.idle(ctx, batches)
		case errors.Is(err, errTruncated):
			s.restart()
		default:
			s.trouble(err)
			s.watcher.wait(ctx, pollWatched)
		}
	}
}

// read reads and scans once.
func (s *Source) read() error {
	if s.trail.current == nil {
		return io.EOF
	}
	n, err := s.trail.current.read(s.scanner.lines.free())
	s.scanner.bytes += int64(n)
	s.scanner.lines.filled(n)
	if errors.Is(err, errDamaged) {
		s.trail.skip(err)
	}
	if n > 0 {
		s.scanner.path = s.trail.current.path
		s.scanner.scan(s.trail.position(), time.Now())
		return nil
	}
	return err
}

// moveOn goes to the next file if the present one is done. It reports whether
// there is something more to read.
func (s *Source) moveOn() bool {
	following, err := s.trail.next()
	if err != nil {
		s.trouble(err)
		return false
	}
	s.recovered()
	if following == nil {
		return false
	}
	// What was written between the last read and the rotation.
	if s.read() == nil {
		_ = following.close()
		return true
	}
	s.change(following)
	return true
}

// change goes on with another file.
func (s *Source) change(following *logFile) {
	end := s.trail.position()
	s.scanner.finish(end, time.Now())
	s.trail.follow(following, end)
	s.settings.Logger.Info("reading the next file of the log", zap.String("path", following.path))
}

// restart goes on after the file that is read was emptied.
func (s *Source) restart() {
	found, err := s.trail.recover()
	if err == nil && found != nil {
		// The same bytes under another name, so half a line goes on in it.
		s.settings.Logger.Info("the log was copied and emptied; reading the rest from the copy",
			zap.String("path", found.path))
		s.trail.follow(found, s.trail.position())
		return
	}
	if err == nil {
		found, err = openLogFile(s.settings.Path, 0)
	}
	if err != nil {
		s.trouble(err)
		time.Sleep(stablePause)
		return
	}
	s.settings.Logger.Warn("the log was emptied and no copy was kept: what was not read before is gone",
		zap.String("path", s.settings.Path), zap.Int64("read_up_to", s.trail.current.offset))
	s.trail.lost()
	s.change(found)
}

// idle is what happens when all that was written has been read.
func (s *Source) idle(ctx context.Context, batches chan<- batch) {
	wait := pollWatched
	if next := s.scanner.correlator.Expire(time.Now()); next > 0 {
		wait = min(wait, next)
	}
	if len(s.scanner.events) > 0 || time.Since(s.lastBatch) > checkpointInterval {
		s.send(batches, s.checkpoint())
	}
	s.watcher.wait(ctx, wait)
}

// end is what happens at the end of a log that is not followed.
func (s *Source) end(batches chan<- batch) {
	at := s.trail.position()
	unfinished := correlate.Position(s.scanner.lines.waiting())
	s.scanner.finish(at, time.Now())
	s.scanner.correlator.Flush()
	// Before a last line without an end, in case it is still being written.
	s.send(batches, at-unfinished)
	s.ended = true
	s.settings.Logger.Info("the log was read to its end", zap.String("path", s.settings.Path))
}

// stop hands on what was gathered. Events that are still waiting for records
// are delivered as they are; the checkpoint stays before them, so that after a
// restart they come again, whole and with the same uid.
func (s *Source) stop(batches chan<- batch) {
	if s.ended {
		return
	}
	at := s.checkpoint()
	s.scanner.correlator.Flush()
	s.send(batches, at)
}

// checkpoint returns the position before which everything is done once the
// events gathered so far have been delivered.
func (s *Source) checkpoint() correlate.Position {
	return s.scanner.correlator.Safe(s.trail.position() - correlate.Position(s.scanner.lines.waiting()))
}

func (s *Source) send(batches chan<- batch, at correlate.Position) {
	b := batch{events: s.scanner.take()}
	b.at, b.atOK = s.trail.checkpoint(at)
	s.scanner.report(context.Background())
	s.pending.Store(int64(s.scanner.correlator.Pending()))
	s.behind.Store(s.trail.behind())
	batches <- b
	s.lastBatch = time.Now()
}

func (s *Source) trouble(err error) {
	if !s.troubled {
		s.settings.Logger.Error("cannot read the log, trying again", zap.Error(err))
	}
	s.troubled = true
	s.settings.Report(err)
}

func (s *Source) recovered() {
	if s.troubled {
		s.settings.Logger.Info("the log can be read again", zap.String("path", s.settings.Path))
		s.settings.Report(nil)
	}
	s.troubled = false
}

// Close implements source.Source.
func (s *Source) Close() error {
	return errors.Join(s.trail.close(), s.watcher.close())
}
