// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

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
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Log is a log that is read once, from its beginning to its end as it is now. Unlike a
// Source it follows nothing and forgets where it was; in exchange it need not be a file,
// and it tells which line could not be read. It is not safe for concurrent use.
type Log struct {
	// Problem is told of what could not be read; the rest is. Progress is told of bytes
	// that were read, as they are on the disk. Both may be nil.
	Problem  func(Problem)
	Progress func(bytes int64)

	parts []part
	// What has been read so far.
	lines       int64
	first, last auditrecord.Stamp
}

// part is one of the files that a log consists of.
type part struct {
	name string
	in   io.ReadCloser
	// info is nil for what is not a file.
	info fs.FileInfo
}

// Problem is a line that could not be read.
type Problem struct {
	Path string
	// Line is the number of the line, from 1.
	Line int64
	Err  error
	// Rest is true if nothing after the line could be read either.
	Rest bool
}

// Error names the file, the line and what is wrong.
func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %v", p.Path, p.Line, p.Err) }

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

var (
	errNoRecord    = errors.New("not an audit record")
	errInterpreted = errors.New("this was interpreted by ausearch -i, which cannot be read back: use ausearch --raw")
)

// OpenLog opens the log at path with the files that were rotated away from it, or audit.log
// in a directory. All are held open from here on, so that none is missed or read twice when
// the log is rotated.
func OpenLog(path string) (*Log, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "audit.log")
	}
	for range settleTries {
		entries, err := list(path)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return openStream(path)
		}
		parts, err := openParts(entries)
		if again, listErr := list(path); listErr != nil || !sameEntries(entries, again) {
			closeParts(parts)
			time.Sleep(settlePause)
			continue
		}
		if err != nil {
			closeParts(parts)
			return nil, err
		}
		return &Log{parts: parts}, nil
	}
	return nil, fmt.Errorf("%s: %w", path, errUnsettled)
}

// openStream opens what is there but no regular file, such as a named pipe.
func openStream(path string) (*Log, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, explain(err)
	}
	return NewLog(path, file), nil
}

// NewLog returns a log that is read from a stream, and has a name for messages.
func NewLog(name string, in io.Reader) *Log {
	return &Log{parts: []part{{name: name, in: io.NopCloser(in)}}}
}

func openParts(entries []entry) (parts []part, err error) {
	for _, e := range entries {
		file, err := os.Open(e.path)
		if err != nil {
			return parts, explain(err)
		}
		parts = append(parts, part{name: e.path, in: file, info: e.info})
	}
	return parts, nil
}

func closeParts(parts []part) {
	for _, p := range parts {
		_ = p.in.Close() // was only read from
	}
}

// Close closes what OpenLog has opened.
func (l *Log) Close() { closeParts(l.parts) }

// Size returns how many bytes the log has on the disk; -1 if that is not known.
func (l *Log) Size() int64 {
	size := int64(0)
	for _, p := range l.parts {
		if p.info == nil {
			return -1
		}
		size += p.info.Size()
	}
	return size
}

// Within reports whether the files of this log are among those of a larger one.
func (l *Log) Within(larger *Log) bool {
	if len(l.parts) >= len(larger.parts) {
		return false
	}
	return !slices.ContainsFunc(l.parts, func(p part) bool { return !larger.holds(p) })
}

// Same reports whether two logs are of the same files.
func (l *Log) Same(other *Log) bool {
	return slices.EqualFunc(l.parts, other.parts, func(a, b part) bool {
		return a.info != nil && b.info != nil && os.SameFile(a.info, b.info)
	})
}

func (l *Log) holds(p part) bool {
	return slices.ContainsFunc(l.parts, func(own part) bool {
		return p.info != nil && own.info != nil && os.SameFile(p.info, own.info)
	})
}

// Lines returns how many lines have been read.
func (l *Log) Lines() int64 { return l.lines }

// Span returns the times of the first and the last record that have been read; the zero
// time if there were none.
func (l *Log) Span() (first, last time.Time) { return timeOf(l.first), timeOf(l.last) }

func timeOf(s auditrecord.Stamp) time.Time {
	if s.Milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(s.Milliseconds)
}

// Events reads the log and returns its events, once, in the order in which they happened.
// Where the clock was set back the order is about that in which they were written.
func (l *Log) Events(config correlate.Config) iter.Seq[*kill.Event] {
	config.Source = SourceName
	return func(yield func(*kill.Event) bool) {
		s := newScanner(config, nil, func() {})
		s.rejected = func(line []byte) { l.reject(s, line) }
		r := reading{log: l, scanner: s, yield: yield}
		for _, p := range l.parts {
			if !r.read(p) {
				return
			}
		}
		s.correlator.Flush()
		r.hand()
	}
}

// window is how many events are held back at most for one that is not known in full yet,
// some 8 MB of them: one that strikes many is known later than one that strikes one.
const window = 4096

// reject tells of a line that is no record, unless it is what ausearch puts between events.
func (l *Log) reject(s *scanner, line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || bytes.Equal(line, []byte("----")) || bytes.HasPrefix(line, []byte("time->")) {
		return
	}
	err := errNoRecord
	if interpreted(line) {
		err = errInterpreted
	}
	l.problem(Problem{Path: s.path, Line: s.line, Err: err})
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
	scanner *scanner
	yield   func(*kill.Event) bool
	// end is the stream position behind the last byte that was read.
	end correlate.Position
	// held are the events that others may have to be put before.
	held byTime
}

// hand hands on the events that were gathered. It reports whether more are wanted.
func (r *reading) hand() bool {
	for _, e := range r.scanner.take() {
		heap.Push(&r.held, e)
	}
	oldest, waiting := r.scanner.correlator.Oldest()
	for len(r.held) > 0 && (!waiting || len(r.held) > window || r.held[0].Time.Before(oldest)) {
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
	s.path, s.line = p.name, 0
	in, err := unzipped(&counter{in: p.in, count: r.log.Progress})
	for err == nil {
		var n int
		free := s.lines.free()
		n, err = in.Read(free)
		r.log.stamp(free[:n])
		s.lines.filled(n)
		r.end += correlate.Position(n)
		for s.scan(r.end, time.Now()); s.more; s.scan(r.end, time.Now()) {
			if !r.hand() {
				return false
			}
		}
	}
	s.finish(r.end, time.Now())
	r.log.lines += s.line
	if !errors.Is(err, io.EOF) {
		err = fmt.Errorf("what comes after this line cannot be read: %w", err)
		r.log.problem(Problem{Path: p.name, Line: s.line, Err: err, Rest: true})
	}
	return r.hand()
}

// stamp remembers the times of the first and the last record.
func (l *Log) stamp(read []byte) {
	if l.first.Milliseconds == 0 {
		l.first, _ = firstStamp(read)
	}
	// The last line may be cut here; the one before it is not, or the next read tells.
	for tail := read[max(0, len(read)-2*maxLine):]; len(tail) > 0; {
		tail = tail[:max(0, bytes.LastIndexByte(tail, '\n'))]
		line := tail[bytes.LastIndexByte(tail, '\n')+1:]
		if record, err := auditrecord.Parse(line); err == nil {
			l.last = record.Stamp
			return
		}
	}
}

// gzipMagic is what compressed data begins with (RFC 1952, 2.3.1).
const gzipMagic = "\x1f\x8b"

// unzipped returns the text of what may be compressed, whatever its name is.
func unzipped(in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(len(gzipMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(magic) != gzipMagic {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

// counter tells how much was read.
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
