// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
)

const (
	// sourceName is the value of kill.source, if Config.Source does not say.
	sourceName = "audit_file"
	// maxBatch is how many events a scanner gathers at most; the last line may bring more.
	maxBatch = 128
)

var (
	// ErrNoRecord means that a line is not an audit record.
	ErrNoRecord = errors.New("not an audit record")

	errBroken = errors.New("damaged audit record")
	errCut    = fmt.Errorf("longer than %d bytes: the rest of it is not read", MaxLine)
)

// Scanner turns the bytes of a log into events.
type Scanner struct {
	// Path is the file that the bytes come from.
	Path string
	// Line is the number of the latest line.
	Line int64
	// Correlator holds the events that still wait for records.
	Correlator *correlate.Correlator
	// Tampered is called when an act that blinds the monitor is seen, Rejected for each
	// line that could not be read. Either may be nil.
	Tampered func()
	Rejected func(line []byte, why error)
	// Panics contains a panic to the line that caused it; nil contains none.
	Panics *panics.Guard

	lines  lines
	events []*kill.Event
	// more is true if there may be whole lines that Scan has not handled yet. The bytes
	// around them count as read only after it has: at shutdown they are dropped.
	more     bool
	buffered int64
	counts   Counts
}

// Counts holds what has happened since the beginning.
type Counts struct {
	// Records and Bytes count what was read.
	Records, Bytes int64
	// Malformed and TooLong count the lines that could not be read, or not whole.
	Malformed, TooLong int64
}

// NewScanner returns a scanner with a buffer of the given size; 0 means BufferSize.
func NewScanner(config correlate.Config, buffer int) *Scanner {
	config.Source = cmp.Or(config.Source, sourceName)
	s := &Scanner{lines: lines{size: buffer}}
	s.Correlator = correlate.New(config, func(e *kill.Event) {
		e.File = s.Path
		if e.Kind == kill.KindTamper && s.Tampered != nil {
			s.Tampered()
		}
		s.events = append(s.events, e)
	})
	return s
}

// Free returns the room to read into. It is never empty if Scan was called until More
// returned false.
func (s *Scanner) Free() []byte { return s.lines.free() }

// Filled notes that n bytes have been read into the free room.
func (s *Scanner) Filled(n int) {
	s.lines.filled(n)
	s.buffered += int64(n)
}

// Waiting is how many bytes have been read of lines that have not been handled.
func (s *Scanner) Waiting() int64 { return s.lines.waiting() }

// Buffered is how many of the bytes read do not count as read yet.
func (s *Scanner) Buffered() int64 { return s.buffered }

// More reports whether to call Scan again before reading more.
func (s *Scanner) More() bool { return s.more }

// Full reports whether there are enough events for a batch.
func (s *Scanner) Full() bool { return len(s.events) >= maxBatch }

// Gathered reports whether there are events to take.
func (s *Scanner) Gathered() bool { return len(s.events) > 0 }

// Counts returns what has happened since the beginning.
func (s *Scanner) Counts() Counts { return s.counts }

// Scan handles whole lines until there are enough events for a batch or no more lines. end
// is the stream position after the last byte that was read.
func (s *Scanner) Scan(end correlate.Position, now time.Time) {
	s.more = true
	for !s.Full() {
		at := end - correlate.Position(s.lines.waiting())
		line, tooLong, ok := s.lines.next()
		if !ok {
			s.more = false
			s.counts.Bytes, s.buffered = s.counts.Bytes+s.buffered, 0
			return
		}
		s.count(tooLong)
		s.add(line, tooLong, at, now)
	}
}

// Finish handles a last line without an end, of a file that will not grow.
func (s *Scanner) Finish(end correlate.Position, now time.Time) {
	at := end - correlate.Position(s.lines.waiting())
	line, tooLong := s.lines.rest()
	if len(line) == 0 {
		return
	}
	s.count(tooLong)
	cut := !looksWhole(line)
	if cut {
		// The last word may be half a number.
		line = line[:bytes.LastIndexByte(line, ' ')+1]
	}
	s.add(line, cut || tooLong, at, now)
}

// Drop drops half a line.
func (s *Scanner) Drop() { s.lines.rest() }

func (s *Scanner) count(tooLong bool) {
	s.counts.Records++
	s.Line++
	if tooLong {
		s.counts.TooLong++
	}
}

func (s *Scanner) add(line []byte, cut bool, at correlate.Position, now time.Time) {
	defer s.Panics.Contain("reading a line of the audit log")
	verdict := s.Correlator.AddLine(line, cut, at, now)
	if verdict == correlate.NoRecord {
		s.reject(line, ErrNoRecord)
		if len(line) == 0 || line[0] != 0 {
			return
		}
		// After a power failure a file may hold NULs where the last lines should be, with
		// the next good line right after them.
		line = bytes.TrimLeft(line, "\x00")
		verdict = s.Correlator.AddLine(line, cut, at, now)
	}
	switch {
	case verdict == correlate.Broken:
		s.reject(line, errBroken)
	case verdict == correlate.Taken && cut && len(line) >= MaxLine && s.Rejected != nil:
		s.Rejected(line, errCut) // it is already counted as too long
	}
}

// looksWhole reports whether a line without a line feed seems to be complete nevertheless:
// the last field of each record that matters is in quotes, absent, or a single digit.
func looksWhole(line []byte) bool {
	return bytes.HasSuffix(line, []byte("(null)")) || bytes.HasSuffix(line, []byte(" res=1")) ||
		bytes.HasSuffix(line, []byte(`"`)) && bytes.Count(line, []byte(`"`))%2 == 0
}

// Expire closes events that have waited long enough, and returns how long the caller may
// wait before the next call; 0 if nothing is pending.
func (s *Scanner) Expire(now time.Time) time.Duration {
	defer s.Panics.Contain("completing an event of the audit log")
	return s.Correlator.Expire(now)
}

// Take returns the events gathered so far, and forgets them.
func (s *Scanner) Take() []*kill.Event {
	events := s.events
	s.events = nil
	return events
}

func (s *Scanner) reject(line []byte, why error) {
	s.counts.Malformed++
	if s.Rejected != nil {
		s.Rejected(line, why)
	}
}
