// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"time"
	"unicode/utf8"

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
	titles     memo[string]
	starts     memo[time.Time]
	ancestors  memo[kill.Ancestor]

	logs    plog.Logs
	records plog.LogRecordSlice
}

// NewLogs returns an empty Logs.
func NewLogs(config Config) *Logs {
	l := &Logs{
		config: config, uid: newUIDs(config.HostID),
		starts: newMemo(formatStart), ancestors: newMemo(formatAncestor),
	}
	l.titles = newMemo(l.shownTitle)
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
	t := l.texts(e, target)
	record.Body().SetStr(t.body)

	a := attributes{&l.attributes}
	a.m.EnsureCapacity(capacity(e, target))
	a.signal(e)
	a.target(e, target, &t)
	if e.Kind != kill.KindAbend {
		a.sender(&e.Sender, &t)
		a.ancestry(e.Sender.Ancestry, l.ancestors)
	}
	a.audit(e)
	a.m.AppendEmpty("kill.complete").SetBool(e.Complete)
	a.text("kill.source", e.Source)
	a.known("log.record.uid", t.uid)
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

// texts are those that have to be made for a record; empty if not known.
type texts struct{ body, uid, title, start, targetTitle, targetStart string }

// texts makes those that are new in each record as parts of one string, so that they
// cost one allocation. The others come again and again.
func (l *Logs) texts(e *kill.Event, target *kill.Process) texts {
	b := sentence(l.buffer[:0], e, target)
	body := len(b)
	b = l.uid.append(b, e, target)
	l.buffer = b
	all := string(b)
	t := texts{body: all[:body], uid: all[body:], title: l.title(e.Sender.Title), start: l.start(e.Sender.Instance)}
	if target != nil && target.Instance != nil {
		t.targetTitle, t.targetStart = l.title(target.Instance.CommandLine), l.start(target.Instance)
	}
	return t
}

func (l *Logs) title(title string) string {
	if title == "" || l.config.CommandLine == CommandLineOff {
		return ""
	}
	return l.titles.get(title)
}

// start says when a process was created, as far as that is known.
func (l *Logs) start(instance *kill.Instance) string {
	if instance == nil || instance.Start.IsZero() {
		return ""
	}
	return l.starts.get(instance.Start)
}

func formatStart(start time.Time) string { return start.UTC().Format("2006-01-02T15:04:05.000Z") }

// longestTitle is how many bytes of a command line are told. Some have all of
// their classpath in it.
const longestTitle = 1024

// shownTitle returns as much of a command line as is told, with spaces between
// the arguments. What is to be hidden is hidden before the end is cut off, which
// might be what it is told by.
func (l *Logs) shownTitle(title string) string {
	if l.config.CommandLine == CommandLineRedacted {
		title = redact(title)
	}
	title = strings.TrimRight(shorten(title, longestTitle), "\x00")
	return strings.ReplaceAll(title, "\x00", " ")
}

// shorten cuts a text that is too long, before the character that goes beyond.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for end := limit; end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(text[end]) {
			return text[:end]
		}
	}
	return text[:limit]
}

const (
	// usualAttributes is how many attributes most records have, usualInstance how
	// many more it takes to say which process it was, and who its parents are.
	usualAttributes, usualInstance = 34, 7
)

func capacity(e *kill.Event, target *kill.Process) int {
	n := usualAttributes
	if e.Sender.Instance != nil {
		n += usualInstance
	}
	if target != nil && target.Instance != nil {
		n += usualInstance
	}
	return n
}

// severity is told by what the signal does, not by who is concerned. Even a
// failed attempt to blind the monitor is one.
func severity(e *kill.Event) plog.SeverityNumber {
	switch {
	case e.Kind == kill.KindAbend, e.Kind == kill.KindTamper, e.Cause == kill.CauseOOM:
		return plog.SeverityNumberError
	case e.SignalKnown && e.Signal == 0:
		return plog.SeverityNumberDebug
	case e.Result.Failed() || failure(e.Delivery) != "" || !e.Signal.Fatal():
		return plog.SeverityNumberInfo
	}
	return plog.SeverityNumberWarn
}
