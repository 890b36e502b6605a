// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The checks that log records and spans report what was done to a target, and how it ended.

// story is what must be reported about a termination.
type story struct {
	verdict string
	// how is the exit code, or the name of the signal that ended it; nil if it is
	// unknown.
	how any
	// sent are the signals, starting with the first fatal one.
	sent []string
	// lasts is the minimum duration.
	lasts     time.Duration
	escalated bool
	lastName  string
	severity  plog.SeverityNumber
	// message is the beginning of the message of the span's status. Without it the status is unset.
	message string
}

// late is how much later than this test the collector may notice that a process has ended, if its
// source does not report exits.
const late = 2 * time.Second

// outcomes returns the outcomes that are reported for a pid.
func (s *stage) outcomes(pid int) []otlp.Record { return s.records(pid, "kill.outcome") }

// records returns the log records of one kind about a pid.
func (s *stage) records(pid int, event string) []otlp.Record {
	var found []otlp.Record
	for _, r := range s.sink.Records() {
		if r.Event == event && r.Attributes["kill.target.pid"] == int64(pid) {
			found = append(found, r)
		}
	}
	return found
}

// awaitOutcome waits for the only outcome of a process.
func (s *stage) awaitOutcome(pid int) otlp.Record {
	s.t.Helper()
	var found []otlp.Record
	harness.Eventually(s.t, func() bool {
		found = s.outcomes(pid)
		return len(found) > 0
	}, "the outcome of process %d", pid)
	assert.Len(s.t, found, 1, "outcomes of process %d", pid)
	return found[0]
}

// awaitSpan waits for the only span that a log record belongs to.
func (s *stage) awaitSpan(r otlp.Record) ptrace.Span {
	s.t.Helper()
	return s.awaitSpanOf(r.TraceID, r.SpanID)
}

func (s *stage) awaitSpanOf(trace pcommon.TraceID, id pcommon.SpanID) ptrace.Span {
	s.t.Helper()
	var found []ptrace.Span
	harness.Eventually(s.t, func() bool {
		found = found[:0]
		for _, span := range s.sink.Spans() {
			if span.TraceID() == trace && span.SpanID() == id {
				found = append(found, span)
			}
		}
		return len(found) > 0
	}, "span %s of trace %s", id, trace)
	assert.Len(s.t, found, 1, "spans %s", id)
	return found[0]
}

// check compares a story with what is reported about a target. The sender soft must have signaled it
// first. If it was signaled again, the last sender must have been hard.
func (s *stage) check(target *process.Target, want story) ptrace.Span {
	s.t.Helper()
	outcome := s.checkRecord(target, want)
	span := s.awaitSpan(outcome)
	assert.Equal(s.t, "terminate "+name16(target), span.Name())
	assert.Equal(s.t, ptrace.SpanKindInternal, span.Kind())
	assert.Equal(s.t, outcome.Time, span.EndTimestamp().AsTime())
	otlp.AssertAttributes(s.t, attributesOf(span), s.attributes(target, want))
	code := ptrace.StatusCodeUnset
	if want.message != "" {
		code = ptrace.StatusCodeError
	}
	assert.Equal(s.t, code, span.Status().Code(), "status of %q", span.Name())
	assert.Equal(s.t, want.after(span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime())), span.Status().Message())
	s.checkEvents(target, span)
	return span
}

// after returns the whole message of a span of this length. It has no duration if the first signal
// took effect at once.
func (w story) after(length time.Duration) string {
	switch {
	case w.message == "", length < time.Millisecond && w.how == w.sent[0]:
		return w.message
	case length < time.Millisecond:
		return w.message + " right after " + w.sent[0]
	}
	return fmt.Sprintf("%s %.3f s after %s", w.message, length.Seconds(), w.sent[0])
}

// checkRecord is like check, but checks only the log record.
func (s *stage) checkRecord(target *process.Target, want story) otlp.Record {
	s.t.Helper()
	outcome := s.awaitOutcome(target.PID)
	if want.severity == 0 {
		want.severity = plog.SeverityNumberInfo
	}
	otlp.AssertAttributes(s.t, outcome, s.attributes(target, want))
	assert.Equal(s.t, want.severity, outcome.Severity, "severity of %q", outcome.Body)
	assert.False(s.t, outcome.TraceID.IsEmpty() || outcome.SpanID.IsEmpty(), "ids of %q", outcome.Body)
	s.checkTimes(target, want, outcome)
	s.checkSignals(target, want, outcome)
	return outcome
}

// attributes returns the attributes that a story leads to.
func (s *stage) attributes(target *process.Target, want story) map[string]any {
	last := s.soft
	if len(want.sent) > 1 {
		last = s.hard
	}
	attributes := map[string]any{
		"kill.outcome": want.verdict, "process.exit.code": nil, "kill.exit.signal.name": nil,
		"kill.signal.name": want.sent[0], "kill.signal.count": int64(len(want.sent)), "kill.escalated": want.escalated,
		"kill.last_signal.name": want.sent[len(want.sent)-1], "kill.target.last_name": nil,
		"process.pid": int64(s.soft.PID), "process.command": s.soft.Name,
		"kill.last_sender.pid": int64(last.PID), "kill.last_sender.name": last.Name,
		"kill.target.name": name16(target), "kill.complete": true,
	}
	switch how := want.how.(type) {
	case int:
		attributes["process.exit.code"] = int64(how)
	case string:
		attributes["kill.exit.signal.name"] = how
	}
	if want.lastName != "" {
		attributes["kill.target.last_name"] = want.lastName
	}
	return attributes
}

