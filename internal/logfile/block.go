// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

const (
	// BlockSize is how much is read at once while catching up, and surveyed by one goroutine. With smaller blocks,
	// waking up goroutines would be a good part of the work.
	BlockSize = 2 << 20
	// maxMarks bounds the memory for what a survey finds. Few blocks have more such lines; the
	// rest of those is surveyed once the first are done.
	maxMarks = 4096
)

// block is a piece of a log that ends with the end of a line. It is filled and emptied by the
// same goroutine; in between another one may survey it.
type block struct {
	buffer []byte
	// end is how many bytes the buffer holds, whole how many of them are whole lines.
	end, whole int
	// read is how many bytes of the log were read into the block, dropped how many of its first
	// line, which is too long, are not in the buffer.
	read, dropped int64
	// previewer shows what each line is alone; with nil, each has to be added.
	previewer *correlate.Previewer

	// surveyed is how far the survey has come, marks are the lines that it has found, and passed
	// counts the lines after the last one.
	surveyed int
	marks    []mark
	passed   int
	// taken counts the marks that were taken, emptied the bytes that are done. Until unfolded, each line
	// is returned.
	taken, emptied, unfolded int
	// ready is closed once another goroutine has surveyed the block; nil if none does.
	ready chan struct{}
}

// mark is a line that may matter.
type mark struct {
	// start and length describe the line without its line feed.
	start, length int32
	// passed is how many lines that do not matter are before it.
	passed  int32
	preview correlate.Preview
}

// survey finds the lines that may matter, most of which do not. It decides by what the lines of
// this block show, so that blocks can be surveyed side by side and in any order.
func (b *block) survey() {
	if b.surveyed == 0 && b.previewer != nil {
		b.previewer.Begin()
	}
	at, passed := b.surveyed, b.passed
	b.marks, b.taken = b.marks[:0], 0
	for at < b.whole && len(b.marks) < maxMarks {
		rest := b.buffer[at:b.whole]
		length := bytes.IndexByte(rest, '\n')
		preview := b.preview(at, rest[:length])
		if preview.Nothing() {
			passed++
		} else {
			b.marks = append(b.marks, mark{int32(at), int32(length), int32(passed), preview})
			passed = 0
		}
		at += length + 1
	}
	if at < b.whole && b.previewer != nil {
		b.previewer.Begin() // unfold does not reach beyond the last mark
	}
	b.surveyed, b.passed = at, passed
}

func (b *block) preview(at int, line []byte) correlate.Preview {
	switch {
	case b.previewer == nil:
	case len(line) > MaxLine || at == 0 && b.dropped > 0:
		b.previewer.Begin() // the line is cut
	default:
		return b.previewer.Preview(line)
	}
	return correlate.Preview{}
}

// surveyAside lets another goroutine survey the block.
func (b *block) surveyAside() {
	ready := make(chan struct{})
	b.ready = ready
	go func() {
		defer close(ready)
		b.survey()
	}()
}

// next returns the next line that may matter; nil if there is none.
func (b *block) next() *mark {
	if b.ready != nil {
		<-b.ready
		b.ready = nil
	}
	if b.emptied < b.unfolded {
		return b.folded()
	}
	for b.taken == len(b.marks) {
		if b.surveyed == b.whole {
			return nil
		}
		b.survey()
	}
	b.taken++
	return &b.marks[b.taken-1]
}

// unfold makes next return each of the lines before the next mark.
func (b *block) unfold() {
	b.unfolded = b.surveyed
	if b.taken < len(b.marks) {
		b.unfolded = int(b.marks[b.taken].start)
	}
}

// folded returns the next line, which the next mark counts among those that do not matter.
func (b *block) folded() *mark {
	if b.taken < len(b.marks) {
		b.marks[b.taken].passed--
	} else {
		b.passed--
	}
	return &mark{start: int32(b.emptied), length: int32(bytes.IndexByte(b.buffer[b.emptied:b.unfolded], '\n'))}
}

// reset empties the block.
func (b *block) reset() {
	*b = block{buffer: b.buffer, marks: b.marks[:0], previewer: b.previewer}
}
