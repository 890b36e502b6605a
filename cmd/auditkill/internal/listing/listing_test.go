// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

var at = time.Date(2026, 11, 22, 3, 0, 0, 123_000_000, time.UTC)

// event is a signal to mysqld, by root who had logged in as alice.
func event(edit func(*kill.Event)) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: at, Signal: kill.SIGKILL, SignalKnown: true, Syscall: "kill", Origin: kill.OriginUser,
		Scope: kill.ScopeProcess, Result: kill.Success(), Complete: true, Source: "audit_file", TargetCount: 1,
		Sender: kill.Process{
			PID: 3997, Command: "mysql", Executable: "/usr/bin/mysql", Title: "mysql\x00--password=hunter2\x00",
			User: kill.User{ID: kill.NewID(0)}, Login: kill.User{ID: kill.NewID(500), Name: "alice"},
		},
		Audit: kill.Audit{Recorded: true, Serial: 148, Keys: []string{"audit_kill"}},
	}
	*e.AddTarget() = kill.Process{PID: 3936, Command: "mysqld"}
	if edit != nil {
		edit(e)
	}
	return e
}

func only(e *kill.Event) Entry { return Entries(e)[0] }

func TestEntry(t *testing.T) {
	t.Parallel()
	e := only(event(nil))
	assert.Equal(t, []string{
		"SIGKILL", "mysqld", "3936", "mysqld[3936]", "mysql", "3997", "mysql[3997]", "/usr/bin/mysql", "/usr/bin/mysql", "alice", "0", "ok",
	}, []string{
		e.Signal(), e.TargetName(), e.TargetPID(), e.TargetProcess(), e.SenderName(), e.SenderPID(), e.SenderProcess(), e.Executable(),
		e.Program(), e.Login(), e.User(), e.Result(),
	})
	assert.Equal(t, "mysql --password=***", e.CommandLine(redact.Redacted))
	assert.Equal(t, "mysql", e.CommandLine(redact.Program))
	assert.Equal(t, "mysql --password=hunter2", e.CommandLine(redact.Full))
	assert.Empty(t, e.CommandLine(redact.Off))
	assert.True(t, e.Fatal())
	assert.False(t, e.Failed())
}

func TestEntryOfTheKernel(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]Entry{
		"kernel (oom)": only(event(func(e *kill.Event) { e.Origin, e.Cause = kill.OriginKernel, kill.CauseOOM })),
		"kernel":       only(event(func(e *kill.Event) { e.Origin = kill.OriginKernel })),
		"kernel (crash)": only(event(func(e *kill.Event) {
			e.Kind, e.Cause, e.Sender = kill.KindAbend, kill.CauseCrash, kill.Process{}
		})),
	} {
		assert.Equal(t, name, e.SenderName())
		assert.Equal(t, name, e.SenderProcess())
		assert.Equal(t, name, e.Program())
		for _, text := range []string{e.SenderPID(), e.Executable(), e.Login(), e.User(), e.CommandLine(redact.Full)} {
			assert.Empty(t, text, name)
		}
	}
}

func TestEntryWithGaps(t *testing.T) {
	t.Parallel()
	nobody := only(event(func(e *kill.Event) { e.Targets, e.Requested = nil, 4711 }))
	assert.Equal(t, []string{"pid 4711", "", "pid 4711"}, []string{nobody.TargetName(), nobody.TargetPID(), nobody.TargetProcess()})
	bare := only(event(func(e *kill.Event) {
		e.Sender, e.SignalKnown, e.Targets[0] = kill.Process{}, false, kill.Process{Executable: "/usr/sbin/mysqld"}
	}))
	assert.Equal(t, []string{"?", "?", "", "?", "", "", ""}, []string{
		bare.Signal(), bare.SenderName(), bare.SenderPID(), bare.Program(), bare.Login(), bare.User(), bare.Executable(),
	})
	assert.Equal(t, "mysqld", bare.TargetName())
	assert.False(t, bare.Fatal(), "it is not known")
	many := Entries(event(func(e *kill.Event) { e.AddTarget().Command = "sleep" }))
	assert.Len(t, many, 2)
	assert.Equal(t, "sleep", many[1].TargetProcess())
}

