// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// CommandLine says how much of the sender's command line is told.
type CommandLine string

const (
	CommandLineRedacted CommandLine = "redacted"
	CommandLineFull     CommandLine = "full"
	CommandLineOff      CommandLine = "off"
)

// Config says how events are turned into log records.
type Config struct {
	// HostName and HostID identify the host that the collector runs on.
	HostName, HostID string
	// OSType is the value of os.type, "linux".
	OSType string
	// ScopeName and ScopeVersion name the receiver.
	ScopeName, ScopeVersion string
	CommandLine             CommandLine
}

// Logs turns events into log records. It is not safe for concurrent use.
type Logs struct {
	config Config
	uid    *uids
	buffer []byte
	// attributes gathers those of one record or resource at a time.
	attributes xpdata.MapBuilder

	logs    plog.Logs
	records plog.LogRecordSlice
}

// NewLogs returns an empty Logs.
func NewLogs(config Config) *Logs {
	l := &Logs{config: config, uid: newUIDs(config.HostID)}
	l.reset()
	return l
}

func (l *Logs) reset() {
	l.logs = plog.NewLogs()
	resource := l.logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	a := attributes{&l.attributes}
	a.text("host.name", l.config.HostName)
	a.text("host.id", l.config.HostID)
	a.text("os.type", l.config.OSType)
	a.m.UnsafeIntoMap(resource.Resource().Attributes())
	scope := resource.ScopeLogs().AppendEmpty()
	scope.SetSchemaUrl(semconv.SchemaURL)
	scope.Scope().SetName(l.config.ScopeName)
	scope.Scope().SetVersion(l.config.ScopeVersion)
	l.records = scope.LogRecords()
}

// Len returns how many log records there are.
func (l *Logs) Len() int { return l.records.Len() }

// Take returns the log records and begins anew.
func (l *Logs) Take() plog.Logs {
	taken := l.logs
	l.reset()
	return taken
}

// Append adds one log record: the event as it struck one target, or nobody if
// target is nil.
func (l *Logs) Append(e *kill.Event, target *kill.Process, observed time.Time) {
	record := l.records.AppendEmpty()
	record.SetEventName(string(e.Kind))
	record.SetTimestamp(pcommon.NewTimestampFromTime(e.Time))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
	record.SetSeverityNumber(severity(e))
	body, uid, title := l.texts(e, target)
	record.Body().SetStr(body)

	a := attributes{&l.attributes}
	a.m.EnsureCapacity(usualAttributes)
	a.signal(e)
	a.target(e, target)
	if e.Kind != kill.KindAbend {
		a.sender(&e.Sender)
		a.text("process.title", title)
	}
	a.audit(e)
	a.m.AppendEmpty("kill.complete").SetBool(e.Complete)
	a.text("kill.source", e.Source)
	a.known("log.record.uid", uid)
	a.text("log.file.path", e.File)
	a.text("log.record.original", l.original(e, target))
	a.m.UnsafeIntoMap(record.Attributes())
}

// original returns the records that concern one target.
func (l *Logs) original(e *kill.Event, target *kill.Process) string {
	original := e.Original
	if target != nil && target.Original != "" {
		original = strings.TrimPrefix(original+"\n"+target.Original, "\n")
	}
	if l.config.CommandLine != CommandLineFull {
		original = redactOriginal(original)
	}
	return original
}

// texts makes the texts that are new in each record. They are parts of one
// string, so that they cost one allocation.
func (l *Logs) texts(e *kill.Event, target *kill.Process) (body, uid, title string) {
	b := sentence(l.buffer[:0], e, target)
	bodyEnd := len(b)
	b = l.uid.append(b, e, target)
	uidEnd := len(b)
	switch l.config.CommandLine {
	case CommandLineFull:
		b = appendTitle(b, e.Sender.Title)
	case CommandLineRedacted:
		b = appendTitle(b, redact(e.Sender.Title))
	}
	l.buffer = b
	all := string(b)
	return all[:bodyEnd], all[bodyEnd:uidEnd], all[uidEnd:]
}

// appendTitle writes a command line with spaces between the arguments.
func appendTitle(buf []byte, title string) []byte {
	start := len(buf)
	buf = append(buf, strings.TrimRight(title, "\x00")...)
	for i, c := range buf[start:] {
		if c == 0 {
			buf[start+i] = ' '
		}
	}
	return buf
}

// usualAttributes is how many attributes most records have.
const usualAttributes = 34

// severity is told by what the signal does, not by who is concerned. Even a
// failed attempt to blind the monitor is one.
func severity(e *kill.Event) plog.SeverityNumber {
	switch {
	case e.Kind == kill.KindAbend, e.Kind == kill.KindTamper:
		return plog.SeverityNumberError
	case e.SignalKnown && e.Signal == 0:
		return plog.SeverityNumberDebug
	case e.Result.Failed() || !e.Signal.Fatal():
		return plog.SeverityNumberInfo
	}
	return plog.SeverityNumberWarn
}
