// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/likeness"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

const (
	// maxReported is how many unreadable lines are reported: a log may be full of them.
	maxReported = 10
	// maxTampers is the same for changes of the audit system, if they are asked for: they happen at each boot.
	maxTampers = 1000
)

// notes are the messages beside the report. Logs are read by goroutines of their own, so
// problem may be called at any time.
type notes struct {
	mu  sync.Mutex
	out io.Writer
	// failed is true if something could not be read.
	failed   atomic.Bool
	problems atomic.Int64
	// tampers counts what has blinded the audit system, tamper is the latest, since when the first. all says each.
	tampers       int
	tamper, since *kill.Event
	all           bool
	// later are printed once the report is written, so that they do not interrupt it.
	later []string
}

func newNotes(out io.Writer) *notes { return &notes{out: out} }

func (n *notes) say(format string, arguments ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "auditkill: %s\n", printable(fmt.Sprintf(format, arguments...)))
}

// keep keeps a message until the report is written.
func (n *notes) keep(format string, arguments ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.later = append(n.later, fmt.Sprintf(format, arguments...))
}

// flush prints the messages that were kept.
func (n *notes) flush() {
	n.sumTampers()
	n.mu.Lock()
	later := n.later
	n.later = nil
	n.mu.Unlock()
	for _, note := range later {
		n.say("%s", note)
	}
}

// fail reports that something is missing in the report.
func (n *notes) fail(err error) {
	n.failed.Store(true)
	n.say("%v", err)
}

// problem reports a line that could not be read. A single line does not count as a failure:
// after a power failure, any log may have one.
func (n *notes) problem(p auditlog.Problem) {
	if p.Rest {
		n.fail(p)
		return
	}
	n.unreadable(p)
}

// unreadable reports something small that could not be read.
func (n *notes) unreadable(p error) {
	problems := n.problems.Add(1)
	if problems <= maxReported {
		n.keep("%v", p)
	}
	if problems == maxReported+1 {
		n.keep("further unreadable lines are not reported")
	}
}

// tampered reports what blinded the audit system: signals since then may be missing in the log.
func (n *notes) tampered(e *kill.Event) {
	n.tampers++
	if n.since == nil {
		n.since = e
	}
	n.tamper = e
	if n.all && n.tampers <= maxTampers {
		n.keep("%s: %s", local(e.Time), telemetry.Sentence(e, target(e), redact.Redacted))
	}
	if n.all && n.tampers == maxTampers+1 {
		n.keep("further changes of the audit system are not reported; limit them with --since and --until")
	}
}

// sumTampers keeps one line about all that has blinded the audit system, unless each was said.
func (n *notes) sumTampers() {
	e := n.tamper
	if e == nil || n.all {
		return
	}
	n.tamper = nil
	said := fmt.Sprintf("%s: %s", local(e.Time), telemetry.Sentence(e, target(e), redact.Redacted))
	if n.tampers > 1 {
		said += fmt.Sprintf("; the last of %d changes of the audit system since %s (--tampering lists them)", n.tampers, local(n.since.Time))
	}
	n.keep("%s", said)
}

func target(e *kill.Event) *kill.Process {
	if len(e.Targets) == 0 {
		return nil
	}
	return &e.Targets[0]
}

// hint says why there is nothing to report.
func (n *notes) hint(chosen *selection.Selection, config selection.Config, l *logs) {
	first, last, lines := l.span()
	from := strings.Join(l.paths, ", ")
	switch {
	case len(l.opened)+len(l.histories) == 0, lines == 0 && n.failed.Load(): // that was reported
	case lines == 0 && from == nameOf(standardInput):
		n.say("%s: empty: the command before it has printed nothing", from)
	case lines == 0:
		n.say("%s: empty: is it the right log, and does auditd write to it?", from)
	case first.IsZero() && n.failed.Load(): // so was why its times mean nothing
	case first.IsZero() && len(l.opened) == 0:
		n.say("%s: none of its %d lines is a record of the receiver", from, lines)
	case first.IsZero():
		n.failed.Store(true)
		n.say("%s: none of its %d lines is an audit record, or one of a kernel log", from, lines)
	case last.Before(config.Since):
		n.say("%s: nothing is newer than %s, and --since is %s", from, local(last), local(config.Since))
	case !config.Until.IsZero() && first.After(config.Until):
		n.say("%s: nothing is older than %s, and --until is %s", from, local(first), local(config.Until))
	case chosen.Seen() == 0 && (len(l.opened) == 0 || l.disbelieved()): // which was said
		n.say("%s: no signal from %s to %s", from, local(first), local(last))
	case chosen.Seen() == 0:
		n.say("%s: no signal from %s to %s, perhaps because no audit rule recorded signals; `auditkill rules --check` "+
			"shows whether one does now, and `auditkill rules` prints the rules", from, local(first), local(last))
	default:
		n.say("%s: %s from %s to %s, but %s", from, countSignals(chosen.Seen()), local(first), local(last),
			strings.Join(rejections(chosen), ", "))
		n.suggest(chosen, config)
	}
}

// suggest names targets, senders and users that are like those that were asked for.
func (n *notes) suggest(chosen *selection.Selection, config selection.Config) {
	for _, each := range []struct {
		flag  string
		asked []string
		seen  iter.Seq[string]
	}{
		{"target", config.Targets, chosen.Targets()},
		{"sender", config.Senders, chosen.Senders()},
		{"user", []string{config.User}, chosen.Users()},
	} {
		var names []string
		for _, asked := range each.asked {
			if glob, _ := selection.Split(asked); !strings.ContainsAny(glob, "*?[/") {
				names = append(names, likeness.Nearest(glob, each.seen)...)
			}
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 0 {
			n.say("did you mean --%s %s?", each.flag, strings.Join(names, " or "))
		}
	}
}

// rejections says why signals were not reported: "3 other signals (2 SIGTERM, 1 SIGHUP)".
func rejections(chosen *selection.Selection) []string {
	var all []string
	for _, r := range chosen.Rejections() {
		text := fmt.Sprintf("%d %s", r.Events, r.Reason)
		if r.Signals != nil {
			text += " (" + signalCounts(r.Signals) + ")"
		}
		all = append(all, text)
	}
	return all
}

// signalCounts names the most frequent signals.
func signalCounts(counts map[kill.Signal]int) string {
	const most = 5
	signals := slices.SortedFunc(maps.Keys(counts), func(a, b kill.Signal) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var texts []string
	for i, signal := range signals {
		if i == most {
			texts = append(texts, "...")
			break
		}
		texts = append(texts, fmt.Sprintf("%d %s", counts[signal], signal.Name()))
	}
	return strings.Join(texts, ", ")
}

func countSignals(n int) string {
	if n == 1 {
		return "1 signal"
	}
	return fmt.Sprintf("%d signals", n)
}

func local(t time.Time) string { return t.In(time.Local).Format(time.DateTime) } //nolint:gosmopolitan // as users type it
