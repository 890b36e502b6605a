// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// checkpointInterval is how often the checkpoint advances while the log holds no events.
	checkpointInterval = time.Second
	// retryInterval is how long to wait after an error of the file system.
	retryInterval = time.Second
)

// batch is a number of events and facts that are delivered together, and the checkpoint that
// holds after that.
type batch struct {
	seen []source.Observation
	// facts are those among them with their places in the log, safe is the place of the checkpoint.
	facts []placed
	safe  correlate.Position
	at    checkpoint
}

// Run implements source.Source. Reading and delivering overlap by one batch and no more:
// that keeps both processors of a small host busy during a backfill.
func (s *Source) Run(ctx context.Context, deliver source.Deliver) {
	// What was read is delivered and counted even when ctx is done.
	lasting := context.WithoutCancel(ctx)
	batches := make(chan batch, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.deliver(lasting, batches, deliver)
	}()
	s.readAll(ctx, batches)
	s.stop(batches)
	close(batches)
	<-done
}

// deliver hands batches on, and advances the checkpoint past each that was accepted.
func (s *Source) deliver(ctx context.Context, batches <-chan batch, deliver source.Deliver) {
	failed := len(s.remembered) > 0 && deliver(s.remembered) != nil
	for b := range batches {
		if failed {
			continue // shutting down: the rest is read again after the restart
		}
		if len(b.seen) > 0 && deliver(b.seen) != nil {
			failed = true
			continue
		}
		s.memory.add(b.facts, b.safe)
		s.save(ctx, b.at)
	}
}

// save stores the facts first: if the program is killed between the two, some are told again.
func (s *Source) save(ctx context.Context, at checkpoint) {
	if err := errors.Join(s.memory.save(ctx), s.checkpoints.save(ctx, at)); err != nil {
		s.settings.Counts.CheckpointErrors.Add(1)
		s.sampled.Error("events are delivered, but will be delivered again after a restart: "+
			"make room for the storage extension", zap.Error(err))
	}
}

// readAll reads until ctx is done.
func (s *Source) readAll(ctx context.Context, batches chan<- batch) {
	for ctx.Err() == nil {
		err := s.read()
		if errors.Is(err, io.EOF) {
			err = s.moveOn()
		}
		if errors.Is(err, errTruncated) {
			err = s.restart()
		}
		switch {
		case err == nil:
			s.recovered()
			if s.scanner.Full() || time.Since(s.lastBatch) > checkpointInterval {
				s.send(batches, s.checkpoint())
			}
		case !errors.Is(err, io.EOF):
			s.failed(err)
			s.sendGathered(batches)
			sleep(ctx, retryInterval)
		case s.settings.Follow:
			s.recovered()
			s.idle(ctx, batches)
		default:
			s.recovered()
			s.end(batches)
			<-ctx.Done()
		}
	}
}

// read reads ahead as far as there is room, and scans what was read. It returns io.EOF if the
// file has nothing more for now, and any other error once what was read before it is scanned.
func (s *Source) read() error {
	if s.trail.current == nil {
		return io.EOF
	}
	more := s.scanner.More()
	for s.readError == nil && s.scanner.Room() {
		free := s.scanner.Free()
		n, err := s.trail.current.read(free)
		if n == 0 {
			s.readError = err
			break
		}
		more = true
		if !s.scanner.Filled(n) || n < len(free) {
			break // this is the end for now, or a line that is too long
		}
	}
	if more {
		if errors.Is(s.readError, io.EOF) {
			s.readError = nil // there may be more by then
		}
		s.scanner.Path = s.trail.current.path
		s.scanner.Scan(s.trail.position(), time.Now())
		return nil
	}
	err := s.readError
	s.readError = nil
	if errors.Is(err, errDamaged) {
		s.trail.lose(err)
		return io.EOF
	}
	return err
}

// moveOn moves to the next file if the current one is done. It returns nil if there is more
// to read, and io.EOF once everything written so far has been read.
func (s *Source) moveOn() error {
	if err := s.trail.lookAhead(); err != nil {
		return err
	}
	if s.trail.following == nil {
		return io.EOF
	}
	// The rest that was written between the last read and the rotation.
	if err := s.read(); !errors.Is(err, io.EOF) {
		return err
	}
	s.change(s.trail.following)
	return nil
}

// restart continues after the current file was emptied. It returns io.EOF if there is
// nothing to continue with yet.
func (s *Source) restart() error {
	file, err := s.trail.resume()
	if err != nil {
		return err
	}
	if file == nil {
		return io.EOF
	}
	s.change(file)
	return nil
}

