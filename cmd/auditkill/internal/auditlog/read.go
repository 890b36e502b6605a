// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"bytes"
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
	"github.com/auditkill/auditkillreceiver/internal/rendering"
)

// Events reads the log and returns its events, once, in the order in which they happened. If
// the clock was set back, the order is roughly that in which they were written.
func (l *Log) Events(config correlate.Config) iter.Seq[*kill.Event] {
	return func(yield func(*kill.Event) bool) {
		s := logfile.NewScanner(config, max(minBlock, logfile.BlockSize/max(1, l.Share)), l.Fact != nil)
		s.Rejected = func(line []byte, err error) { l.reject(s, line, err) }
		r := reading{log: l, scanner: s, yield: yield, window: max(minWindow, window/max(1, l.Share))}
		for _, p := range l.parts {
			if !r.read(p) {
				return
			}
		}
		s.Correlator.Flush()
		r.ended = true
		r.emit()
	}
}

// reject reports a line that is not a record, except for the lines of ausearch and grep between events. Of the lines that
// look like the output of a program only the first is reported.
func (l *Log) reject(s *logfile.Scanner, line []byte, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || bytes.Equal(line, []byte("----")) || bytes.Equal(line, []byte("--")) || bytes.HasPrefix(line, []byte("time->")) {
		return
	}
	switch {
	case line[0] == 0:
		err = errNULs
	case errors.Is(err, logfile.ErrNoRecord):
		looks, helps := rendering.Describe(line)
		if looks == "" {
			break
		}
		if l.described == looks {
			return
		}
		l.described, err = looks, fmt.Errorf("%w: it looks like %s: %s", err, looks, helps)
	}
	l.problem(Problem{Path: s.Path, Line: s.Line, Err: err})
}

func (l *Log) problem(p Problem) {
	if l.Problem != nil {
		l.Problem(p)
	}
}

// read reads one part. It reports whether more is wanted.
func (r *reading) read(p part) bool {
	s := r.scanner
	s.Path, s.Line = p.name, 0
	if p.err != nil {
		r.log.problem(Problem{Path: p.name, Err: unreadable(p.err), Rest: true})
		return true
	}
	r.only, r.log.described = r.only[:0], ""
	in, begin, err := unzipped(&counter{in: p.in, count: r.log.Progress})
	if err == nil && isKernelLog(begin) {
		more, failure := r.readKernel(p, in)
		if failure != nil {
			r.log.problem(Problem{Path: p.name, Err: unreadable(failure), Rest: true})
		}
		return more
	}
	for err == nil || s.More() {
		if err == nil {
			err = r.readAhead(in, p.info == nil)
		}
		s.Scan(r.end, time.Now())
		if s.Full() && !r.emit() {
			return false
		}
	}
	if r.log.first.Milliseconds == 0 {
		r.log.stamp(append(r.only, '\n')) // a log of one line, which has no end
	}
	if !errors.Is(err, io.EOF) {
		s.Drop() // half a line, which the problem below covers
	}
	s.Finish(r.end, time.Now())
	r.log.lines += s.Line
	if !errors.Is(err, io.EOF) {
		if s.Line > 0 {
			err = fmt.Errorf("the rest after this line cannot be read: %w", cutOff(err))
		} else {
			err = unreadable(err)
		}
		r.log.problem(Problem{Path: p.name, Line: s.Line, Err: err, Rest: true})
	}
	return r.emit()
}

// readAhead reads as much as there is room for. It does not wait for more of a stream while there is something to scan.
func (r *reading) readAhead(in io.Reader, stream bool) error {
	s, read := r.scanner, logfile.Fill
	if stream {
		read = io.Reader.Read
	}
	for s.Room() && (!stream || !s.More()) {
		free := s.Free()
		n, err := read(in, free)
		r.log.stamp(free[:n])
		if n > 0 && r.log.first.Milliseconds == 0 {
			r.only = append(r.only[:0], free[:n]...)
		}
		r.end += correlate.Position(n)
		if !s.Filled(n) || err != nil {
			return err
		}
	}
	return nil
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
	return fmt.Errorf("cannot be read: %w", cutOff(err))
}

// cutOff says what an unexpected end means: only data that is compressed says where it ends.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the compressed file is cut off: %w", err)
	}
	return err
}

// otherMagics begin data that is compressed in a way that is not read, with the programs that read it.
var otherMagics = map[string]string{"BZh": "bzcat", "\x04\x22\x4d\x18": "lz4cat"}

// unzipped decompresses data if it is compressed, whatever its name is. It also returns what the data begins with.
func unzipped(in io.Reader) (all io.Reader, begin []byte, err error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(logfile.MagicLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if format := logfile.FormatOf(magic); format != logfile.Plain {
		plain, err := logfile.Unpack(format, buffered)
		if err != nil {
			return nil, nil, err
		}
		buffered = bufio.NewReaderSize(plain, 64<<10)
		_, _ = buffered.Peek(1) // an error comes again when it is read
	}
	for other, program := range otherMagics {
		if bytes.HasPrefix(magic, []byte(other)) {
			return nil, nil, fmt.Errorf("compressed, but not by gzip, xz or zstd: use %s FILE | auditkill report -", program)
		}
	}
	begin, _ = buffered.Peek(buffered.Buffered()) // what is there
	return buffered, begin, nil
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