func TestResult(t *testing.T) {
	t.Parallel()
	delivery := func(d kill.Delivery) func(*kill.Event) { return func(e *kill.Event) { e.Delivery = d } }
	for want, edit := range map[string]func(*kill.Event){
		"ok":              nil,
		"EPERM":           func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} },
		"errno 4711":      func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 4711} },
		"?":               func(e *kill.Event) { e.Result = kill.Result{} },
		"died":            func(e *kill.Event) { e.Kind = kill.KindAbend },
		"no effect":       delivery(kill.DeliveryIgnored),
		"ignored":         func(e *kill.Event) { e.Signal, e.Delivery = kill.SIGTERM, kill.DeliveryIgnored },
		"pending already": delivery(kill.DeliveryPending),
		"queue full":      delivery(kill.DeliveryOverflow),
	} {
		assert.Equal(t, want, only(event(edit)).Result())
	}
	assert.False(t, only(event(delivery(kill.DeliveryIgnored))).Fatal())
	assert.False(t, only(event(func(e *kill.Event) { e.Signal = 0 })).Fatal())
}

func TestOutcomeResult(t *testing.T) {
	t.Parallel()
	stranger := &kill.Process{PID: 8057, Command: "bash"}
	for want, edit := range map[string]func(*kill.Event){
		"gone after 1.5 s, by SIGKILL":                         func(e *kill.Event) { e.Outcome.LastSender = &e.Sender },
		"gone after 1.5 s, by SIGKILL of bash[8057]":           func(e *kill.Event) { e.Outcome.LastSender = stranger },
		"gone after 1.5 s, by SIGTERM":                         func(e *kill.Event) { e.Outcome.LastSender, e.Outcome.Exit.Status = stranger, 15 },
		"gone after 1.5 s, exit code 0; SIGTERM had no effect": exits(kill.DeliveryIgnored),
		"gone after 1.5 s, exit code 0":                        exits(kill.DeliveryDelivered),
		"gone after 1.5 s, by SIGKILL ": func(e *kill.Event) {
			e.Outcome.LastSender = stranger
			e.Outcome.Signals = []kill.Sent{{Signal: kill.SIGKILL, Sender: stranger, Delivery: kill.DeliveryIgnored}}
		},
		"gone after 1.5 s, by SIGKILL of the kernel": func(e *kill.Event) {
			e.Outcome.LastSender = stranger // in whose context it was
			e.Outcome.Signals = []kill.Sent{{Signal: kill.SIGKILL, Sender: stranger, Origin: kill.OriginKernel}}
		},
	} {
		assert.Equal(t, strings.TrimSpace(want), only(event(func(e *kill.Event) {
			e.Kind, e.Signal = kill.KindOutcome, kill.SIGTERM
			e.Outcome = &kill.Outcome{
				Verdict: kill.VerdictKilled, Exit: kill.Exit{Known: true, Status: 9}, LastSignal: kill.SIGKILL, Began: at.Add(-1500 * time.Millisecond),
			}
			edit(e)
		})).Result())
	}
}

// exits makes a process exit after a signal.
func exits(delivery kill.Delivery) func(*kill.Event) {
	return func(e *kill.Event) {
		e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictExited, 0
		e.Outcome.Signals = []kill.Sent{{Signal: kill.SIGTERM, Delivery: delivery}}
	}
}

// list writes some events in a format.
func list(t *testing.T, format string, sample int, events ...*kill.Event) string {
	t.Helper()
	var out bytes.Buffer
	printer, err := New(&out, Settings{
		Format: format, Sample: sample, Columns: Past(time.UTC, redact.Redacted, false),
		Telemetry: telemetry.Config{CommandLine: redact.Redacted},
	})
	require.NoError(t, err)
	for _, e := range events {
		for _, entry := range Entries(e) {
			require.NoError(t, printer.Print(entry))
		}
	}
	if sample > 0 {
		require.NoError(t, printer.Flush())
	}
	return out.String()
}

