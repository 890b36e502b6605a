// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package pluginsource

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// tick is how often the reader updates its counts, even if nothing arrives. A connection that
	// has lasted this long counts as working.
	tick = time.Second
	// bufferSize is more than the socket holds (net.core.wmem_default is 208 KiB) plus half a line.
	bufferSize = 512 << 10
	// pace is how long the reader lets records gather: auditd writes each of them separately,
	// and waking up for each would be most of the work. It does not pause for calmAfter after a read
	// of busyFrom bytes: the socket holds only some 200 records, and on a busy host a sleeper may
	// wake up late.
	pace      = 2 * time.Millisecond
	calmAfter = 100 * time.Millisecond
	busyFrom  = 4 << 10
	// firstPause and longestPause are how long to wait before connecting again. Trying costs
	// next to nothing, and what is recorded meanwhile is missed.
	firstPause, longestPause = 50 * time.Millisecond, time.Second
)

// errServesAnother is the likely reason if a connection ends before any data has arrived.
var errServesAnother = &problem.Problem{
	What: "auditd's af_unix plugin closed the connection at once", Err: io.EOF,
	Fix: "if another program reads from its socket, stop that: the socket serves one reader",
}

// read reads from one connection after the other until ctx is done.
func (s *Source) read(ctx context.Context, conn net.Conn) {
	for conn != nil {
		err := s.drain(ctx, conn)
		// The end of the last line, and other records of the same events, never come.
		s.scanner.Drop()
		s.scanner.Correlator.Lost()
		if ctx.Err() != nil {
			return
		}
		s.disconnected(err)
		conn = s.reconnect(ctx)
	}
}

// drain reads from a connection until it ends or ctx is done.
func (s *Source) drain(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // which ends the read
	began, wait, worked := time.Now(), tick, false
	busy := began // until then
	for {
		_ = conn.SetReadDeadline(time.Now().Add(wait)) // it fails only if the read fails, too
		n, err := conn.Read(s.scanner.Free())
		now := time.Now()
		s.take(n, now)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			if !worked && errors.Is(err, io.EOF) {
				return errServesAnother
			}
			return err
		}
		if n > 0 || now.Sub(began) >= tick {
			worked = true
			s.connected()
		}
		wait = s.settle(now)
		if n >= busyFrom {
			busy = now.Add(calmAfter)
		} else if n > 0 && now.After(busy) {
			time.Sleep(pace)
		}
	}
}

// take takes n bytes that were read.
func (s *Source) take(n int, now time.Time) {
	s.scanner.Filled(n)
	s.at += correlate.Position(n)
	for more := n > 0; more; more = s.scanner.More() {
		s.scanner.Scan(s.at, now)
		s.hand()
	}
}

// settle closes the events that have waited long enough, and returns how long the reader may
// wait before it calls again.
func (s *Source) settle(now time.Time) time.Duration {
	wait := tick
	if next := s.scanner.Expire(now); next > 0 {
		wait = min(wait, next)
	}
	s.hand()
	if now.Sub(s.lastReport) >= tick {
		s.report()
	}
	return wait
}

// hand moves what was read into the queue, except for our own signals: what we do must not add to what
// we read, whatever rules others have loaded.
func (s *Source) hand() {
	gathered := s.scanner.Take()
	seen := make([]source.Observation, 0, len(gathered))
	for _, one := range gathered {
		if e := one.Event; e == nil || e.Kind != kill.KindSignal || e.Sender.PID != s.self || s.self == 0 {
			seen = append(seen, source.Observation{Event: e, Fact: one.Fact})
		}
	}
	s.queue.Add(seen)
}

// reconnect connects again; it returns nil once ctx is done.
func (s *Source) reconnect(ctx context.Context) net.Conn {
	for {
		s.sleep(ctx, s.pause.NextBackOff())
		if ctx.Err() != nil {
			return nil
		}
		conn, err := connect(ctx, s.settings.Path)
		if err == nil {
			return conn
		}
		s.settings.Health(err)
		s.sampled.Warn("cannot connect to auditd, trying again", zap.Error(err))
	}
}

// sleep waits, and meanwhile closes the events that have waited long enough.
func (s *Source) sleep(ctx context.Context, duration time.Duration) {
	for until := time.Now().Add(duration); ctx.Err() == nil; {
		now := time.Now()
		left := until.Sub(now)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, s.settle(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// disconnected reports that a connection has ended.
func (s *Source) disconnected(err error) {
	s.settings.Health(err)
	if s.gone.IsZero() {
		s.gone = time.Now()
	}
	s.sampled.Warn("the connection to auditd has ended; signals are missed until it is back",
		zap.String("path", s.settings.Path), zap.Error(err))
}

// connected reports that a connection works.
func (s *Source) connected() {
	s.pause.Reset()
	if s.gone.IsZero() {
		return
	}
	s.settings.Health(nil)
	s.sampled.Info("connected to auditd again", zap.String("path", s.settings.Path),
		zap.Duration("missed", time.Since(s.gone)))
	s.gone = time.Time{}
}
