// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/rendering"
)

const (
	// sourceName is the value of kill.source, if Config.Source does not say.
	sourceName = "audit_file"
	// maxBatch is how many events and facts a scanner gathers at most; the last line may bring more.
	maxBatch = 128
)

var (
	// ErrNoRecord means that a line is not an audit record.
	ErrNoRecord = errors.New("not an audit record")

	errBroken  = errors.New("damaged audit record")
	errForeign = errors.New("a system call on an architecture whose calls are not known: if it sent a signal, that is missing")
	errCut     = fmt.Errorf("longer than %d bytes: the rest of it is not read", MaxLine)
)

// Seen is an event, or a fact that helps to explain events: the other one is nil.
type Seen struct {
	Event *kill.Event
	Fact  *attribution.Fact
	// At is the position of the line after which it was known.
	At correlate.Position
}

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

	lines lines
	// renderings reads what other programs than auditd have written.
	renderings rendering.Reader
	seen       []Seen
	// at is the position of the latest line.
	at correlate.Position
	// more is true if there may be whole lines that Scan has not handled yet. The bytes
	// around them count as read only after it has: at shutdown they are dropped.
	more   bool
	counts Counts
}

// Counts holds what has happened since the beginning.
type Counts struct {
	// Records and Bytes count what was read.
	Records, Bytes int64
	// Malformed and TooLong count the lines that could not be read, or not whole.
	Malformed, TooLong int64
}

// NewScanner returns a scanner with blocks of the given size; 0 means BlockSize. If facts is true, it gathers
// facts as well as events, each in the order in which it became known.
func NewScanner(config correlate.Config, size int, facts bool) *Scanner {
	config.Source = cmp.Or(config.Source, sourceName)
	s := &Scanner{}
	if facts {
		config.Fact = func(f *attribution.Fact) { s.seen = append(s.seen, Seen{Fact: f, At: s.at}) }
	}
	s.Correlator = correlate.New(config, func(e *kill.Event) {
		e.File = s.Path
		if e.Kind == kill.KindTamper && s.Tampered != nil {
			s.Tampered()
		}
		s.seen = append(s.seen, Seen{Event: e, At: s.at})
	})
	s.lines = lines{size: size, newPreviewer: func() *correlate.Previewer { return correlate.NewPreviewer(&config) }}
	return s
}

// Room reports whether to read more before what was read is scanned: parts of a log are surveyed
// side by side.
func (s *Scanner) Room() bool { return s.lines.room() }

// Free returns the room to read into. It is called if Room returns true, or if More returns false.
func (s *Scanner) Free() []byte { return s.lines.free() }

// Filled notes that n bytes have been read into the free room. It reports whether a line ends in
// them.
func (s *Scanner) Filled(n int) bool {
	ended := s.lines.fill(n)
	s.more = s.more || ended
	return ended
}

// Waiting is how many bytes have been read of lines that have not been handled.
func (s *Scanner) Waiting() int64 { return s.lines.waiting() }

// Buffered is how many of the bytes read do not count as read yet.
func (s *Scanner) Buffered() int64 { return s.lines.read - s.lines.done }

// More reports whether there may be whole lines to call Scan for.
func (s *Scanner) More() bool { return s.more }

// Full reports whether there is enough for a batch.
func (s *Scanner) Full() bool { return len(s.seen) >= maxBatch }

// Gathered reports whether there is something to take.
func (s *Scanner) Gathered() bool { return len(s.seen) > 0 }

// Counts returns what has happened since the beginning.
func (s *Scanner) Counts() Counts {
	counts := s.counts
	counts.Bytes = s.lines.done
	return counts
}

// At returns the position of the latest line.
func (s *Scanner) At() correlate.Position { return s.at }

// Scan handles whole lines until there is enough for a batch, or there are no more lines. end
// is the stream position after the last byte that was read.
func (s *Scanner) Scan(end correlate.Position, now time.Time) {
	for s.more = true; s.more && !s.Full(); {
		s.scan(end, now)
	}
}

