// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package listing writes signals one after the other, as a table for people, or as JSON or CSV
// for programs.
package listing

import (
	"fmt"
	"io"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/table"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// Printer writes entries.
type Printer interface {
	// Print writes an entry, perhaps later.
	Print(Entry) error
	// Begin writes the header now, because the first entry may be a long time in coming.
	Begin() error
	// Flush writes what has not been written yet.
	Flush() error
}

// The formats.
const (
	FormatTable = "table"
	FormatJSON  = "json"
	FormatCSV   = "csv"
)

// Formats are all formats.
func Formats() []string { return []string{FormatTable, FormatJSON, FormatCSV} }

// Settings say how to write.
type Settings struct {
	// Format is one of Formats.
	Format string
	// Columns are the columns of the table. Its first Sample entries decide their widths; 0
	// writes each entry at once.
	Columns  []table.Column[Entry]
	Sample   int
	Terminal terminal.Terminal
	// Telemetry configures the log record of the same event.
	Telemetry telemetry.Config
}

// New returns a Printer that writes entries to out.
func New(out io.Writer, s Settings) (Printer, error) {
	switch s.Format {
	case FormatTable:
		return table.New(out, s.Terminal, s.Columns, s.Sample), nil
	case FormatJSON:
		return newJSON(out, s.Telemetry, s.Sample == 0), nil
	case FormatCSV:
		return newCSV(out, s.Telemetry.CommandLine, s.Sample == 0), nil
	}
	return nil, fmt.Errorf("--output %s: must be table, json or csv", s.Format)
}
