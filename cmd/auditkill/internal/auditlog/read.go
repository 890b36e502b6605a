// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// Events reads the log and returns its events, once, in the order in which they happened.
// Where the clock was set back the order is about that in which they were written.
func (l *Log) Events(config correlate.Config) iter.Seq[*kill.Event] {
	return func(yield func(*kill.Event) bool) {
		s := logfile.NewScanner(config, max(minBuffer, logfile.BufferSize/max(1, l.Share)))
		s.Rejected = func(line []byte, err error) { l.reject(s, line, err) }
		r := reading{log: l, scanner: s, yield: yield, window: max(minWindow, window/max(1, l.Share))}
		for _, p := range l.parts {
			if !r.read(p) {
				return
			}
		}
		s.Correlator.Flush()
		r.hand()
	}
}

const (
	// window is how many events are held back at most for one that is not known in full yet,
	// some 8 MB of them: one that strikes many is known later than one that strikes one.
	window = 4096
	// minWindow and minBuffer are what each of many logs has of window and
	// logfile.BufferSize: less would put events out of order, or read slowly.
	minWindow, minBuffer = 256, 2 * logfile.MaxLine
)

// reject reports a line that is no record, unless it is what ausearch puts between events.
func (l *Log) reject(s *logfile.Scanner, line []byte, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || bytes.Equal(line, []byte("----")) || bytes.HasPrefix(line, []byte("time->")) {
		return
	}
	switch {
	case line[0] == 0:
		err = errNULs
	case errors.Is(err, logfile.ErrNoRecord) && interpreted(line):
		err = errInterpreted
	}
	l.problem(Problem{Path: s.Path, Line: s.Line, Err: err})
}

// interpreted reports whether a line has a date where the kernel writes seconds.
func interpreted(line []byte) bool {
	_, stamp, ok := bytes.Cut(line, []byte("msg=audit("))
	end := bytes.IndexByte(stamp, ')')
	return ok && end > 0 && bytes.ContainsAny(stamp[:end], "/ -")
}

func (l *Log) problem(p Problem) {
	if l.Problem != nil {
		l.Problem(p)
	}
}

// reading is one pass over a log.
type reading struct {
	log     *Log
	scanner *logfile.Scanner
	yield   func(*kill.Event) bool
	// end is the stream position behind the last byte that was read.
	end    correlate.Position
	window int
	// held are the events that others may have to be put before.
	held byTime
}

// hand hands on the events that were gathered. It reports whether more are wanted.
func (r *reading) hand() bool {
	for _, e := range r.scanner.Take() {
		heap.Push(&r.held, e)
	}
	oldest, waiting := r.scanner.Correlator.Oldest()
	for len(r.held) > 0 && (!waiting || len(r.held) > r.window || r.held[0].Time.Before(oldest)) {
		if !r.yield(heap.Pop(&r.held).(*kill.Event)) {
			return false
		}
	}
	return true
}

// byTime is a heap.Interface with the event on top that happened first.
type byTime []*kill.Event

func (t byTime) Len() int { return len(t) }

func (t byTime) Less(i, j int) bool {
	return cmp.Or(t[i].Time.Compare(t[j].Time), cmp.Compare(t[i].Audit.Serial, t[j].Audit.Serial)) < 0
}

func (t byTime) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *byTime) Push(e any) { *t = append(*t, e.(*kill.Event)) }

// Pop implements heap.Interface.
func (t *byTime) Pop() any {
	last := len(*t) - 1
	e := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	return e
}

// read reads one part. It reports whether more is wanted.
func (r *reading) read(p part) bool {
	s := r.scanner
	s.Path, s.Line = p.name, 0
	if p.err != nil {
		r.log.problem(Problem{Path: p.name, Err: unreadable(p.err), Rest: true})
		return true
	}
	in, err := unzipped(&counter{in: p.in, count: r.log.Progress})
	for err == nil {
		var n int
		free := s.Free()
		n, err = in.Read(free)
		r.log.stamp(free[:n])
		s.Filled(n)
		r.end += correlate.Position(n)
		for s.Scan(r.end, time.Now()); s.More(); s.Scan(r.end, time.Now()) {
			if !r.hand() {
				return false
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		s.Drop() // half a line, of which what comes next tells
	}
	s.Finish(r.end, time.Now())
	r.log.lines += s.Line
	if !errors.Is(err, io.EOF) {
		if s.Line > 0 {
			err = fmt.Errorf("what comes after this line cannot be read: %w", err)
		} else {
			err = unreadable(err)
		}
		r.log.problem(Problem{Path: p.name, Line: s.Line, Err: err, Rest: true})
	}
	return r.hand()
}

// stamp remembers the times of the first and the last record.
func (l *Log) stamp(read []byte) {
	if l.first.Milliseconds == 0 {
		l.first, _ = logfile.FirstStamp(read)
	}
	// The last line may be cut here; the one before it is not, or the next read tells.
	for tail := read[max(0, len(read)-2*logfile.MaxLine):]; len(tail) > 0; {
		tail = tail[:max(0, bytes.LastIndexByte(tail, '\n'))]
		line := tail[bytes.LastIndexByte(tail, '\n')+1:]
		if record, err := auditrecord.Parse(line); err == nil {
			l.last = record.Stamp
			return
		}
	}
}

// unreadable says that a whole file cannot be read, and leaves out its name.
func unreadable(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// gzipMagic is what compressed data begins with (RFC 1952, 2.3.1).
const gzipMagic = "\x1f\x8b"

// otherMagics are what other compressed data begins with, and what reads that.
var otherMagics = map[string]string{"\xfd7zXZ": "xzcat", "\x28\xb5\x2f\xfd": "zstdcat", "BZh": "bzcat", "\x04\x22\x4d\x18": "lz4cat"}

// unzipped returns the text of what may be compressed, whatever its name is.
func unzipped(in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(len("\xfd7zXZ"))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(magic, []byte(gzipMagic)) {
		return gzip.NewReader(buffered)
	}
	for other, program := range otherMagics {
		if bytes.HasPrefix(magic, []byte(other)) {
			return nil, fmt.Errorf("compressed, but not by gzip: use %s FILE | auditkill report -", program)
		}
	}
	return buffered, nil
}

// counter reports how much was read.
type counter struct {
	in    io.Reader
	count func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if c.count != nil {
		c.count(int64(n))
	}
	return n, err
}
