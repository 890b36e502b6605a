// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"encoding/csv"
	"io"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// csvLines writes RFC 4180 with a header. What is not known is empty.
type csvLines struct {
	out    *csv.Writer
	atOnce bool
	// conceal says how much of a command line is told.
	conceal telemetry.CommandLine
	begun   bool
}

func newCSV(out io.Writer, commandLine telemetry.CommandLine, atOnce bool) *csvLines {
	return &csvLines{out: csv.NewWriter(out), conceal: commandLine, atOnce: atOnce}
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
	if err == nil && c.atOnce {
		c.out.Flush()
	}
	return err
}

// Flush implements Printer.
func (c *csvLines) Flush() error {
	c.out.Flush()
	return c.out.Error()
}
