// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Config says how to turn events into telemetry.
type Config struct {
	// Resource says what the records are about (NewResource); left out if it is zero.
	Resource pcommon.Resource
	// HostID is what ids of records are made of, whether or not the resource tells it.
	HostID string
	// ScopeName and ScopeVersion name the receiver.
	ScopeName, ScopeVersion string
	// CommandLine says how much of command lines is reported.
	CommandLine redact.Policy
}

// writer is what log records and spans have in common.
type writer struct {
	*speaker
	config Config
	// attributes gathers those of one record or resource at a time.
	attributes xpdata.MapBuilder
	// most is the largest number of attributes that a record of each shape has had.
	most   [shapes]int
	titles memo[string, string]
	// ancestorTitles are those of parents.
	ancestorTitles memo[string, string]
	starts         memo[time.Time, string]
	ancestors      memo[relative, string]
	lineages       lineages
	// initiators are the command lines of what began something.
	initiators memo[*kill.Ancestor, string]
}

func newWriter(config Config) *writer {
	w := &writer{
		speaker: newSpeaker(config.CommandLine), config: config, starts: newMemo(formatStart), ancestors: newMemo(relative.format),
	}
	w.titles, w.ancestorTitles = newMemo(w.shownTitle), newMemo(w.shownAncestorTitle)
	w.lineages = newLineages(w.writeLineage)
	w.initiators = newAncestorMemo(func(a *kill.Ancestor) string { return w.title(a.Title) })
	return w
}

// shape says which groups of attributes a record has. Records of one shape have about as
// many attributes.
type shape uint8

const (
	ofSender shape = 1 << iota
	ofTarget
	ofOutcome
	ofSpanEvent
	ofBehind
	ofMemory
	shapes
)

func shapeOf(e *kill.Event, target *kill.Process) (s shape) {
	if e.Sender.Instance != nil {
		s |= ofSender
	}
	if target != nil && target.Instance != nil {
		s |= ofTarget
	}
	if e.Outcome != nil {
		s |= ofOutcome
	}
	return s | behindShape(e.Behind) | memoryShape(e.OutOfMemory)
}

func memoryShape(o *kill.OutOfMemory) shape {
	if o == nil {
		return 0
	}
	return ofMemory
}

func behindShape(b *kill.Behind) shape {
	if b == nil {
		return 0
	}
	return ofBehind
}

// begin begins the attributes of a record. It reserves room for as many as any record of the same
// shape has had, so that they seldom have to be moved.
func (w *writer) begin(s shape) attributes {
	w.attributes.EnsureCapacity(w.most[s])
	return attributes{&w.attributes}
}

// end moves the attributes into the map of the record.
func (w *writer) end(s shape, m pcommon.Map) {
	w.attributes.UnsafeIntoMap(m)
	w.most[s] = max(w.most[s], m.Len())
}

func (w *writer) resource(resource pcommon.Resource) {
	if w.config.Resource != (pcommon.Resource{}) {
		w.config.Resource.CopyTo(resource)
	}
}

func (w *writer) scope(scope pcommon.InstrumentationScope) {
	scope.SetName(w.config.ScopeName)
	scope.SetVersion(w.config.ScopeVersion)
}

// party has the texts about a sender and a target; empty if not known.
type party struct{ title, start, targetTitle, targetStart string }

func (w *writer) party(sender, target *kill.Process) party {
	p := party{title: w.title(sender.Title), start: w.start(sender.Instance)}
	if target != nil && target.Instance != nil {
		p.targetTitle, p.targetStart = w.title(target.Instance.CommandLine), w.start(target.Instance)
	}
	return p
}

func (w *writer) title(title string) string {
	if title == "" || w.config.CommandLine == redact.Off {
		return ""
	}
	return w.titles.get(title)
}

// ancestorTitle returns the command line of a parent; empty if it is not known, or not to be shown.
func (w *writer) ancestorTitle(title string) string {
	if title == "" || w.config.CommandLine == redact.Off {
		return ""
	}
	return w.ancestorTitles.get(title)
}

// start returns when a process was created; empty if not known.
func (w *writer) start(instance *kill.Instance) string {
	if instance == nil || instance.Start.IsZero() {
		return ""
	}
	return w.starts.get(instance.Start)
}

func formatStart(start time.Time) string { return start.UTC().Format("2006-01-02T15:04:05.000Z") }

// longestTitle is how many bytes of a command line are reported. Some have a whole classpath in
// it.
const longestTitle = 1024

// shownTitle returns as much of a command line as is reported, with spaces between the arguments,
// and escaped, which may make it longer.
// It hides secrets before it cuts the end off: the end may be what shows that something is one.
func (w *writer) shownTitle(title string) string { return w.cutTitle(title, longestTitle) }

// longestAncestorTitle is the same for the command line of a parent, of which a record has up to sixteen.
const longestAncestorTitle = 256

func (w *writer) shownAncestorTitle(title string) string {
	return w.cutTitle(title, longestAncestorTitle)
}

func (w *writer) cutTitle(title string, limit int) string {
	title = w.config.CommandLine.Apply(title)
	title = strings.TrimRight(visible.Cut(title, limit), "\x00")
	return visible.Text(strings.ReplaceAll(title, "\x00", " "))
}