// attributesOf returns the attributes of a span as those of a log record, for otlp.AssertAttributes.
func attributesOf(span ptrace.Span) otlp.Record {
	return otlp.Record{Body: span.Name(), Attributes: span.Attributes().AsRaw()}
}

// name16 returns the command name of a target, which the kernel cuts.
func name16(target *process.Target) string {
	name := filepath.Base(target.Command.Path)
	return name[:min(len(name), 15)] // TASK_COMM_LEN
}

// checkTimes compares the reported times of a termination with those that the test measured.
func (s *stage) checkTimes(target *process.Target, want story, outcome otlp.Record) {
	s.t.Helper()
	coarse, slack := 20*time.Millisecond, late // audit records have the time of the last tick
	if s.source.traced() {
		coarse, slack = 5*time.Millisecond, 20*time.Millisecond
	}
	took, _ := outcome.Attributes["kill.duration"].(float64)
	assert.GreaterOrEqual(s.t, took, (want.lasts - coarse).Seconds(), "duration in %q", outcome.Body)
	switch want.verdict {
	case "survived", "unknown":
		return
	case "ended":
		slack = harness.Patience // the collector was stopped meanwhile
	}
	<-target.Dead
	assert.WithinRange(s.t, outcome.Time, target.SignaledAt.Add(want.lasts-coarse), target.DiedAt.Add(slack), "end in %q", outcome.Body)
	assert.LessOrEqual(s.t, took, (target.DiedAt.Sub(target.SignaledAt) + slack + coarse).Seconds(), "duration in %q", outcome.Body)
}

// clockPrecision is how exactly two clocks are compared, in seconds: the time of a log
// record comes from another one than durations, and to read both takes microseconds on
// a machine that is emulated.
const clockPrecision = 10e-6

// checkSignals asserts that the log records of the signals have the ids of the trace.
func (s *stage) checkSignals(target *process.Target, want story, outcome otlp.Record) {
	s.t.Helper()
	var sent []string
	for _, r := range append(s.signals(target), s.records(target.PID, "kill.abend")...) {
		assert.Equal(s.t, outcome.TraceID, r.TraceID, "trace of %q", r.Body)
		assert.Equal(s.t, outcome.SpanID, r.SpanID, "span of %q", r.Body)
		if len(sent) == 0 {
			assert.InDelta(s.t, outcome.Time.Sub(r.Time).Seconds(), outcome.Attributes["kill.duration"], clockPrecision)
		}
		if r.Event == "kill.signal" {
			sent = append(sent, r.Text("kill.signal.name"))
		}
	}
	assert.Equal(s.t, want.sent, sent, "signals before %q", outcome.Body)
}

// signals returns the log records of the signals to a target that may end it.
func (s *stage) signals(target *process.Target) []otlp.Record {
	s.t.Helper()
	var fatal []otlp.Record
	for _, r := range s.records(target.PID, "kill.signal") {
		if r.Attributes["kill.signal.name"] == "SIGSTOP" {
			assert.True(s.t, r.SpanID.IsEmpty(), "no span id, because no process dies of %q", r.Body)
			continue
		}
		fatal = append(fatal, r)
	}
	return fatal
}

// checkEvents compares the span events with the log records of the signals.
func (s *stage) checkEvents(target *process.Target, span ptrace.Span) {
	s.t.Helper()
	signals := s.signals(target)
	require.Equal(s.t, len(signals), span.Events().Len(), "signals in %q", span.Name())
	assert.Equal(s.t, signals[0].Time, span.StartTimestamp().AsTime(), "start of %q", span.Name())
	for i, event := range span.Events().All() {
		assert.Equal(s.t, "signal", event.Name())
		assert.Equal(s.t, signals[i].Time, event.Timestamp().AsTime())
		reported := signals[i].Attributes
		otlp.AssertAttributes(s.t, otlp.Record{Body: signals[i].Body, Attributes: event.Attributes().AsRaw()}, map[string]any{
			"kill.signal.name": reported["kill.signal.name"], "process.pid": reported["process.pid"],
			"kill.syscall": reported["kill.syscall"], "kill.result": "success",
		})
	}
}

// assertOnce asserts that no outcome and no span was reported twice.
func (s *stage) assertOnce() {
	s.t.Helper()
	records, spans := make(map[pcommon.SpanID]int), make(map[pcommon.SpanID]int)
	for _, r := range s.sink.Records() {
		if r.Event == "kill.outcome" {
			records[r.SpanID]++
			assert.Equal(s.t, 1, records[r.SpanID], r.Body)
		}
	}
	for _, span := range s.sink.Spans() {
		spans[span.SpanID()]++
		assert.Equal(s.t, 1, spans[span.SpanID()], "%s %s", span.Name(), span.SpanID())
	}
	for id := range records {
		assert.Contains(s.t, spans, id, "spans of outcomes")
	}
}
