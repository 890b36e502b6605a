// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"slices"
	"strconv"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/table"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// Past are the columns of report. The column of the host is shown if there are several logs, or
// if the log names its host, because others may follow.
func Past(location *time.Location, conceal redact.Policy, severalLogs bool) []table.Column[Entry] {
	at := func(layout string) func(Entry) string {
		return func(e Entry) string { return e.Event.Time.In(location).Format(layout) }
	}
	return []table.Column[Entry]{
		{Title: "TIME", Least: len("01-02 15:04:05"), Text: at("2006-01-02 15:04:05.000"), Short: at("01-02 15:04:05"), Yields: true},
		{Title: "SIGNAL", Least: len("SIGNAL"), Text: Entry.signals, Short: Entry.shortSignal, Style: signalStyle},
		{Title: "TARGET", Least: 10, Text: Entry.TargetProcess, KeepEnd: true, Whole: true},
		{Title: "SENDER", Least: 10, Text: Entry.SenderProcess, KeepEnd: true, Whole: true},
		{Title: "EXECUTABLE", Least: 10, Text: Entry.Executable, KeepEnd: true, Yields: true, Optional: true},
		{Title: "LOGIN", Least: 5, Text: Entry.shownLogin},
		{Title: "BY", Least: 12, Text: func(e Entry) string { return e.By(conceal) }, Yields: true},
		{Title: "RESULT", Least: 6, Text: Entry.Result, Style: resultStyle, Whole: true},
		{Title: "HOST", Least: 4, Text: Entry.Host, KeepEnd: true, Wanted: func(entries []Entry) bool { return severalLogs || anyNamed(entries) }},
		{Title: "COMMAND", Least: 7, Text: func(e Entry) string { return e.CommandLine(conceal) }, Yields: true, Optional: true},
	}
}

// anyNamed reports whether a log names its host.
func anyNamed(entries []Entry) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Event.Audit.Node != "" })
}

// Live are the columns of watch: those of SystemTap's examples, and more that those do not know.
// In a terminal of 80 columns, each is still wide enough to be of use, and no pid is cut.
func Live(location *time.Location, conceal redact.Policy) []table.Column[Entry] {
	at := func(layout string) func(Entry) string {
		return func(e Entry) string { return e.Event.Time.In(location).Format(layout) }
	}
	const pid = len("4194304") // PID_MAX_LIMIT, proc_pid(5)
	return []table.Column[Entry]{
		{Title: "EPOCH", Usual: 10, Least: 10, Text: func(e Entry) string { return strconv.FormatInt(e.Event.Time.Unix(), 10) }, Optional: true},
		{Title: "TIME", Usual: 12, Least: 8, Text: at("15:04:05.000"), Short: at(time.TimeOnly)},
		{Title: "TARGET", Usual: 15, Least: 8, Text: Entry.TargetName, Short: Entry.shortTarget},
		{Title: "PID", Usual: pid, Least: pid, Text: Entry.TargetPID},
		{Title: "SIGNAL", Usual: 7, Least: 4, Text: Entry.signals, Short: Entry.shortSignal, Style: signalStyle},
		{Title: "SENDER", Usual: 15, Least: 7, Text: Entry.SenderName},
		{Title: "SENDER PID", Usual: pid, Least: pid, Text: Entry.SenderPID},
		{Title: "USER", Usual: 8, Least: 4, Text: Entry.who},
		{Title: "BY", Usual: 30, Least: 12, Text: func(e Entry) string { return e.By(conceal) }},
		{Title: "RESULT", Usual: 40, Least: 9, Text: Entry.Result, Short: Entry.shortResult, Style: resultStyle},
	}
}

// who is the user behind the signal: who had logged in or, if nobody had, as whom the sender
// ran.
func (e Entry) who() string {
	if login := e.shownLogin(); login != "" {
		return login
	}
	return e.User()
}

// shownLogin is the login, marked if it is inferred that it is that user who is behind the signal.
func (e Entry) shownLogin() string {
	login := e.Login()
	if login != "" && e.inferred() {
		return inferred + login
	}
	return login
}

func signalStyle(e Entry) terminal.Style {
	if e.Fatal() && e.Event.Outcome == nil {
		return terminal.Red
	}
	return terminal.Plain
}

func resultStyle(e Entry) terminal.Style {
	if e.Failed() {
		return terminal.Yellow
	}
	return terminal.Plain
}
