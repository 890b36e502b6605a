// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package summary counts signals by sender, target, user, cause and so on.
package summary

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/table"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// maxRows bounds the rows, some 5 MB: processes choose their own names.
	maxRows = 10_000
	// others is the row for the rest.
	others = "(others)"
)

// field is one of the fields to count by.
type field struct {
	name, title string
	// text is the value of a signal, none stands for an empty one.
	text func(listing.Entry) string
	none string
}

const hour = "hour"

var fields = []field{
	{name: "sender", title: "SENDER", text: listing.Entry.Program},
	{name: "target", title: "TARGET", text: listing.Entry.TargetName},
	{name: "signal", title: "SIGNAL", text: listing.Entry.Signal},
	{name: "user", title: "LOGIN", text: listing.Entry.Login, none: "(no login)"},
	{name: "address", title: "ADDRESS", text: listing.Entry.Address, none: "(no address)"},
	{name: "requester", title: "REQUESTER", text: listing.Entry.RequesterProgram, none: "(no requester)"},
	{name: "initiator", title: "INITIATOR", text: listing.Entry.Initiator, none: "(no initiator)"},
	{name: "cause", title: "CAUSE", text: listing.Entry.Cause, none: "(no cause)"},
	{name: hour, title: "HOUR"},
}

// By are the names of the fields to count by.
func By() []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return names
}

// Choice is By in words: "sender, target or hour".
func Choice() string {
	names := By()
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Row is one line of a summary.
type Row struct {
	// Name is the value of the field: the program of the sender, the name of the target, ...
	Name string
	// Count is how many signals there were, Failed how many of them did not get through, Unknown of how many nothing says whether they did.
	Count, Failed, Unknown int
	First, Last            time.Time
}

// Summary counts signals.
type Summary struct {
	by       field
	location *time.Location
	rows     map[string]*Row
}

// New returns a Summary by one of By. Hours are in the time zone of location.
func New(by string, location *time.Location) *Summary {
	at := slices.IndexFunc(fields, func(f field) bool { return f.name == by })
	return &Summary{by: fields[at], location: location, rows: make(map[string]*Row)}
}

// Add counts a signal.
func (s *Summary) Add(e listing.Entry) {
	name := s.nameOf(e)
	row := s.rows[name]
	if row == nil && len(s.rows) >= maxRows {
		name = others
		row = s.rows[name]
	}
	if row == nil {
		row = &Row{Name: name, First: e.Event.Time, Last: e.Last()}
		s.rows[name] = row
	}
	row.Count += e.Event.Signals()
	if e.Failed() {
		row.Failed += e.Event.Signals()
	}
	if e.Doubtful() {
		row.Unknown += e.Event.Signals()
	}
	if e.Event.Time.Before(row.First) {
		row.First = e.Event.Time
	}
	if last := e.Last(); last.After(row.Last) {
		row.Last = last
	}
}

func (s *Summary) nameOf(e listing.Entry) string {
	if s.by.text == nil {
		return e.Event.Time.In(s.location).Format("2006-01-02 15:00 -07:00")
	}
	return cmp.Or(s.by.text(e), s.by.none)
}

// Rows returns what was counted: the most first, hours in their order.
func (s *Summary) Rows() []Row {
	rows := make([]Row, 0, len(s.rows))
	for row := range maps.Values(s.rows) {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if s.by.name == hour {
			return a.First.Compare(b.First)
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// Write writes the rows in one of listing.Formats.
func (s *Summary) Write(out io.Writer, format string, on terminal.Terminal) error {
	switch format {
	case listing.FormatJSON:
		return s.writeJSON(out)
	case listing.FormatCSV:
		return s.writeCSV(out)
	}
	at := func(t time.Time) string { return t.In(s.location).Format(time.DateTime) }
	rows := s.Rows()
	columns := []table.Column[Row]{
		{Title: "COUNT", Least: 5, Text: func(r Row) string { return strconv.Itoa(r.Count) }},
		{Title: "FAILED", Least: 6, Text: func(r Row) string { return strconv.Itoa(r.Failed) }},
		{Title: "FIRST", Least: len(time.DateTime), Text: func(r Row) string { return at(r.First) }},
		{Title: "LAST", Least: len(time.DateTime), Text: func(r Row) string { return at(r.Last) }},
		{Title: s.by.title, Least: 6, KeepEnd: true, Text: func(r Row) string { return r.Name }},
	}
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Unknown > 0 }) { // it is a rare case
		unknown := table.Column[Row]{Title: "UNKNOWN", Least: 7, Text: func(r Row) string { return strconv.Itoa(r.Unknown) }}
		columns = slices.Insert(columns, 2, unknown)
	}
	written := table.New(out, on, columns, len(rows))
	for _, row := range rows {
		if err := written.Print(row); err != nil {
			return err
		}
	}
	return written.Flush()
}

func (s *Summary) writeJSON(out io.Writer) error {
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for _, row := range s.Rows() {
		err := encoder.Encode(struct {
			By      string `json:"by"`
			Name    string `json:"name"`
			Count   int    `json:"count"`
			Failed  int    `json:"failed"`
			Unknown int    `json:"unknown"`
			First   string `json:"first"`
			Last    string `json:"last"`
		}{s.by.name, row.Name, row.Count, row.Failed, row.Unknown, stamp(row.First), stamp(row.Last)})
		if err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func (s *Summary) writeCSV(out io.Writer) error {
	written := csv.NewWriter(out)
	if err := written.Write([]string{"count", "failed", "first", "last", s.by.name, "unknown"}); err != nil {
		return err
	}
	for _, row := range s.Rows() {
		err := written.Write([]string{
			strconv.Itoa(row.Count), strconv.Itoa(row.Failed), stamp(row.First), stamp(row.Last), visible.Cell(row.Name), strconv.Itoa(row.Unknown),
		})
		if err != nil {
			return err
		}
	}
	written.Flush()
	return written.Error()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Check returns an error if by is neither empty nor one of By.
func Check(by string) error {
	if by == "" || slices.Contains(By(), by) {
		return nil
	}
	return fmt.Errorf("--by: %q must be %s", by, Choice())
}