// scan is Scan until a panic, which costs only the line that caused it.
func (s *Scanner) scan(end correlate.Position, now time.Time) {
	defer s.Panics.Contain("reading a line of the audit log")
	for !s.Full() {
		next, ok := s.lines.next()
		s.counts.Records += int64(next.passed)
		s.Line += int64(next.passed)
		if !ok {
			s.more = false
			return
		}
		s.count(next.tooLong)
		s.at = end - correlate.Position(next.waiting)
		if next.preview.Call() {
			if s.Correlator.Pass(next.preview) {
				continue
			}
			s.lines.unfold()
		}
		s.add(next.line, next.tooLong, now)
	}
}

// Finish handles a last line without an end, of a file that will not grow.
func (s *Scanner) Finish(end correlate.Position, now time.Time) {
	defer s.Panics.Contain("reading the last line of the audit log")
	s.at = end - correlate.Position(s.lines.waiting())
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
	s.add(line, cut || tooLong, now)
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

func (s *Scanner) add(line []byte, cut bool, now time.Time) {
	verdict := s.Correlator.AddLine(line, cut, s.at, now)
	if verdict == correlate.NoRecord {
		if rendered, ok := s.renderings.Read(line, now); ok {
			verdict = s.Correlator.AddRendered(rendered.Line, line, rendered.Numbered, cut, s.at, now)
			s.judge(verdict, line, cut)
			return
		}
		s.reject(line, ErrNoRecord)
		if len(line) == 0 || line[0] != 0 {
			return
		}
		// After a power failure a file may hold NULs where the last lines should be, with
		// the next good line right after them.
		line = bytes.TrimLeft(line, "\x00")
		if verdict = s.Correlator.AddLine(line, cut, s.at, now); verdict == correlate.NoRecord {
			return
		}
	}
	s.judge(verdict, line, cut)
}

// Add handles a line of a log that holds more than audit records, and that its caller cuts into lines. It reports whether
// the line is a record, and what is known of its rendering.
func (s *Scanner) Add(line []byte, now time.Time) (rendered rendering.Record, ok bool) {
	defer s.Panics.Contain("reading a record among other lines")
	s.at++
	rendered.Numbered = true
	verdict := s.Correlator.AddLine(line, false, s.at, now)
	if verdict == correlate.NoRecord {
		if rendered, ok = s.renderings.Read(line, now); !ok {
			return rendered, false
		}
		verdict = s.Correlator.AddRendered(rendered.Line, line, rendered.Numbered, false, s.at, now)
	}
	s.judge(verdict, line, false)
	return rendered, true
}

// judge reports a line that was not used, or not all of it.
func (s *Scanner) judge(verdict correlate.Verdict, line []byte, cut bool) {
	switch {
	case verdict == correlate.NoRecord:
		s.reject(line, ErrNoRecord)
	case verdict == correlate.Foreign:
		s.reject(line, errForeign)
	case verdict == correlate.Broken:
		s.reject(line, errBroken)
	case verdict == correlate.Taken && cut && len(line) >= MaxLine && s.Rejected != nil:
		s.Rejected(line, errCut) // it is already counted as too long
	}
}

// looksWhole reports whether a line without a line feed seems to be complete nevertheless:
// the last field of each record that matters is in quotes, absent, a single digit, or a result, and JSON ends as it begins.
func looksWhole(line []byte) bool {
	if bytes.HasPrefix(line, []byte("{")) {
		return bytes.HasSuffix(line, []byte("}"))
	}
	return bytes.HasSuffix(line, []byte("(null)")) || bytes.HasSuffix(line, []byte(" res=1")) ||
		bytes.HasSuffix(line, []byte(" res=success'")) || bytes.HasSuffix(line, []byte(" res=failed'")) ||
		bytes.HasSuffix(line, []byte(`"`)) && bytes.Count(line, []byte(`"`))%2 == 0
}

// Expire closes events that have waited long enough, and returns how long the caller may
// wait before the next call; 0 if nothing is pending.
func (s *Scanner) Expire(now time.Time) time.Duration {
	defer s.Panics.Contain("completing an event of the audit log")
	s.lines.shrink()
	return s.Correlator.Expire(now)
}

// Take returns what was gathered so far, and forgets it.
func (s *Scanner) Take() []Seen {
	seen := s.seen
	s.seen = nil
	return seen
}

func (s *Scanner) reject(line []byte, why error) {
	s.counts.Malformed++
	if s.Rejected != nil {
		s.Rejected(line, why)
	}
}
