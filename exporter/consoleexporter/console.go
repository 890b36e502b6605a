// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package consoleexporter

import (
	"context"
	"fmt"
	"io"
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// output is what all exporters of a collector write to.
type output struct {
	// turn is held by who writes. Unlike a mutex it can be waited for only as long as a context lasts: a terminal may be stopped.
	turn chan struct{}
	to   io.Writer
	// torn says that the last write has ended within a line, as on a full disk.
	torn bool
}

func newOutput(to io.Writer) *output { return &output{turn: make(chan struct{}, 1), to: to} }

// write writes whole lines at once.
func (o *output) write(ctx context.Context, lines []byte) error {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return fmt.Errorf("standard output takes nothing: %w", ctx.Err())
	}
	if o.torn {
		lines = slices.Insert(lines, 0, '\n')
	}
	written, err := o.to.Write(lines)
	if written > 0 {
		o.torn = lines[written-1] != '\n'
	}
	return err // the sender may send the batch again
}

// console writes log records as lines.
type console struct {
	attributes bool
	out        *output
}

// write writes all lines of a batch at once: there is no system call for each of them, and no other batch comes between.
func (c *console) write(ctx context.Context, logs plog.Logs) error {
	lines := c.lines(logs)
	if len(lines) == 0 {
		return nil
	}
	return c.out.write(ctx, lines)
}

func (c *console) lines(logs plog.Logs) (lines []byte) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				lines = append(c.appendRecord(lines, record), '\n')
			}
		}
	}
	return lines
}

// appendRecord appends what the debug exporter prints of a record. That could have line breaks and escape sequences in it: here they are
// escaped. Backslashes stay, as the receiver has escaped the records of its own already.
func (c *console) appendRecord(line []byte, record plog.LogRecord) []byte {
	line = append(line, visible.Message(record.Body().AsString())...)
	if !c.attributes {
		return line
	}
	for name, value := range record.Attributes().All() {
		line = append(append(line, ' '), visible.Message(name)...)
		line = append(append(line, '='), visible.Message(value.AsString())...)
	}
	return line
}
