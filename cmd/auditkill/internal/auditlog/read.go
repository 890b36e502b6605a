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

// Events reads the log and returns its events, once, in the order in which they happened. If
// the clock was set back, the order is roughly that in which they were written.
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
		r.emit()
	}
}

const (
	// window is how many events, some 8 MB, are held back for an earlier one that is not
	// complete yet: an event with several targets is complete later than one with a single
	// target.
	window = 4096
	// minWindow and minBuffer are what each of many logs has at least of window and
	// logfile.BufferSize: with less, events would be out of order, or reading be slow.
	minWindow, minBuffer = 256, 2 * logfile.MaxLine
)

// reject reports a line that is not a record, except for the lines of ausearch between events.
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

// interpreted reports whether a line has a date in the place of seconds.
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
	// end is the stream position after the last byte that was read.
	end    correlate.Position
	window int
	// held are events that an earlier one may still have to precede.
	held byTime
}

// emit yields the events that are due. It reports whether more are wanted.
func (r *reading) emit() bool {
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

// byTime is a heap.Interface with the earliest event on top.
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
	var only []byte // what was read, as long as it has no whole line
	in, err := unzipped(&counter{in: p.in, count: r.log.Progress})
	for err == nil {
		var n int
		free := s.Free()
		n, err = in.Read(free)
		r.log.stamp(free[:n])
		if n > 0 && r.log.first.Milliseconds == 0 {
			only = append(only[:0], free[:n]...)
		}
		s.Filled(n)
		r.end += correlate.Position(n)
		for s.Scan(r.end, time.Now()); s.More(); s.Scan(r.end, time.Now()) {
			if !r.emit() {
				return false
			}
		}
	}
	if r.log.first.Milliseconds == 0 {
		r.log.stamp(append(only, '\n')) // a log of one line, which has no end
	}
	if !errors.Is(err, io.EOF) {
		s.Drop() // half a line, which the problem below covers
	}
	s.Finish(r.end, time.Now())
	r.log.lines += s.Line
	if !errors.Is(err, io.EOF) {
		if s.Line > 0 {
			err = fmt.Errorf("the rest after this line cannot be read: %w", err)
		} else {
			err = unreadable(err)
		}
		r.log.problem(Problem{Path: p.name, Line: s.Line, Err: err, Rest: true})
	}
	return r.emit()
}

// stamp remembers the times of the first and the last record.
func (l *Log) stamp(read []byte) {
	if l.first.Milliseconds == 0 {
		l.first, _ = logfile.FirstStamp(read)
	}
	// The last line may be cut off here. The one before it is complete, or the next read has a
	// later one.
	for tail := read[max(0, len(read)-2*logfile.MaxLine):]; len(tail) > 0; {
		tail = tail[:max(0, bytes.LastIndexByte(tail, '\n'))]
		line := tail[bytes.LastIndexByte(tail, '\n')+1:]
		if record, err := auditrecord.Parse(line); err == nil {
			l.last = record.Stamp
			return
		}
	}
}

// unreadable says that a whole file cannot be read, without its name.
func unreadable(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// gzipMagic begins data compressed with gzip (RFC 1952, 2.3.1).
const gzipMagic = "\x1f\x8b"

// otherMagics begin data compressed otherwise, with the programs that read it.
var otherMagics = map[string]string{"\xfd7zXZ": "xzcat", "\x28\xb5\x2f\xfd": "zstdcat", "BZh": "bzcat", "\x04\x22\x4d\x18": "lz4cat"}

// unzipped decompresses data if it is compressed, whatever its name is.
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