// What a program reads is what was meant, whatever is in the names, and may be printed.
func TestJSON(t *testing.T) {
	t.Parallel()
	var events []*kill.Event
	names := map[string]string{
		"plain": "plain", `quote"back\slash`: `quote"back\slash`, "line\nfeed": `line\nfeed`, `no line\nfeed`: `no line\\nfeed`,
		"esc\x1b[0m": `esc\x1b[0m`, "naïve 日本": "naïve 日本", "bad\xff\xfe": "bad\uFFFD", "<&>": "<&>", "\u2028\u202e": `\u2028\u202e`,
	}
	var wanted []string
	for name, want := range names {
		wanted = append(wanted, want)
		events = append(events, event(func(e *kill.Event) { e.Targets[0].Command = name }))
	}
	for range batch { // more than are written at once
		events = append(events, event(nil))
	}
	for _, sample := range []int{0, 100} {
		out := list(t, FormatJSON, sample, events...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		require.Len(t, lines, len(events))
		for i, want := range wanted {
			var told map[string]any
			require.NoError(t, json.Unmarshal([]byte(lines[i]), &told))
			assert.Equal(t, want, told["kill.target.name"])
		}
	}
	line := list(t, FormatJSON, 1, event(nil))
	assert.True(t, strings.HasPrefix(line, `{"time":"2026-11-22T03:00:00.123Z","event":"kill.signal","severity":"Warn","message":"`), line)
	var told map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &told))
	assert.InDelta(t, 3936, told["kill.target.pid"], 0)
	assert.Equal(t, true, told["kill.complete"])
	assert.Equal(t, []any{"audit_kill"}, told["kill.audit.key"])
	assert.Equal(t, "mysql --password=***", told["process.title"])
	followed := list(t, FormatJSON, 1, event(func(e *kill.Event) {
		e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{Verdict: kill.VerdictExited, Began: at.Add(-1500 * time.Millisecond)}
	}))
	assert.Contains(t, followed, `"kill.duration":1.5`)
}

func TestCSV(t *testing.T) {
	t.Parallel()
	name := "a,\"b\"\nc"
	for _, sample := range []int{0, 100} {
		out := list(t, FormatCSV, sample, event(nil), event(func(e *kill.Event) { e.Sender.Title = name }))
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 3)
		assert.Equal(t, []string{
			"2026-11-22T03:00:00.123Z", "kill.signal", "SIGKILL", "3936", "mysqld", "3997", "mysql", "/usr/bin/mysql", "alice", "0",
			"ok", "kill", "audit_file", "", "", "148", "true", "mysql --password=***", "", "", "", "", "", "", "", "",
			"1", "2026-11-22T03:00:00.123Z",
		}, rows[1])
		assert.Equal(t, `a,"b"\nc`, rows[2][17], "on one line")
	}
	assert.Empty(t, list(t, FormatCSV, 1))

	var begun bytes.Buffer
	printer, err := New(&begun, Settings{Format: FormatCSV})
	require.NoError(t, err)
	require.NoError(t, printer.Begin())
	require.NoError(t, printer.Print(only(event(nil))))
	assert.Equal(t, 2, strings.Count(begun.String(), "\n"), "one header")
}

