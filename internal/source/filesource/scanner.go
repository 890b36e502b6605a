// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// scanner turns what was read into events. It is what a batch is made from.
type scanner struct {
	lines      lines
	correlator *correlate.Correlator
	events     []*kill.Event
	telemetry  *metadata.TelemetryBuilder
	path       string
	// more is true if there may be whole lines that scan has not taken yet. The
	// bytes that they are among do not count as read before it has: at shutdown
	// they are forgotten.
	more     bool
	buffered int64
	// line is the number of the line that was read last, rejected is told of lines that are
	// no record; nil if nobody wants to know.
	line     int64
	rejected func(line []byte, why error)

	// What has happened since the last report; a metric for each single line
	// would cost more than the line.
	records, bytes, malformed, tooLong int64
	reported                           correlate.Counts
}

func newScanner(config correlate.Config, telemetry *metadata.TelemetryBuilder, tampered func()) *scanner {
	s := &scanner{telemetry: telemetry}
	s.correlator = correlate.New(config, func(e *kill.Event) {
		e.File = s.path
		if e.Kind == kill.KindTamper {
			tampered()
		}
		s.events = append(s.events, e)
	})
	return s
}

// scan takes whole lines, until there are enough events for a batch or no more
// lines. end is the stream position behind the last byte that was read.
func (s *scanner) scan(end correlate.Position, now time.Time) {
	s.more = true
	for len(s.events) < maxBatch {
		at := end - correlate.Position(s.lines.waiting())
		line, tooLong, ok := s.lines.next()
		if !ok {
			s.more = false
			s.bytes, s.buffered = s.bytes+s.buffered, 0
			return
		}
		s.records++
		s.line++
		if tooLong {
			s.tooLong++
		}
		s.add(line, tooLong, at, now)
	}
}

// finish takes a last line that has no end, of a file that will not grow.
func (s *scanner) finish(end correlate.Position, now time.Time) {
	at := end - correlate.Position(s.lines.waiting())
	line, tooLong := s.lines.rest()
	if len(line) == 0 {
		return
	}
	s.records++
	s.line++
	if tooLong {
		s.tooLong++
	}
	cut := !looksWhole(line)
	if cut {
		// What stands last may be half a number.
		line = line[:bytes.LastIndexByte(line, ' ')+1]
	}
	s.add(line, cut || tooLong, at, now)
}

func (s *scanner) add(line []byte, cut bool, at correlate.Position, now time.Time) {
	verdict := s.correlator.AddLine(line, cut, at, now)
	if verdict == correlate.NoRecord {
		s.reject(line, errNoRecord)
		if len(line) == 0 || line[0] != 0 {
			return
		}
		// After a power failure a file may hold NULs where the last lines should
		// be, and the next good line right behind them.
		line = bytes.TrimLeft(line, "\x00")
		verdict = s.correlator.AddLine(line, cut, at, now)
	}
	switch {
	case verdict == correlate.Broken:
		s.reject(line, errBroken)
	case verdict == correlate.Taken && cut && len(line) >= maxLine && s.rejected != nil:
		s.rejected(line, errCut) // which is counted as too long
	}
}

// looksWhole reports whether a line that has no line feed nevertheless seems to
// be there to its end: the last field of each record that matters is in quotes
// or absent, or one digit.
func looksWhole(line []byte) bool {
	return bytes.HasSuffix(line, []byte("(null)")) || bytes.HasSuffix(line, []byte(" res=1")) ||
		bytes.HasSuffix(line, []byte(`"`)) && bytes.Count(line, []byte(`"`))%2 == 0
}

// take returns the events gathered so far and forgets them.
func (s *scanner) take() []*kill.Event {
	events := s.events
	s.events = nil
	return events
}

// report moves the counts into the metrics.
func (s *scanner) report(ctx context.Context) {
	s.telemetry.ReceiverAuditKillRecordsRead.Add(ctx, s.records)
	s.telemetry.ReceiverAuditKillFileBytesRead.Add(ctx, s.bytes)
	counts := s.correlator.Counts()
	s.telemetry.ReceiverAuditKillIncomplete.Add(ctx, counts.Incomplete-s.reported.Incomplete)
	s.telemetry.ReceiverAuditKillEvicted.Add(ctx, counts.Evicted-s.reported.Evicted)
	s.count(ctx, "malformed", s.malformed)
	s.count(ctx, "too_long", s.tooLong)
	s.reported = counts
	s.records, s.bytes, s.malformed, s.tooLong = 0, 0, 0, 0
}

func (s *scanner) reject(line []byte, why error) {
	s.malformed++
	if s.rejected != nil {
		s.rejected(line, why)
	}
}

func (s *scanner) count(ctx context.Context, reason string, n int64) {
	if n > 0 {
		s.telemetry.ReceiverAuditKillRejected.Add(ctx, n, metric.WithAttributes(attribute.String("reason", reason)))
	}
}
