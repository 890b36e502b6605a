// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package progress draws the progress bar of a command that reads long logs: one line on a
// terminal that is gone when the command is done.
//
// It is written out here, as github.com/schollz/progressbar/v3 (v3.18.0) takes the width from
// standard output, which holds the rows of a report and may be a file, whatever writer it
// draws on; lets the line grow beyond a narrow terminal; erases without its lock (Clear),
// which is a race with Add; stops with an error when more comes than was announced, as from a
// log that grows; and starts a goroutine if the total is unknown.
package progress

import (
	"io"
	"sync"
	"time"
)

const (
	// patience is how long a bar stays invisible: who waits for less needs none.
	patience = time.Second
	// interval is the least time between two drawings: eyes follow no more than ten
	// numbers a second.
	interval = 100 * time.Millisecond
	// eraseLine is EL of ECMA-48: it erases from the cursor to the end of the line.
	eraseLine = "\x1b[K"
)

// Bar is a progress bar. It may be used by several goroutines at once. A nil *Bar is valid
// and shows nothing.
type Bar struct {
	mu     sync.Mutex
	writer io.Writer
	width  func() int
	total  int64

	start    time.Time
	drawn    time.Time
	done     int64
	rate     rate
	visible  bool
	midline  bool
	finished bool
}

// New returns a bar that shows itself on w after a second. width tells the columns of the
// terminal each time the bar is drawn, total is the number of bytes to come and negative if
// that is unknown.
//
// The time left is what the bytes left take at the rate of the last seconds, so total and Add
// must count the same thing: where compressed files are counted as they are on the disk, the
// time is that at the density of the file being read.
func New(w io.Writer, width func() int, total int64) *Bar {
	now := time.Now()
	return &Bar{writer: w, width: width, total: total, start: now, rate: newRate(now)}
}

// Add tells that n more bytes are done, and draws the bar if it is time for it.
func (b *Bar) Add(n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	now := time.Now()
	b.rate.add(now, b.done)
	if b.finished || b.midline || now.Sub(b.start) < patience || now.Sub(b.drawn) < interval {
		return
	}
	b.drawn = now
	b.visible = true
	b.write("\r" + b.line() + eraseLine)
}

// Finish erases the bar for good.
func (b *Bar) Finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	b.finished = true
}

// Above returns a writer for the rows that are written to w, which shows on the same terminal
// as the bar. The bar is erased before each write, and does not come back as long as a row is
// unfinished.
func (b *Bar) Above(w io.Writer) io.Writer {
	if b == nil {
		return w
	}
	return above{bar: b, writer: w}
}

type above struct {
	bar    *Bar
	writer io.Writer
}

// Write writes rows while the bar is out of the way.
func (a above) Write(p []byte) (int, error) {
	a.bar.mu.Lock()
	defer a.bar.mu.Unlock()
	a.bar.erase()
	n, err := a.writer.Write(p)
	if n > 0 {
		a.bar.midline = p[n-1] != '\n'
	}
	return n, err
}

func (b *Bar) erase() {
	if b.visible {
		b.visible = false
		b.write("\r" + eraseLine)
	}
}

// write writes all at once, so that nothing flickers. A bar that cannot be drawn is no
// trouble for the command.
func (b *Bar) write(text string) {
	_, _ = io.WriteString(b.writer, text)
}
