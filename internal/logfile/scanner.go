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
	// maxBatch is how many events a scanner gathers at most, but for those that one line
	// brings.
	maxBatch = 128
)

var (
	// ErrNoRecord says of a line that it is not an audit record.
	ErrNoRecord = errors.New("not an audit record")

	errBroken = errors.New("damaged audit record")
	errCut    = fmt.Errorf("longer than %d bytes: the rest of it is not read", MaxLine)
)

// Scanner turns the bytes of a log into events.
type Scanner struct {
	// Path is the file that the bytes are of.
	Path string
	// Line is the number of the line that was read last.
	Line int64
	// Correlator has the events that still wait for records.
	Correlator *correlate.Correlator
	// Tampered is called when somebody is seen to blind the monitor, Rejected of each line
	// that could not be read. Either may be nil.
	Tampered func()
	Rejected func(line []byte, why error)
	// Panics contains a panic while one line is worked on; nil does not.
	Panics *panics.Guard

	lines  lines
	events []*kill.Event
	// more is true if there may be whole lines that Scan has not taken yet. The bytes that
	// they are among do not count as read before it has: at shutdown they are forgotten.
	more     bool
	buffered int64
	counts   Counts
}

// Counts says what has happened since the beginning.
type Counts struct {
	// Records and Bytes are what was read.
	Records, Bytes int64
	// Malformed and TooLong are the lines that could not be read, or not whole.
	Malformed, TooLong int64
}

// NewScanner returns a scanner that reads so many bytes at once; 0 is BufferSize.
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

// Free returns the room to read into; more than nothing as long as Scan is called until
// there is no more.
func (s *Scanner) Free() []byte { return s.lines.free() }

// Filled says that n bytes have been read into the free room.
func (s *Scanner) Filled(n int) {
	s.lines.filled(n)
	s.buffered += int64(n)
}

// Waiting is how many bytes have been read of lines that have not been taken.
func (s *Scanner) Waiting() int64 { return s.lines.waiting() }

// Buffered is how many bytes do not count as read yet.
func (s *Scanner) Buffered() int64 { return s.buffered }

// More reports whether Scan is to be called again before more is read.
func (s *Scanner) More() bool { return s.more }

// Full reports whether there are enough events for a batch.
func (s *Scanner) Full() bool { return len(s.events) >= maxBatch }

// Gathered reports whether there are events to take.
func (s *Scanner) Gathered() bool { return len(s.events) > 0 }

// Counts returns what has happened since the beginning.
func (s *Scanner) Counts() Counts { return s.counts }

// Scan takes whole lines, until there are enough events for a batch or no more
// lines. end is the stream position behind the last byte that was read.
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

// Finish takes a last line that has no end, of a file that will not grow.
func (s *Scanner) Finish(end correlate.Position, now time.Time) {
	at := end - correlate.Position(s.lines.waiting())
	line, tooLong := s.lines.rest()
	if len(line) == 0 {
		return
	}
	s.count(tooLong)
	cut := !looksWhole(line)
	if cut {
		// What stands last may be half a number.
		line = line[:bytes.LastIndexByte(line, ' ')+1]
	}
	s.add(line, cut || tooLong, at, now)
}

// Drop forgets half a line.
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
		// After a power failure a file may hold NULs where the last lines should
		// be, and the next good line right behind them.
		line = bytes.TrimLeft(line, "\x00")
		verdict = s.Correlator.AddLine(line, cut, at, now)
	}
	switch {
	case verdict == correlate.Broken:
		s.reject(line, errBroken)
	case verdict == correlate.Taken && cut && len(line) >= MaxLine && s.Rejected != nil:
		s.Rejected(line, errCut) // which is counted as too long
	}
}

// looksWhole reports whether a line that has no line feed nevertheless seems to
// be there to its end: the last field of each record that matters is in quotes
// or absent, or one digit.
func looksWhole(line []byte) bool {
	return bytes.HasSuffix(line, []byte("(null)")) || bytes.HasSuffix(line, []byte(" res=1")) ||
		bytes.HasSuffix(line, []byte(`"`)) && bytes.Count(line, []byte(`"`))%2 == 0
}

// Expire closes the events that have waited long enough, and returns how long the caller may
// wait before it calls again; 0 if nothing is pending.
func (s *Scanner) Expire(now time.Time) time.Duration {
	defer s.Panics.Contain("completing an event of the audit log")
	return s.Correlator.Expire(now)
}

// Take returns the events gathered so far and forgets them.
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
