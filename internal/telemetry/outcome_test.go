// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// outcomeEvent is the outcome of a mysqld that systemd ended with SIGTERM.
func outcomeEvent(change func(*kill.Event)) *kill.Event {
	systemd := kill.Process{PID: 1, Command: "systemd", Executable: "/sbin/init", User: user(0, "root")}
	e := &kill.Event{
		Kind: kill.KindOutcome, Time: time.UnixMilli(1450214920813), Signal: kill.SIGTERM, SignalKnown: true,
		Origin: kill.OriginUser, Sender: systemd, TargetCount: -1, Complete: true, Source: "ebpf",
		Outcome: &kill.Outcome{
			Span: kill.Span{Trace: [16]byte{1}, ID: [8]byte{2}}, Verdict: kill.VerdictKilled,
			Exit: kill.Exit{Known: true, Status: 15}, Began: time.UnixMilli(1450214919813), LastSignal: kill.SIGTERM,
			LastSender: &systemd, Signals: []kill.Sent{{Signal: kill.SIGTERM, Sender: &systemd}},
		},
	}
	*e.AddTarget() = kill.Process{PID: 3936, Command: "mysqld", Span: e.Outcome.Span}
	change(e)
	return e
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	const bySystemd = "1.000 s after systemd[1] (/sbin/init, uid 0) sent SIGTERM"
	tests := map[string]struct {
		change   func(*kill.Event)
		body     string
		severity plog.SeverityNumber
		// message is empty unless the span is a failure.
		message string
	}{
		"killed": {
			func(*kill.Event) {}, "mysqld[3936] was killed by SIGTERM, " + bySystemd, plog.SeverityNumberInfo, "",
		},
		"exited": {
			func(e *kill.Event) { e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictExited, 7<<8 },
			"mysqld[3936] exited with code 7, " + bySystemd, plog.SeverityNumberInfo, "",
		},
		"exited as shells report SIGTERM": {
			func(e *kill.Event) { e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictExited, 143<<8 },
			"mysqld[3936] exited with code 143 (128 + SIGTERM), " + bySystemd, plog.SeverityNumberInfo, "",
		},
		"exited with 137, unsent": {
			func(e *kill.Event) {
				e.Outcome.Verdict, e.Outcome.Exit.Status, e.Outcome.Unsent = kill.VerdictExited, 137<<8, true
			},
			"mysqld[3936] exited with code 137 (128 + SIGKILL); nobody was seen to signal it", plog.SeverityNumberInfo, "",
		},
		"exited, having ignored it": {
			func(e *kill.Event) {
				e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictExited, 0
				e.Outcome.Signals = []kill.Sent{{Signal: kill.SIGTERM, Delivery: kill.DeliveryIgnored}}
			},
			"mysqld[3936] exited with code 0, " + bySystemd + "; that signal had no effect", plog.SeverityNumberInfo, "",
		},
		"exited before SIGKILL came": {
			func(e *kill.Event) {
				e.Signal, e.Outcome.Verdict, e.Outcome.Exit.Status = kill.SIGKILL, kill.VerdictExited, 0
				e.Outcome.Signals = []kill.Sent{{Signal: kill.SIGKILL, Delivery: kill.DeliveryIgnored}}
			},
			"mysqld[3936] exited with code 0; it was ending already when systemd[1] (/sbin/init, uid 0) sent SIGKILL",
			plog.SeverityNumberInfo, "",
		},
		"dumped core": {
			func(e *kill.Event) { e.Outcome.Verdict, e.Outcome.Exit.Status = kill.VerdictCoreDumped, 0x8b },
			"mysqld[3936] dumped core on SIGSEGV, " + bySystemd, plog.SeverityNumberError,
			"dumped core on SIGSEGV 1.000 s after SIGTERM",
		},
		"survived": {
			func(e *kill.Event) { e.Outcome.Verdict = kill.VerdictSurvived },
			"mysqld[3936] is still alive, " + bySystemd, plog.SeverityNumberWarn, "is still alive 1.000 s after SIGTERM",
		},
		"ended": {
			func(e *kill.Event) { e.Outcome.Verdict = kill.VerdictEnded },
			"mysqld[3936] has ended, nobody saw how, " + bySystemd, plog.SeverityNumberInfo, "",
		},
		"unknown": {
			func(e *kill.Event) { e.Outcome.Verdict = kill.VerdictUnknown },
			"mysqld[3936] was still followed when the collector stopped, " + bySystemd, plog.SeverityNumberInfo, "",
		},
		"escalated by another": {
			func(e *kill.Event) {
				e.Outcome.Escalated, e.Outcome.LastSignal, e.Outcome.Exit.Status = true, kill.SIGKILL, 9
				e.Outcome.LastSender = &kill.Process{PID: 3997, Command: "mykill"}
			},
			"mysqld[3936] was killed by SIGKILL, " + bySystemd + "; then mykill[3997] sent SIGKILL",
			plog.SeverityNumberWarn, "was killed by SIGKILL 1.000 s after SIGTERM",
		},
		"killed by another, after a signal without effect": {
			func(e *kill.Event) {
				another := &kill.Process{PID: 3997, Command: "mykill"}
				e.Outcome.LastSender, e.Outcome.LastSignal = another, kill.SIGTERM
				e.Outcome.Signals = []kill.Sent{
					{Signal: kill.SIGTERM, Delivery: kill.DeliveryIgnored}, {Signal: kill.SIGTERM, Delivery: kill.DeliveryDelivered, Sender: another},
				}
			},
			"mysqld[3936] was killed by SIGTERM, " + bySystemd + "; that signal had no effect; then mykill[3997] sent SIGTERM", plog.SeverityNumberInfo, "",
		},
		"a SIGKILL of another that came too late": {
			func(e *kill.Event) {
				another := &kill.Process{PID: 3997, Command: "mykill"}
				e.Outcome.Escalated, e.Outcome.LastSender, e.Outcome.LastSignal = true, another, kill.SIGKILL
				e.Outcome.Signals = []kill.Sent{
					{Signal: kill.SIGTERM, Delivery: kill.DeliveryDelivered}, {Signal: kill.SIGKILL, Delivery: kill.DeliveryIgnored, Sender: another},
				}
			},
			"mysqld[3936] was killed by SIGTERM, " + bySystemd + "; then mykill[3997] sent SIGKILL without effect", plog.SeverityNumberInfo, "",
		},
		"renamed": {
			func(e *kill.Event) { e.Outcome.LastName = "my\x1bsql" },
			`mysqld[3936], now "my\x1bsql", was killed by SIGTERM, ` + bySystemd, plog.SeverityNumberInfo, "",
		},
		"killed by what nobody sent": {
			func(e *kill.Event) { e.Outcome.Exit.Status, e.Outcome.Injected = 9, kill.SIGKILL },
			"mysqld[3936] was killed by SIGKILL, " + bySystemd + "; nobody was seen to send SIGKILL", plog.SeverityNumberWarn,
			"was killed by SIGKILL 1.000 s after SIGTERM",
		},
		"killed by what may have been missed": {
			func(e *kill.Event) { e.Outcome.Exit.Status, e.Outcome.Injected, e.Complete = 9, kill.SIGKILL, false },
			"mysqld[3936] was killed by SIGKILL, " + bySystemd + "; nobody was seen to send SIGKILL, but signals may have been missed",
			plog.SeverityNumberWarn, "was killed by SIGKILL 1.000 s after SIGTERM",
		},
		"out of memory": {
			func(e *kill.Event) {
				e.Origin, e.Cause, e.Signal, e.Outcome.Exit.Status = kill.OriginKernel, kill.CauseOOM, kill.SIGKILL, 9
				e.Sender, e.Time = kill.Process{}, e.Outcome.Began
			},
			"mysqld[3936] was killed by SIGKILL, right after the kernel sent SIGKILL (out of memory)", plog.SeverityNumberWarn,
			"was killed by SIGKILL",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := outcomeEvent(test.change)
			record := convert(testConfig(), e)
			assert.Equal(t, test.body, record.Body().Str())
			assert.Equal(t, test.severity, record.SeverityNumber())
			assert.Equal(t, string(e.Outcome.Verdict), record.Attributes().AsRaw()["kill.outcome"])

			traces := NewTraces(testConfig())
			traces.Append(e)
			span := traces.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			assert.Equal(t, "terminate mysqld", span.Name())
			assert.Equal(t, record.SpanID(), span.SpanID())
			assert.Equal(t, record.TraceID(), span.TraceID())
			assert.Equal(t, test.message, span.Status().Message())
			assert.Equal(t, test.message != "", span.Status().Code() == ptrace.StatusCodeError)
		})
	}
}

