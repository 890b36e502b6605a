// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

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
	"regexp"
	"slices"
	"strings"
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

	// Share is among how many logs that are read at once the memory is shared; 0 is one.
	Share int

	parts  []part
	unread []string
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
	// err is why it could not be opened.
	err error
}

// Problem is a line that could not be read.
type Problem struct {
	Path string
	// Line is the number of the line, from 1; 0 if nothing could be read.
	Line int64
	Err  error
	// Rest is true if nothing after the line could be read either.
	Rest bool
}

// Error names the file, the line and what is wrong.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %v", p.Path, p.Err)
	}
	return fmt.Sprintf("%s:%d: %v", p.Path, p.Line, p.Err)
}

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

var (
	errNoRecord    = errors.New("not an audit record")
	errNULs        = errors.New("NUL bytes, as a power failure leaves them")
	errBroken      = errors.New("damaged audit record")
	errCut         = fmt.Errorf("longer than %d bytes: the rest of it is not read", maxLine)
	errInterpreted = errors.New("this was interpreted by ausearch -i, which cannot be read back: use ausearch --raw")
)

// OpenLog opens the log at path with the files that were rotated away from it, or audit.log
// in a directory. All are held open from here on, so that none is missed or read twice when
// the log is rotated. One that cannot be opened is a Problem when it is read, unless it is the
// only one.
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
			_, err := regular(path)
			return nil, cmp.Or(err, errUnsettled)
		}
		parts := openParts(entries)
		if again, listErr := list(path); listErr != nil || !sameEntries(entries, again) {
			closeParts(parts)
			time.Sleep(settlePause)
			continue
		}
		if !slices.ContainsFunc(parts, func(p part) bool { return p.err == nil }) {
			return nil, parts[len(parts)-1].err
		}
		return &Log{parts: parts, unread: unread(path)}, nil
	}
	return nil, fmt.Errorf("%s: %w", path, errUnsettled)
}

// unread returns the files beside a log that seem to belong to it but are not read:
// logrotate's with a date for a number, whose order is not auditd's, and those that are
// compressed otherwise than by gzip.
func unread(path string) (paths []string) {
	directory, name := filepath.Split(resolve(path))
	names, _ := os.ReadDir(filepath.Clean(directory)) // which it was just read
	for _, candidate := range names {
		if suffix, ok := strings.CutPrefix(candidate.Name(), name); ok && unreadSuffix.MatchString(suffix) {
			paths = append(paths, directory+candidate.Name())
		}
	}
	return paths
}

var unreadSuffix = regexp.MustCompile(`^[-.](\d{8}.*|\d{4}-\d\d-\d\d.*|\d+\.(xz|bz2|zst|lz4|Z))$`)

// Unread returns the paths of files beside the log that may be of it, but are not read with
// it. Each may be read as a log of its own.
func (l *Log) Unread() []string { return l.unread }

// NewLog returns a log that is read from a stream, and has a name for messages.
func NewLog(name string, in io.Reader) *Log {
	return &Log{parts: []part{{name: name, in: io.NopCloser(in)}}}
}

func openParts(entries []entry) (parts []part) {
	for _, e := range entries {
		file, err := os.Open(e.path)
		parts = append(parts, part{name: e.path, in: file, info: e.info, err: err})
	}
	return parts
}

func closeParts(parts []part) {
	for _, p := range parts {
		if p.err == nil {
			_ = p.in.Close() // was only read from
		}
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
	return !slices.ContainsFunc(l.parts, func(p part) bool { return p.info == nil || !larger.Contains(p.info) })
}

// Same reports whether two logs are of the same files.
func (l *Log) Same(other *Log) bool {
	return slices.EqualFunc(l.parts, other.parts, func(a, b part) bool {
		return a.info != nil && b.info != nil && os.SameFile(a.info, b.info)
	})
}

// Contains reports whether a file is one of the log's.
func (l *Log) Contains(info fs.FileInfo) bool {
	return slices.ContainsFunc(l.parts, func(p part) bool { return p.info != nil && os.SameFile(info, p.info) })
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
		s.rejected = func(line []byte, err error) { l.reject(s, line, err) }
		s.lines.size = max(minBuffer, bufferSize/max(1, l.Share))
		r := reading{log: l, scanner: s, yield: yield, window: max(minWindow, window/max(1, l.Share))}
		for _, p := range l.parts {
			if !r.read(p) {
				return
			}
		}
		s.correlator.Flush()
		r.hand()
	}
}

const (
	// window is how many events are held back at most for one that is not known in full yet,
	// some 8 MB of them: one that strikes many is known later than one that strikes one.
	window = 4096
	// minWindow and minBuffer are what each of many logs has of window and bufferSize: less
	// would put events out of order, or read slowly.
	minWindow, minBuffer = 256, 2 * maxLine
)

// reject tells of a line that is no record, unless it is what ausearch puts between events.
func (l *Log) reject(s *scanner, line []byte, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || bytes.Equal(line, []byte("----")) || bytes.HasPrefix(line, []byte("time->")) {
		return
	}
	switch {
	case line[0] == 0:
		err = errNULs
	case errors.Is(err, errNoRecord) && interpreted(line):
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
	end    correlate.Position
	window int
	// held are the events that others may have to be put before.
	held byTime
}

// hand hands on the events that were gathered. It reports whether more are wanted.
func (r *reading) hand() bool {
	for _, e := range r.scanner.take() {
		heap.Push(&r.held, e)
	}
	oldest, waiting := r.scanner.correlator.Oldest()
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
	s.path, s.line = p.name, 0
	if p.err != nil {
		r.log.problem(Problem{Path: p.name, Err: unreadable(p.err), Rest: true})
		return true
	}
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
	if !errors.Is(err, io.EOF) {
		s.lines.rest() // half a line, of which what comes next tells
	}
	s.finish(r.end, time.Now())
	r.log.lines += s.line
	if !errors.Is(err, io.EOF) {
		if s.line > 0 {
			err = fmt.Errorf("what comes after this line cannot be read: %w", err)
		} else {
			err = unreadable(err)
		}
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
