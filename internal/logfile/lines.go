// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

const (
	// MaxLine is the longest line that is read whole. The kernel's records have at most
	// 8970 bytes (audit.h, MAX_AUDIT_MESSAGE_LENGTH), to which auditd adds its
	// interpretation; anything longer is damage.
	MaxLine = 64 << 10
	// ahead is how many blocks may be filled before the first is done: so many are surveyed side by
	// side. That is as fast as the kernel copies a file, and takes 8 MB with the one that is being filled,
	// twice of which is the garbage collector's.
	ahead = 3
	// firstSize is the size of the blocks until largeFrom bytes were read: to touch as much memory as large blocks
	// take would be a good part of the time that a short log takes.
	firstSize = 512 << 10
	largeFrom = 64 << 20
	// minAside is how many bytes are worth a goroutine of their own. What is read of a log that
	// is followed is mostly less.
	minAside = 64 << 10
)

// lines cuts a stream of bytes into lines. It reads ahead: blocks that have been filled are
// surveyed side by side, and their lines returned in order. For a log that is followed only the
// first pages of two blocks are ever touched.
type lines struct {
	// size is the size of a block; 0 means BlockSize.
	size int
	// newPreviewer makes what previews the lines of a block.
	newPreviewer func() *correlate.Previewer
	// filling is the block that is read into, filled are those before it.
	filling *block
	filled  []*block
	// spare are blocks to use again.
	spare []*block
	// skipped is how many bytes of a line that is too long have already been dropped.
	skipped int64
	// queued is how many bytes of the filled blocks are not done.
	queued int64
	// passed counts the lines that do not matter since the last one that was returned.
	passed int
	// read is how many bytes were read since the beginning, done those whose blocks are done.
	read, done int64
	// unchanged is what read was at the latest call of shrink.
	unchanged int64
}

// found is a line that may matter.
type found struct {
	// line has no line feed. A line that is tooLong is returned as far as it was kept.
	line    []byte
	tooLong bool
	// passed is how many lines that do not matter are before it.
	passed int
	// waiting is how many bytes have been read from the beginning of the line on.
	waiting int64
	preview *correlate.Preview
}

// room reports whether to read more before what was read is done.
func (l *lines) room() bool { return len(l.filled) < ahead }

// free returns the room to read into. It is never empty.
func (l *lines) free() []byte {
	if l.filling == nil {
		l.filling = l.empty()
	}
	return l.filling.buffer[l.filling.end:]
}

// empty returns a block to fill.
func (l *lines) empty() *block {
	size := cmp.Or(l.size, BlockSize)
	if l.read < largeFrom {
		size = min(size, firstSize)
	}
	for last := len(l.spare) - 1; last >= 0; last-- {
		b := l.spare[last]
		l.spare = l.spare[:last]
		if len(b.buffer) >= size {
			return b
		}
	}
	return &block{buffer: make([]byte, size), previewer: l.newPreviewer()}
}

// fill notes that n bytes have been read into the free room, and reports whether a line ends in
// them.
func (l *lines) fill(n int) (ended bool) {
	b := l.filling
	if b == nil {
		return false
	}
	before := b.end
	b.end += n
	b.read += int64(n)
	l.read += int64(n)
	last := bytes.LastIndexByte(b.buffer[before:b.end], '\n')
	if last >= 0 {
		l.cut(before + last + 1)
	}
	// Keep the beginning of a line that is too long, which may show what it was.
	if b = l.filling; b.end > MaxLine {
		l.skipped += int64(b.end - MaxLine)
		b.end = MaxLine
	}
	return last >= 0
}

// cut ends the block that is being filled after its whole lines. The rest begins the next one.
func (l *lines) cut(whole int) {
	b := l.filling
	b.whole, b.dropped = whole, l.skipped
	l.queued += int64(whole) + l.skipped
	l.skipped = 0
	l.filled = append(l.filled, b)
	l.filling = l.empty()
	l.filling.end = copy(l.filling.buffer, b.buffer[whole:b.end])
	if whole >= minAside {
		b.surveyAside()
	}
}

// waiting is how many bytes have been read but not yet returned as lines, including those
// of a line that is too long.
func (l *lines) waiting() int64 {
	waiting := l.queued + l.skipped
	if l.filling != nil {
		waiting += int64(l.filling.end)
	}
	return waiting
}

// next returns the next line that may matter, valid until the call after this one. Without such
// a line, it returns how many others there were.
func (l *lines) next() (found, bool) {
	for len(l.filled) > 0 {
		b := l.filled[0]
		m := b.next()
		if m == nil {
			l.finish(b)
			continue
		}
		l.advance(b, int(m.start))
		f := found{
			line: b.buffer[m.start : m.start+min(m.length, MaxLine)], tooLong: m.length > MaxLine || b.dropped > 0,
			passed: l.passed + int(m.passed), waiting: l.waiting(), preview: &m.preview,
		}
		l.passed = 0
		l.advance(b, int(m.start+m.length)+1)
		l.queued -= b.dropped
		b.dropped = 0
		return f, true
	}
	l.done = l.read
	passed := l.passed
	l.passed = 0
	return found{passed: passed}, false
}

// unfold makes next return each line until the next one that it would have returned.
func (l *lines) unfold() { l.filled[0].unfold() }

// advance notes that the lines of a block are done up to here.
func (l *lines) advance(b *block, to int) {
	l.queued -= int64(to - b.emptied)
	b.emptied = to
}

// finish makes room for another block.
func (l *lines) finish(b *block) {
	l.advance(b, b.whole)
	l.passed += b.passed
	l.done += b.read
	l.filled = slices.Delete(l.filled, 0, 1)
	b.reset()
	l.spare = append(l.spare, b)
}

// rest returns what was kept of a line without an end, and drops it. It is called after the last
// line was returned.
func (l *lines) rest() (line []byte, tooLong bool) {
	if l.filling == nil {
		return nil, false
	}
	line, tooLong = l.filling.buffer[:l.filling.end], l.skipped > 0
	l.filling.end, l.skipped = 0, 0
	return line, tooLong
}

// shrink releases the memory of blocks that are needed only while much is read. It is called again and again
// while the caller waits for more.
func (l *lines) shrink() {
	if l.read == l.unchanged {
		l.spare = nil
	}
	l.unchanged = l.read
}
