// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"cmp"
)

const (
	// MaxLine is the longest line that is read whole. The kernel's records have at most
	// 8970 bytes (audit.h, MAX_AUDIT_MESSAGE_LENGTH), to which auditd adds its
	// interpretation; anything longer is damage.
	MaxLine = 64 << 10
	// BufferSize is how much is read at once while catching up. A smaller buffer is no
	// faster, and makes the garbage collector run more often, because it runs each time as
	// much has been allocated as is in use. For a log that is followed only its first pages
	// are ever touched.
	BufferSize = 2 << 20
)

// lines cuts a stream of bytes into lines. It holds at most BufferSize bytes.
type lines struct {
	buffer []byte
	// size is the size of the buffer; 0 means BufferSize.
	size       int
	start, end int
	// skipped is how many bytes of a line that is too long have already been dropped.
	skipped int64
}

// free returns the room to read into. It is never empty if next was called until it found
// no more.
func (l *lines) free() []byte {
	if l.buffer == nil {
		l.buffer = make([]byte, cmp.Or(l.size, BufferSize))
	}
	if l.start > 0 {
		l.end = copy(l.buffer, l.buffer[l.start:l.end])
		l.start = 0
	}
	return l.buffer[l.end:]
}

// filled notes that n bytes have been read into the free room.
func (l *lines) filled(n int) { l.end += n }

// waiting is how many bytes have been read but not yet returned as lines, including those
// of a line that is too long.
func (l *lines) waiting() int64 { return l.skipped + int64(l.end-l.start) }

// next returns the next whole line without its line feed. A line that is too long is
// returned with tooLong once its end has been found, as far as it was kept.
func (l *lines) next() (line []byte, tooLong, ok bool) {
	data := l.buffer[l.start:l.end]
	i := bytes.IndexByte(data, '\n')
	if i >= 0 {
		l.start += i + 1
		tooLong = l.skipped > 0 || i > MaxLine
		l.skipped = 0
		return data[:min(i, MaxLine)], tooLong, true
	}
	if len(data) > MaxLine {
		// Keep its beginning, which may show what it was.
		l.skipped += int64(len(data) - MaxLine)
		l.end = l.start + MaxLine
	}
	return nil, false, false
}

// rest returns what was kept of a line without an end, and drops it.
func (l *lines) rest() (line []byte, tooLong bool) {
	line, tooLong = l.buffer[l.start:l.end], l.skipped > 0
	l.start, l.end, l.skipped = 0, 0, 0
	return line, tooLong
}
