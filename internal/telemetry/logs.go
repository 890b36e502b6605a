// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"path"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
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
	attributes := attributes{resource.Resource().Attributes()}
	attributes.text("host.name", l.config.HostName)
	attributes.text("host.id", l.config.HostID)
	attributes.text("os.type", l.config.OSType)
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
	l.buffer = sentence(l.buffer[:0], e, target)
	record.Body().SetStr(string(l.buffer))

	a := attributes{record.Attributes()}
	a.m.EnsureCapacity(usualAttributes)
	l.signal(a, e)
	a.target(e, target)
	if e.Kind == kill.KindSignal {
		l.sender(a, &e.Sender)
	}
	a.audit(e)
	a.m.PutBool("kill.complete", e.Complete)
	a.text("kill.source", e.Source)
	a.text("log.record.uid", l.uid.of(e, target))
	a.text("log.file.path", e.File)
	if e.Original != "" {
		original := e.Original
		if l.config.CommandLine != CommandLineFull {
			original = redactOriginal(original)
		}
		a.text("log.record.original", original)
	}
}

// usualAttributes is how many attributes most records have.
const usualAttributes = 34

// severity is told by what the signal does, not by who is concerned.
func severity(e *kill.Event) plog.SeverityNumber {
	switch {
	case e.Kind == kill.KindAbend:
		return plog.SeverityNumberError
	case e.SignalKnown && e.Signal == 0:
		return plog.SeverityNumberDebug
	case e.Result.Failed() || !e.Signal.Fatal():
		return plog.SeverityNumberInfo
	}
	return plog.SeverityNumberWarn
}

func (l *Logs) signal(a attributes, e *kill.Event) {
	if e.SignalKnown {
		a.m.PutInt("kill.signal.number", int64(e.Signal))
		a.text("kill.signal.name", e.Signal.Name())
	}
	a.text("kill.syscall", e.Syscall)
	a.text("kill.origin", string(e.Origin))
	a.text("kill.cause", string(e.Cause))
	a.text("kill.scope", string(e.Scope))
	if e.Result.Failed() {
		a.text("kill.result", "failure")
		a.text("error.type", e.Result.Error)
	} else if e.Result.Known {
		a.text("kill.result", "success")
	}
}

func (l *Logs) sender(a attributes, p *kill.Process) {
	a.number("process.pid", p.PID)
	a.number("process.parent_pid", p.ParentPID)
	a.text("process.command", p.Command)
	if p.Executable != "" {
		a.text("process.executable.path", p.Executable)
		a.text("process.executable.name", path.Base(p.Executable))
	}
	switch l.config.CommandLine {
	case CommandLineFull:
		a.text("process.title", titleText(p.Title))
	case CommandLineRedacted:
		a.text("process.title", titleText(redact(p.Title)))
	}
	a.user("process.user.id", "process.user.name", p.User)
	a.user("process.real_user.id", "process.real_user.name", p.RealUser)
	a.user("process.saved_user.id", "process.saved_user.name", p.SavedUser)
	a.actor(p.Login)
}

func titleText(title string) string {
	return strings.ReplaceAll(strings.TrimRight(title, "\x00"), "\x00", " ")
}
