// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// scanner turns what was read into events. It is what a batch is made from.
type scanner struct {
	lines      lines
	correlator *correlate.Correlator
	events     []*kill.Event
	counts     *source.Counts
	panics     *panics.Guard
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

	// What has happened since the last report; an atomic operation for each single line
	// would cost a good part of the line.
	records, bytes, malformed, tooLong int64
	reported                           correlate.Counts
}

func newScanner(config correlate.Config, counts *source.Counts, tampered func()) *scanner {
	s := &scanner{counts: counts}
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
	defer s.panics.Contain("reading a line of the audit log")
	if auditrecord.IsOther(line) {
		return
	}
	t, node, message := auditrecord.Split(line)
	if t == auditrecord.TypeNone {
		// After a power failure a file may hold NULs where the last lines should
		// be, and the next good line right behind them.
		s.reject(line, errNoRecord)
		line = bytes.TrimLeft(line, "\x00")
		t, node, message = auditrecord.Split(line)
	}
	if !correlate.Wants(t) || s.correlator.Passes(t, node, message) {
		return
	}
	// Lines that went through Windows end with a carriage return.
	line, message = bytes.TrimSuffix(line, []byte("\r")), bytes.TrimSuffix(message, []byte("\r"))
	record, err := auditrecord.ParseMessage(t, node, message)
	if err != nil {
		s.reject(line, errNoRecord)
		return
	}
	record.Cut = cut
	damaged := s.correlator.Counts().Damaged
	s.correlator.Add(record, line, at, now)
	switch {
	case s.rejected == nil:
	case s.correlator.Counts().Damaged > damaged:
		s.rejected(line, errBroken) // which the correlator has counted
	case cut && len(line) >= maxLine:
		s.rejected(line, errCut)
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

func (s *scanner) expire(now time.Time) time.Duration {
	defer s.panics.Contain("completing an event of the audit log")
	return s.correlator.Expire(now)
}

// report brings the counts up to date.
func (s *scanner) report() {
	counts := s.correlator.Counts()
	s.counts.Records.Add(s.records)
	s.counts.Bytes.Add(s.bytes)
	s.counts.Incomplete.Add(counts.Incomplete - s.reported.Incomplete)
	s.counts.Evicted.Add(counts.Evicted - s.reported.Evicted)
	s.counts.Malformed.Add(s.malformed + counts.Damaged - s.reported.Damaged)
	s.counts.TooLong.Add(s.tooLong)
	s.reported = counts
	s.records, s.bytes, s.malformed, s.tooLong = 0, 0, 0, 0
}

func (s *scanner) reject(line []byte, why error) {
	s.malformed++
	if s.rejected != nil {
		s.rejected(line, why)
	}
}
