// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bufio"
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// flushSize is how many bytes of whole lines are written at a time, unless each line is written
// at once.
const flushSize = 32 << 10

// csvLines writes RFC 4180 with a header. Unknown values are empty, and a spreadsheet runs nothing.
type csvLines struct {
	buffer *bufio.Writer
	out    *csv.Writer
	atOnce bool
	// conceal says how much of a command line is shown.
	conceal redact.Policy
	begun   bool
}

func newCSV(out io.Writer, commandLine redact.Policy, atOnce bool) *csvLines {
	buffer := bufio.NewWriterSize(out, 2*flushSize) // csv.Writer uses it as its own buffer
	return &csvLines{buffer: buffer, out: csv.NewWriter(buffer), conceal: commandLine, atOnce: atOnce}
}

// Print implements Printer.
func (c *csvLines) Print(e Entry) error {
	if err := c.header(); err != nil {
		return err
	}
	err := c.out.Write([]string{
		e.Event.Time.UTC().Format(time.RFC3339Nano), string(e.Event.Kind), e.Signal(), e.TargetPID(), visible.Cell(e.TargetName()),
		e.SenderPID(), visible.Cell(e.SenderName()), visible.Cell(e.Executable()),
		visible.Cell(e.Login()), visible.Cell(e.User()), e.Result(), e.Event.Syscall, e.Event.Source,
		visible.Cell(visible.Text(e.Event.Audit.Node)), visible.Cell(visible.Text(e.Event.File)), e.Serial(),
		strconv.FormatBool(e.Event.Complete), visible.Cell(e.CommandLine(c.conceal)),
		e.Cause(), e.Evidence(), visible.Cell(e.Address()), e.RequesterPID(), visible.Cell(e.Requester()),
		visible.Cell(e.RequesterCommandLine(c.conceal)), visible.Cell(e.Initiator()), visible.Cell(e.InitiatorCommandLine(c.conceal)),
		strconv.Itoa(e.Event.Signals()), e.Last().UTC().Format(time.RFC3339Nano),
	})
	if err != nil || !c.atOnce && c.buffer.Buffered() < flushSize {
		return err
	}
	return c.Flush()
}

// Begin implements Printer.
func (c *csvLines) Begin() error {
	if err := c.header(); err != nil {
		return err
	}
	return c.Flush()
}

// header writes the names of the columns, once.
func (c *csvLines) header() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.out.Write([]string{
		"time", "event", "signal", "target_pid", "target", "sender_pid", "sender", "executable",
		"login", "user", "result", "syscall", "source", "node", "file", "serial", "complete", "command_line",
		"cause", "evidence", "from", "requester_pid", "requester", "requester_command_line", "initiator", "initiator_command_line",
		"count", "last_time",
	})
}

// Flush implements Printer.
func (c *csvLines) Flush() error {
	c.out.Flush()
	return c.out.Error()
}