// change continues with another file.
func (s *Source) change(file *logFile) {
	end := s.trail.position()
	if file.offset == 0 {
		s.scanner.Finish(end, time.Now())
	} // else it is a copy, in which a line begun in the original may continue
	s.trail.follow(file, end)
	s.settings.Logger.Info("reading the next file of the log",
		zap.String("path", file.path), zap.Int64("offset", file.offset))
}

// idle runs once all that was written has been read.
func (s *Source) idle(ctx context.Context, batches chan<- batch) {
	wait := pollWatched
	if next := s.scanner.Expire(time.Now()); next > 0 {
		wait = min(wait, next)
	}
	s.sendGathered(batches)
	s.warnOfNothing()
	gather, read := gatherTime, s.scanner.Counts().Bytes
	if read-s.idleAt >= busyFrom {
		gather = busyGatherTime
	}
	s.idleAt = read
	s.watcher.wait(ctx, gather, wait)
}

// sendGathered sends what was gathered so far, and every so often just a checkpoint.
func (s *Source) sendGathered(batches chan<- batch) {
	if s.scanner.Gathered() || time.Since(s.lastBatch) > checkpointInterval {
		s.send(batches, s.checkpoint())
	}
}

// end completes a log that is not followed, at its end.
func (s *Source) end(batches chan<- batch) {
	at := s.trail.position()
	if s.scanner.Waiting() > 0 {
		// The last line may not be complete yet: the next run reads it again, together with
		// the event that it belongs to.
		at = s.checkpoint()
		s.scanner.Finish(s.trail.position(), time.Now())
	}
	s.scanner.Correlator.Flush()
	s.send(batches, at)
	s.ended = true
	s.warnOfNothing()
	s.settings.Logger.Info("the log was read to its end", zap.String("path", s.settings.Path))
}

// stop hands on what was gathered. Events that still wait for records are delivered as they
// are; the checkpoint stays before them, so that after a restart they are delivered again,
// complete and with the same uid.
func (s *Source) stop(batches chan<- batch) {
	if s.ended {
		return
	}
	at := s.checkpoint()
	s.scanner.Correlator.Flush()
	s.send(batches, at)
}

// checkpoint returns the position before which everything is done once the events gathered
// so far have been delivered.
func (s *Source) checkpoint() correlate.Position {
	return s.scanner.Correlator.Safe(s.trail.position() - correlate.Position(s.scanner.Waiting()))
}

func (s *Source) send(batches chan<- batch, at correlate.Position) {
	b := batch{safe: at, at: s.trail.checkpoint(at)}
	s.take(&b)
	s.report()
	s.settings.Counts.Pending.Store(int64(s.scanner.Correlator.Pending()))
	// While there are files to catch up with, this has to check all of them.
	if s.trail.following == nil || time.Since(s.lastBehind) > checkpointInterval {
		s.observeBehind()
	}
	s.handOver(batches, b)
	s.lastBatch = time.Now()
}

// take fills a batch with what the scanner has gathered.
func (s *Source) take(b *batch) {
	gathered := s.scanner.Take()
	b.seen = make([]source.Observation, len(gathered))
	for i, one := range gathered {
		b.seen[i].Event, b.seen[i].Fact = one.Event, one.Fact
		if one.Fact != nil {
			b.facts = append(b.facts, placed{one.Fact, one.At})
		}
	}
}

// handOver waits until there is room for a batch. Meanwhile it keeps measuring how far
// reading is behind the log: that is how a stuck pipeline shows.
func (s *Source) handOver(batches chan<- batch, b batch) {
	ticker := time.NewTicker(checkpointInterval)
	defer ticker.Stop()
	for {
		select {
		case batches <- b:
			return
		case <-ticker.C:
			_ = s.trail.lookAhead() // also opens the next file before that is rotated away
			s.observeBehind()
		}
	}
}

func (s *Source) observeBehind() {
	s.settings.Counts.BytesBehind.Store(s.trail.behind() + s.scanner.Buffered())
	s.lastBehind = time.Now()
}

func (s *Source) failed(err error) {
	if !s.failing {
		s.sampled.Error("cannot read the log, trying again", zap.Error(err))
	}
	s.failing = true
	s.settings.Health(err)
}

func (s *Source) recovered() {
	if s.failing {
		s.sampled.Info("the log can be read again", zap.String("path", s.settings.Path))
		s.settings.Health(nil)
	}
	s.failing = false
}
