// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditlog reads an audit log once, from its beginning to its end, or what a kernel log says about kills for
// lack of memory.
package auditlog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// Log is a log that is read once, from the beginning to the current end. Unlike the receiver's
// source, it does not follow the log and keeps no position; but it may read a stream, and it
// reports which lines could not be read. It is not safe for concurrent use.
type Log struct {
	// Problem is called for each line that could not be read. Progress is called with the
	// number of bytes that were read, compressed as on the disk. Both may be nil.
	Problem  func(Problem)
	Progress func(bytes int64)
	// Fact is called with what helps to explain events, while these are read, before the events that come
	// after it; nil wants none. Wait returns how long after an event there may be facts that have to be told
	// before it; nil is for none.
	Fact func(*attribution.Fact)
	Wait func(*kill.Event) time.Duration

	// Boot knows the current boot of this host; nil knows nothing.
	Boot Boot

	// Share is how many logs share the memory because they are read at the same time; 0 is
	// one.
	Share int

	parts  []part
	unread []string
	// described is what the lines that were rejected look like.
	described string
	// disbelieved are the records in kernel logs that any user could have written.
	disbelieved Disbelieved
	// doubts and kills are about kernel logs.
	doubts Doubt
	kills  int
	// lines, first and last describe what has been read so far.
	lines       int64
	first, last auditrecord.Stamp
}

// part is one of the files of a log.
type part struct {
	name string
	in   io.ReadCloser
	// info is nil for a stream.
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

var errNULs = errors.New("NUL bytes, as after a power failure")

// Open opens the log at path with the files rotated from it, or audit.log in a directory. It
// holds all of them open, so that none is missed or read twice if the log is rotated. A file
// that cannot be opened becomes a Problem when it is its turn, unless it is the only one.
func Open(path string) (*Log, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "audit.log")
	}
	for range logfile.SettleTries {
		entries, err := logfile.List(path)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			_, err := logfile.Regular(path)
			return nil, cmp.Or(err, logfile.ErrUnsettled)
		}
		parts := openParts(entries)
		if again, listErr := logfile.List(path); listErr != nil || !logfile.Same(entries, again) {
			closeParts(parts)
			time.Sleep(logfile.SettlePause)
			continue
		}
		if !slices.ContainsFunc(parts, func(p part) bool { return p.err == nil }) {
			return nil, parts[len(parts)-1].err
		}
		return &Log{parts: parts, unread: unread(path)}, nil
	}
	return nil, fmt.Errorf("%s: %w", path, logfile.ErrUnsettled)
}

// unread returns the files beside a log that seem to belong to it but are not read: those with a date in a form that is not
// known, and those that are compressed otherwise than with gzip, xz or zstd.
func unread(path string) (paths []string) {
	directory, name := filepath.Split(logfile.Resolve(path))
	names, _ := os.ReadDir(filepath.Clean(directory)) // it was just read
	for _, candidate := range names {
		suffix, ok := strings.CutPrefix(candidate.Name(), name)
		if ok && !logfile.Belongs(candidate.Name(), name) && unreadSuffix.MatchString(suffix) {
			paths = append(paths, directory+candidate.Name())
		}
	}
	return paths
}

var unreadSuffix = regexp.MustCompile(`^[-.](\d{8}.*|\d{4}-\d\d-\d\d.*|\d+\.(bz2|lz4|Z))$`)

// Unread returns the paths of files beside the log that may belong to it, but are not read with
// it. Each can be read as a log of its own.
func (l *Log) Unread() []string { return l.unread }

// New returns a log that is read from a stream. Its name is for messages.
func New(name string, in io.Reader) *Log {
	return &Log{parts: []part{{name: name, in: io.NopCloser(in)}}}
}

func openParts(entries []logfile.File) (parts []part) {
	for _, e := range entries {
		file, err := os.Open(e.Path)
		parts = append(parts, part{name: e.Path, in: file, info: e.Info, err: err})
	}
	return parts
}

func closeParts(parts []part) {
	for _, p := range parts {
		if p.err == nil {
			_ = p.in.Close() // it was only read
		}
	}
}

// Close closes what Open has opened.
func (l *Log) Close() { closeParts(l.parts) }

// Size returns how many bytes the log has on the disk; -1 if not known.
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

// Same reports whether two logs have the same files.
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

// Span returns the times of the first and the last record that were read; the zero time if
// there were none.
func (l *Log) Span() (first, last time.Time) { return timeOf(l.first), timeOf(l.last) }

func timeOf(s auditrecord.Stamp) time.Time {
	if s.Milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(s.Milliseconds)
}