func TestReported(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]kill.Signal{
		0: 0, 1: 0, 127: 0, 128: 0, 129: kill.SIGHUP, 137: kill.SIGKILL, 143: kill.SIGTERM, 145: 0, 160: 0, 255: 0,
	} {
		assert.Equal(t, want, Reported(code), "code %d", code)
	}
}

// The name of a span has the name of a process, which any process may choose.
func TestSpanName(t *testing.T) {
	t.Parallel()
	for want, process := range map[string]kill.Process{
		"mysqld":                      {Command: "mysqld", Executable: "/usr/sbin/mariadbd"},
		"mariadbd":                    {Executable: "/usr/sbin/mariadbd"},
		"process":                     {},
		`a\x1bb`:                      {Command: "a\x1bb"},
		`a\\x1bb`:                     {Command: `a\x1bb`},
		"\uFFFD":                      {Command: "\xff"},
		strings.Repeat("x", 64):       {Command: strings.Repeat("x", 64)},
		strings.Repeat("x", 61) + "…": {Executable: "/" + strings.Repeat("x", 65)},
		strings.Repeat("é", 30) + "…": {Command: strings.Repeat("é", 1<<20)},
	} {
		assert.Equal(t, want, terminated(&process))
	}
}

func TestOutcomeUID(t *testing.T) {
	t.Parallel()
	uid := func(change func(*kill.Event)) any {
		return convert(testConfig(), outcomeEvent(change)).Attributes().AsRaw()["log.record.uid"]
	}
	first := uid(func(*kill.Event) {})
	assert.Equal(t, first, uid(func(e *kill.Event) { e.Time = e.Time.Add(time.Second) }), "reported again after a crash")
	assert.NotEqual(t, first, uid(func(e *kill.Event) { e.Outcome.Span.ID[7]++ }))
}
