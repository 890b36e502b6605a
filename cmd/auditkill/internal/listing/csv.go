// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bufio"
	"encoding/csv"
	"io"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// flushSize is how many bytes are written at once, if it is not each line: whole lines.
const flushSize = 32 << 10

// csvLines writes RFC 4180 with a header. What is not known is empty.
type csvLines struct {
	buffer *bufio.Writer
	out    *csv.Writer
	atOnce bool
	// conceal says how much of a command line is told.
	conceal telemetry.CommandLine
	begun   bool
}

func newCSV(out io.Writer, commandLine telemetry.CommandLine, atOnce bool) *csvLines {
	buffer := bufio.NewWriterSize(out, 2*flushSize) // which the writer takes for its own
	return &csvLines{buffer: buffer, out: csv.NewWriter(buffer), conceal: commandLine, atOnce: atOnce}
}

// Print implements Printer.
func (c *csvLines) Print(e Entry) error {
	if !c.begun {
		c.begun = true
		err := c.out.Write([]string{
			"time", "event", "signal", "target_pid", "target", "sender_pid", "sender", "executable",
			"login", "user", "result", "syscall", "source", "command_line",
		})
		if err != nil {
			return err
		}
	}
	err := c.out.Write([]string{
		e.Event.Time.UTC().Format(time.RFC3339Nano), string(e.Event.Kind), e.Signal(), e.TargetPID(), e.TargetName(),
		e.SenderPID(), e.SenderName(), e.Executable(),
		e.Login(), e.User(), e.Result(), e.Event.Syscall, e.Event.Source, e.CommandLine(c.conceal),
	})
	if err != nil || !c.atOnce && c.buffer.Buffered() < flushSize {
		return err
	}
	return c.Flush()
}

// Flush implements Printer.
func (c *csvLines) Flush() error {
	c.out.Flush()
	return c.out.Error()
}
