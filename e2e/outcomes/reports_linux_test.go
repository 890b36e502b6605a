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

// What is told of a target, compared with what was done to it.

// story is what must be told of a termination.
type story struct {
	verdict string
	// how is the exit code, or the name of the signal that has ended it; nil if
	// nobody knows.
	how any
	// sent are the signals from the first fatal one on.
	sent []string
	// lasts is how long it takes at least.
	lasts     time.Duration
	escalated bool
	lastName  string
	severity  plog.SeverityNumber
	// message is how that of the span's status begins, which is unset without one.
	message string
}

// late is how much later than this process the collector may see that another one
// has ended, where it has to look.
const late = 2 * time.Second

// outcomes returns what is told of the ends of a process.
func (s *stage) outcomes(pid int) []otlp.Record { return s.told(pid, "kill.outcome") }

func (s *stage) told(pid int, event string) []otlp.Record {
	var found []otlp.Record
	for _, r := range s.sink.Records() {
		if r.Event == event && r.Attributes["kill.target.pid"] == int64(pid) {
			found = append(found, r)
		}
	}
	return found
}

// awaitOutcome returns the only outcome of a process.
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

// awaitSpan returns the only span that a log record belongs to.
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

// check compares what is told of a target that was struck by soft first and, if more
// than once, by hard last.
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

// after is the whole message of a span of some length: what the first signal did at once
// needs no time.
func (w story) after(length time.Duration) string {
	switch {
	case w.message == "", length < time.Millisecond && w.how == w.sent[0]:
		return w.message
	case length < time.Millisecond:
		return w.message + " right after " + w.sent[0]
	}
	return fmt.Sprintf("%s %.3f s after %s", w.message, length.Seconds(), w.sent[0])
}

// checkRecord does that without a span.
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

// attributes are those that tell a story.
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

// attributesOf returns what assertAttributes compares.
func attributesOf(span ptrace.Span) otlp.Record {
	return otlp.Record{Body: span.Name(), Attributes: span.Attributes().AsRaw()}
}

// name16 is what the kernel calls a target.
func name16(target *process.Target) string {
	name := filepath.Base(target.Command.Path)
	return name[:min(len(name), 15)] // TASK_COMM_LEN
}

// checkTimes compares when a termination began and ended with what was seen here.
func (s *stage) checkTimes(target *process.Target, want story, outcome otlp.Record) {
	s.t.Helper()
	coarse, slack := 20*time.Millisecond, late // audit records bear the time of the last tick
	if s.source.traced() {
		coarse, slack = 5*time.Millisecond, 20*time.Millisecond
	}
	took, _ := outcome.Attributes["kill.duration"].(float64)
	assert.GreaterOrEqual(s.t, took, (want.lasts - coarse).Seconds(), "duration in %q", outcome.Body)
	switch want.verdict {
	case "survived", "unknown":
		return
	case "ended":
		slack = harness.Patience // nobody looked
	}
	<-target.Dead
	assert.WithinRange(s.t, outcome.Time, target.Struck.Add(want.lasts-coarse), target.Died.Add(slack), "end in %q", outcome.Body)
	assert.LessOrEqual(s.t, took, (target.Died.Sub(target.Struck) + slack + coarse).Seconds(), "duration in %q", outcome.Body)
}

// clockPrecision is how exactly two clocks are compared, in seconds: the time of a log
// record comes from another one than durations, and to read both takes microseconds on
// a machine that is emulated.
const clockPrecision = 10e-6

// checkSignals asserts that the signals in the log lead to the trace.
func (s *stage) checkSignals(target *process.Target, want story, outcome otlp.Record) {
	s.t.Helper()
	var sent []string
	for _, r := range append(s.signals(target), s.told(target.PID, "kill.abend")...) {
		assert.Equal(s.t, outcome.TraceID, r.TraceID, "trace of %q", r.Body)
		assert.Equal(s.t, outcome.SpanID, r.SpanID, "span of %q", r.Body)
		if len(sent) == 0 {
			assert.InDelta(s.t, outcome.Time.Sub(r.Time).Seconds(), outcome.Attributes["kill.duration"], clockPrecision)
		}
		if name, _ := r.Attributes["kill.signal.name"].(string); r.Event == "kill.signal" {
			sent = append(sent, name)
		}
	}
	assert.Equal(s.t, want.sent, sent, "signals before %q", outcome.Body)
}

// signals are the log records of those signals to a target that may end it.
func (s *stage) signals(target *process.Target) []otlp.Record {
	s.t.Helper()
	var fatal []otlp.Record
	for _, r := range s.told(target.PID, "kill.signal") {
		if r.Attributes["kill.signal.name"] == "SIGSTOP" {
			assert.True(s.t, r.SpanID.IsEmpty(), "nobody dies of %q", r.Body)
			continue
		}
		fatal = append(fatal, r)
	}
	return fatal
}

// checkEvents compares the signals in a span with those in the log.
func (s *stage) checkEvents(target *process.Target, span ptrace.Span) {
	s.t.Helper()
	signals := s.signals(target)
	require.Equal(s.t, len(signals), span.Events().Len(), "signals in %q", span.Name())
	assert.Equal(s.t, signals[0].Time, span.StartTimestamp().AsTime(), "start of %q", span.Name())
	for i, event := range span.Events().All() {
		assert.Equal(s.t, "signal", event.Name())
		assert.Equal(s.t, signals[i].Time, event.Timestamp().AsTime())
		told := signals[i].Attributes
		otlp.AssertAttributes(s.t, otlp.Record{Body: signals[i].Body, Attributes: event.Attributes().AsRaw()}, map[string]any{
			"kill.signal.name": told["kill.signal.name"], "process.pid": told["process.pid"],
			"kill.syscall": told["kill.syscall"], "kill.result": "success",
		})
	}
}

// assertOnce asserts that nothing was told twice.
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
