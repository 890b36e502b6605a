// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incidents

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/table"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/incidentlog"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Writer writes incidents.
type Writer interface {
	// Print writes an incident, perhaps later.
	Print(*incident.Report) error
	// Flush writes what has not been written yet.
	Flush() error
}

// NewWriter returns a Writer of one of listing.Formats. The first rows of a table, as many as sample, decide the widths of its
// columns.
func NewWriter(out io.Writer, format string, location *time.Location, on terminal.Terminal, sample int) (Writer, error) {
	switch format {
	case listing.FormatTable:
		return table.New(out, on, columns(location), sample), nil
	case listing.FormatJSON:
		return jsonLines{listing.NewRecords(out)}, nil
	case listing.FormatCSV:
		return &csvLines{out: csv.NewWriter(out)}, nil
	}
	return nil, fmt.Errorf("--output %s: must be table, json or csv", format)
}

func columns(location *time.Location) []table.Column[*incident.Report] {
	at := func(layout string) func(*incident.Report) string {
		return func(r *incident.Report) string { return r.Start.In(location).Format(layout) }
	}
	number := func(of func(*incident.Report) int64) func(*incident.Report) string {
		return func(r *incident.Report) string { return strconv.FormatInt(of(r), 10) }
	}
	return []table.Column[*incident.Report]{
		{Title: "TIME", Least: len("01-02 15:04:05"), Text: at("2006-01-02 15:04:05.000"), Short: at("01-02 15:04:05"), Yields: true},
		{Title: "TARGETS", Least: 7, Text: number(func(r *incident.Report) int64 { return int64(r.TargetCount) })},
		{Title: "SIGNALS", Least: 7, Text: number(func(r *incident.Report) int64 { return r.SignalCount })},
		{Title: "INCIDENT", Least: 20, Text: (*incident.Report).Sentence, Yields: true, Whole: true},
	}
}

// jsonLines writes the records that the connector would send.
type jsonLines struct{ out *listing.Records }

// Print implements Writer.
func (j jsonLines) Print(r *incident.Report) error {
	record := plog.NewLogRecord()
	incidentlog.Write(record, r, r.End)
	return j.out.Print(record)
}

// Flush implements Writer.
func (jsonLines) Flush() error { return nil }

// csvLines writes RFC 4180 with a header.
type csvLines struct {
	out   *csv.Writer
	begun bool
}

// Print implements Writer.
func (c *csvLines) Print(r *incident.Report) error {
	if !c.begun {
		c.begun = true
		if err := c.out.Write([]string{
			"start_time", "end_time", "hosts", "targets", "signals", "failed", "exited", "killed", "core_dumped", "survived", "escalated",
			"complete", "id", "incident",
		}); err != nil {
			return err
		}
	}
	row := []string{r.Start.UTC().Format(time.RFC3339Nano), r.End.UTC().Format(time.RFC3339Nano)}
	for _, n := range []int64{
		int64(r.HostCount), int64(r.TargetCount), r.SignalCount, r.Failed, int64(r.Exited), int64(r.Killed), int64(r.CoreDumped),
		int64(r.Survived), int64(r.Escalated),
	} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	return c.out.Write(append(row, strconv.FormatBool(r.Complete), r.ID, visible.Cell(r.Sentence())))
}

// Flush implements Writer.
func (c *csvLines) Flush() error {
	c.out.Flush()
	return c.out.Error()
}
