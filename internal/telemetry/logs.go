// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// Logs turns events into log records. It is not safe for concurrent use.
type Logs struct {
	*writer
	uid    *uids
	buffer []byte

	logs    plog.Logs
	records plog.LogRecordSlice
}

// NewLogs returns an empty Logs.
func NewLogs(config Config) *Logs {
	l := &Logs{writer: newWriter(config), uid: newUIDs(config.HostID)}
	l.reset()
	return l
}

func (l *Logs) reset() {
	l.logs = plog.NewLogs()
	resource := l.logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	l.resource(resource.Resource())
	scope := resource.ScopeLogs().AppendEmpty()
	scope.SetSchemaUrl(semconv.SchemaURL)
	l.scope(scope.Scope())
	l.records = scope.LogRecords()
}

// Len returns how many log records were gathered.
func (l *Logs) Len() int { return l.records.Len() }

// Take returns the gathered log records and starts again.
func (l *Logs) Take() plog.Logs {
	taken := l.logs
	l.reset()
	return taken
}

// Append adds one log record: the event and one of its targets, or nil if there is none.
func (l *Logs) Append(e *kill.Event, target *kill.Process, observed time.Time) {
	record := l.records.AppendEmpty()
	record.SetEventName(string(e.Kind))
	record.SetTimestamp(timestamp(e.Time))
	record.SetObservedTimestamp(timestamp(observed))
	severity := severity(e, target)
	record.SetSeverityNumber(severity)
	record.SetSeverityText(severityText(severity))
	if target != nil && target.Span != (kill.Span{}) {
		record.SetTraceID(target.Span.Trace)
		record.SetSpanID(target.Span.ID)
	}
	t := l.texts(e, target)
	record.Body().SetStr(t.body)

	shape := shapeOf(e, target)
	a := l.begin(shape)
	// Not every backend keeps OTLP's own field for it; Loki 3.5 does not.
	a.known("event.name", string(e.Kind))
	a.signal(e, target)
	a.target(e, target, &t.party)
	if e.Kind != kill.KindAbend {
		l.sender(a, &e.Sender, e.Behind, &t.party)
	} else if e.Behind != nil {
		a.actor(e.Behind.User)
		l.behind(a, e.Behind)
	}
	a.outOfMemory(e, target)
	if e.Outcome != nil {
		a.outcome(e.Outcome, e.Time)
	}
	a.audit(e)
	a.m.AppendEmpty("kill.complete").SetBool(e.Complete)
	a.text("kill.source", e.Source)
	a.known("log.record.uid", t.uid)
	a.text("log.file.path", e.File)
	a.lines("log.record.original", l.original(e, target))
	l.end(shape, record.Attributes())
}

// AppendRecord adds a log record that was made earlier.
func (l *Logs) AppendRecord(record plog.LogRecord) { record.CopyTo(l.records.AppendEmpty()) }

// original returns the audit records about one target.
func (l *Logs) original(e *kill.Event, target *kill.Process) string {
	original := e.Original
	if target != nil && target.Original != "" {
		original = strings.TrimPrefix(original+"\n"+target.Original, "\n")
	}
	if l.config.CommandLine != redact.Full {
		original = redact.Records(original)
	}
	return original
}

// texts are the texts of a record that have to be formatted; empty if not known.
type texts struct {
	body, uid string
	party
}

// texts formats the texts that differ in each record as parts of one string, so that they take
// one allocation. The others repeat, and are remembered.
func (l *Logs) texts(e *kill.Event, target *kill.Process) texts {
	b := l.sentence(l.buffer[:0], e, target)
	body := len(b)
	b = l.uid.append(b, e, target)
	l.buffer = b
	all := string(b)
	return texts{body: all[:body], uid: all[body:], party: l.party(&e.Sender, target)}
}

// severity depends on what the signal does, not on who sent it to whom. Even a failed attempt to
// blind the monitor is an error.
func severity(e *kill.Event, target *kill.Process) plog.SeverityNumber {
	switch e.Kind {
	case kill.KindSignal:
		return signalSeverity(e, target)
	case kill.KindAbend:
		if !e.Result.Known {
			return plog.SeverityNumberWarn // perhaps it was only a thread
		}
		return plog.SeverityNumberError
	case kill.KindTamper:
		return plog.SeverityNumberError
	case kill.KindOutcome:
		return outcomeSeverity(e.Outcome)
	}
	return plog.SeverityNumberUnspecified
}

// severityText names a severity as backends do that do not keep its number.
func severityText(s plog.SeverityNumber) string {
	switch s {
	case plog.SeverityNumberDebug:
		return "DEBUG"
	case plog.SeverityNumberInfo:
		return "INFO"
	case plog.SeverityNumberWarn:
		return "WARN"
	case plog.SeverityNumberError:
		return "ERROR"
	}
	return ""
}

func signalSeverity(e *kill.Event, target *kill.Process) plog.SeverityNumber {
	switch {
	case e.Cause == kill.CauseOOM:
		return plog.SeverityNumberError
	case e.SignalKnown && e.Signal == 0:
		return plog.SeverityNumberDebug
	case e.ResultFor(target).Failed() || e.Doubtful(target) || failure(e, e.DeliveryTo(target)) != "" || !e.Signal.Fatal():
		return plog.SeverityNumberInfo
	}
	return plog.SeverityNumberWarn
}