// What a spreadsheet would run has an apostrophe in front of it; numbers of ours stay numbers.
func TestCSVRunsNothing(t *testing.T) {
	t.Parallel()
	const formula = "=cmd|' /C calc'!A0"
	out := list(t, FormatCSV, 1, event(func(e *kill.Event) {
		e.Targets[0].Command, e.Sender.Command, e.Sender.Executable, e.Sender.Title = formula, "+1", "-1", " \"@SUM(1)"
		e.Sender.Login.Name, e.Sender.User.Name, e.Audit.Node, e.File = "-x", "=1+1", "@node", "-"
		e.Signal, e.Cause = -7, kill.CauseServiceStop
		e.Behind = &kill.Behind{
			Evidence: kill.EvidenceObserved, Requester: &kill.Process{PID: 136, Command: "=1", Title: "-x"},
			Initiator: &kill.Ancestor{Command: "@y", Title: "+z"}, Session: &kill.Session{Address: "+address"},
		}
	}), event(func(e *kill.Event) { e.Sender.Title = "-bash" }))
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"2026-11-22T03:00:00.123Z", "kill.signal", "SIG-7", "3936", "'" + formula, "3997", "'+1", "'-1", "'-x", "'=1+1",
		"ok", "kill", "audit_file", "'@node", "'-", "148", "true", "' \"@SUM(1)",
		"service_stop", "observed", "'+address", "136", "'=1", "'-x", "'@y", "'+z",
		"1", "2026-11-22T03:00:00.123Z",
	}, rows[1])
	assert.Equal(t, "'-bash", rows[2][17])
}

// The host is shown if the log names it.
func TestHosts(t *testing.T) {
	t.Parallel()
	on := func(node string) *kill.Event {
		return event(func(e *kill.Event) { e.Audit.Node, e.File = node, "/a/audit.log" })
	}
	assert.NotContains(t, list(t, FormatTable, 9, on(""), on("")), "HOST")
	out := list(t, FormatTable, 9, on("db1"), on("db2"), on(""))
	assert.Contains(t, out, "HOST")
	assert.Contains(t, out, "  db1 ")
	assert.Contains(t, out, "  db2 ")
	assert.Contains(t, out, "  /a/audit.log  ")
	assert.Contains(t, list(t, FormatCSV, 9, on("db1")), ",db1,/a/audit.log,148,true,")
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestErrors(t *testing.T) {
	t.Parallel()
	_, err := New(io.Discard, Settings{Format: "xml"})
	require.ErrorContains(t, err, "xml")
	for _, format := range Formats() {
		printer, err := New(broken{}, Settings{Format: format, Columns: Past(time.UTC, redact.Off, false)})
		require.NoError(t, err)
		require.ErrorIs(t, printer.Print(only(event(nil))), errBroken, format)
		printer, err = New(broken{}, Settings{Format: format, Columns: Past(time.UTC, redact.Off, false), Sample: 10})
		require.NoError(t, err)
		for range 5000 {
			err = errors.Join(err, printer.Print(only(event(nil))))
		}
		require.ErrorIs(t, errors.Join(err, printer.Flush()), errBroken, format)
	}
}

// Each kind of event that is listed has a result.
func TestEachKind(t *testing.T) {
	t.Parallel()
	for _, kind := range append(kill.Kinds(), "kill.unheard_of") {
		e := &kill.Event{
			Kind: kind, Time: at, Signal: kill.SIGTERM, SignalKnown: true, Result: kill.Success(),
			Outcome: &kill.Outcome{Verdict: kill.VerdictExited, Began: at},
		}
		switch kind {
		case kill.KindCall, "kill.unheard_of": // the first is only a span
			assert.Equal(t, unknown, Entry{Event: e}.Result(), kind)
		default:
			assert.NotEqual(t, unknown, Entry{Event: e}.Result(), kind)
		}
	}
}

func BenchmarkPrint(b *testing.B) {
	entry := only(event(nil))
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			printer, err := New(io.Discard, Settings{
				Format: format, Sample: 1, Columns: Past(time.UTC, redact.Redacted, false),
				Telemetry: telemetry.Config{CommandLine: redact.Redacted},
			})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if err := printer.Print(entry); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A damaged clock may be far in the future.
func TestTimeAfter2262(t *testing.T) {
	t.Parallel()
	late := time.UnixMilli(9_999_999_999_999).UTC()
	for _, format := range []string{FormatJSON, FormatCSV} {
		out := list(t, format, 0, event(func(e *kill.Event) { e.Time = late }))
		assert.Contains(t, out, "2286-11-20T17:46:39.999", format)
	}
}
