// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package progress draws the progress bar of a command that reads long logs: one line on a
// terminal that is gone when the command is done.
//
// It is our own because github.com/schollz/progressbar/v3 (v3.18.0) takes the width from
// standard output, which has the rows of a report and may be a file, whatever writer it draws
// on; lets the line grow beyond a narrow terminal; erases without its lock (Clear), which is a
// race with Add; fails when more comes than was announced, as from a growing log; and starts a
// goroutine if the total is unknown.
package progress

import (
	"io"
	"sync"
	"time"
)

const (
	// patience is how long a bar stays invisible: a shorter wait needs none.
	patience = time.Second
	// interval is the shortest time between two drawings: nobody can read more than ten
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

// New returns a bar that appears on w after a second. width returns the columns of the terminal
// each time the bar is drawn; total is the number of bytes to come, negative if not known.
//
// The time left is how long the remaining bytes take at the rate of the last seconds, so total
// and Add must count the same thing. If compressed files are counted as on the disk, the time
// assumes the compression of the file being read.
func New(w io.Writer, width func() int, total int64) *Bar {
	now := time.Now()
	return &Bar{writer: w, width: width, total: total, start: now, rate: newRate(now)}
}

// Add counts n more bytes, and draws the bar if that is due.
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

// Above returns a writer for rows that appear on the same terminal as the bar. It erases the bar
// before each write to w, and the bar does not come back in the middle of a row.
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

// Write erases the bar and writes rows.
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

// write writes everything at once, so that nothing flickers. It is no failure of the command if
// a bar cannot be drawn.
func (b *Bar) write(text string) {
	_, _ = io.WriteString(b.writer, text)
}
