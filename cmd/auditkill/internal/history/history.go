// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bufio"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// window is how many events are sorted by time: outcomes and what waited for an explanation are written after
	// events that are younger, and a line may be a second late.
	window = 4096
	// readBuffer is how many bytes are read at a time.
	readBuffer = 256 << 10
)

var errIrregular = errors.New("is no ordinary file")

// Event is an event that was read back, and the log record that it was.
type Event struct {
	*kill.Event
	// Record is what was recorded. It has everything, the event only what lists and searches need.
	Record plog.LogRecord
	// UID and Body are the record's uid and its sentence.
	UID, Body string
	// HostName is the host that recorded it; empty if not known.
	HostName string
}

// History is a history that is read once, from the beginning to the current end. It is not safe for concurrent use.
type History struct {
	// Problem is called with what could not be read. Progress is called with the number of bytes that were read.
	// Both may be nil.
	Problem  func(error)
	Progress func(bytes int64)

	path     string
	files    []part
	unopened []error
	// lines, first and last describe what has been read, records how many lines had records.
	lines       int64
	records     int64
	first, last time.Time
}

type part struct {
	path string
	file *os.File
	info fs.FileInfo
}

// Path is the file that is written to.
func (h *History) Path() string { return h.path }

// Size returns how many bytes the history has on the disk.
func (h *History) Size() (size int64) {
	for _, p := range h.files {
		size += p.info.Size()
	}
	return size
}

// Span returns the times of the oldest and the newest event that was read; the zero time if there was none.
func (h *History) Span() (first, last time.Time) { return h.first, h.last }

// Lines returns how many lines were read.
func (h *History) Lines() int64 { return h.lines }

// Foreign reports whether lines were read, but not one with records.
func (h *History) Foreign() bool { return h.lines > 0 && h.records == 0 }

// Contains reports whether a file is one of the history's.
func (h *History) Contains(info fs.FileInfo) bool {
	for _, p := range h.files {
		if os.SameFile(p.info, info) {
			return true
		}
	}
	return false
}

// Close closes what Open has opened.
func (h *History) Close() {
	for _, p := range h.files {
		_ = p.file.Close() // it was only read
	}
}

// Events reads the history and returns its events, once, in the order of time. Of an event that was recorded
// several times it returns the first one.
func (h *History) Events() iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for _, err := range h.unopened {
			h.problem(err)
		}
		var held sorter
		seen := newUIDs()
		add := func(e *Event) bool {
			if !seen.add(e.UID) {
				return true
			}
			h.note(e.Time)
			heap.Push(&held, e)
			return held.Len() <= window || yield(heap.Pop(&held).(*Event)) //nolint:forcetypeassert // it holds nothing else
		}
		for _, p := range h.files {
			if !h.read(p, add) {
				return
			}
		}
		for held.Len() > 0 {
			if !yield(heap.Pop(&held).(*Event)) { //nolint:forcetypeassert // it holds nothing else
				return
			}
		}
	}
}

// read reads a file, and reports whether more is wanted.
func (h *History) read(p part, add func(*Event) bool) bool {
	in := lines{in: bufio.NewReaderSize(p.file, readBuffer), read: h.Progress}
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		h.lines++
		if err == nil {
			var wanted bool
			if wanted, err = decode(line, add); !wanted {
				return false
			}
		}
		if err != nil {
			h.problem(fmt.Errorf("%s:%d: %w", p.path, in.number, withoutPath(err)))
		} else {
			h.records++
		}
		if in.failed {
			return true
		}
	}
}

// withoutPath removes the path of a file that stands in front of the error anyway.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func (h *History) problem(err error) {
	if h.Problem != nil {
		h.Problem(err)
	}
}

func (h *History) note(at time.Time) {
	if h.first.IsZero() || at.Before(h.first) {
		h.first = at
	}
	if at.After(h.last) {
		h.last = at
	}
}

// sorter is a heap of events, the oldest on top.
type sorter []*Event

func (s sorter) Len() int           { return len(s) }
func (s sorter) Less(i, j int) bool { return s[i].Time.Before(s[j].Time) }
func (s sorter) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface.
func (s *sorter) Push(e any) { *s = append(*s, e.(*Event)) } //nolint:forcetypeassert // called with nothing else

// Pop implements heap.Interface.
func (s *sorter) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return e
}

// maxUIDs is how many uids are remembered: what is recorded again comes within some requests.
const maxUIDs = 1 << 16

// uids remembers the last uids.
type uids struct {
	known map[string]struct{}
	order []string
	next  int
}

func newUIDs() *uids { return &uids{known: make(map[string]struct{})} }

// add reports whether a uid is new. Of records without one nothing is known.
func (u *uids) add(uid string) bool {
	if uid == "" {
		return true
	}
	if _, known := u.known[uid]; known {
		return false
	}
	u.known[uid] = struct{}{}
	if len(u.order) < maxUIDs {
		u.order = append(u.order, uid)
		return true
	}
	delete(u.known, u.order[u.next])
	u.order[u.next] = uid
	u.next = (u.next + 1) % maxUIDs
	return true
}
