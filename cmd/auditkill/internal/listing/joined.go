// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

const (
	// quiet is how long nothing must have come before rows are printed, so that a sweep, such as `pkill` or a control group
	// without memory, is one row; held is how long a row waits at most.
	quiet, held = 50 * time.Millisecond, time.Second
	// maxHeld is how many rows wait at a time.
	maxHeld = 1000
	// least is how many targets make one row of theirs: of fewer, the pids are worth more than a line.
	least = 3
	// maxResults is how many different results a row says.
	maxResults = 3
)

// joined is what an entry stands for that has several targets.
type joined struct {
	targets int
	// name is that of all targets; empty if they have different ones.
	name    string
	results []resultCount
	// longest is the latest outcome.
	longest *kill.Event
	// first are the entries of which there are too few for a row.
	first []Entry
}

// resultCount is how many targets have a result.
type resultCount struct {
	text  string
	count int
}

// likeness is what entries have in common that are one row.
type likeness struct {
	kind                                kill.Kind
	signal, sender, login, user, by, at string
	verdict                             kill.Verdict
	status                              int
	unsent, failed, idle                bool
	// other is who sent the last signal, if it was somebody else.
	other string
}

// Joined prints entries that differ only in their target as one, with counts: a signal to a group, or a sweep.
type Joined struct {
	to      Printer
	conceal redact.Policy

	// mutex is held by who prints: entries come in one goroutine, time passes in another.
	mutex sync.Mutex
	rows  []*Entry
	alike map[likeness]*Entry
	first time.Time
	timer *time.Timer
	err   error
}

// NewJoined returns a printer that joins what it passes on.
func NewJoined(to Printer, conceal redact.Policy) *Joined {
	return &Joined{to: to, conceal: conceal, alike: map[likeness]*Entry{}}
}

// Begin implements Printer.
func (j *Joined) Begin() error { return j.to.Begin() }

// Print implements Printer. An error may be that of an earlier entry.
func (j *Joined) Print(e Entry) error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if len(j.rows) == 0 {
		j.first = time.Now()
	}
	if alike := j.alike[j.likenessOf(e)]; alike != nil && e.joins() {
		alike.join(e)
	} else {
		j.rows = append(j.rows, &e)
		if e.joins() {
			j.alike[j.likenessOf(e)] = &e
		}
	}
	left := held - time.Since(j.first)
	if left <= 0 || len(j.rows) >= maxHeld {
		return j.flush()
	}
	if j.timer == nil {
		j.timer = time.AfterFunc(min(quiet, left), j.pass)
	} else {
		j.timer.Reset(min(quiet, left))
	}
	return j.err
}

// Flush implements Printer.
func (j *Joined) Flush() error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.timer != nil {
		j.timer.Stop()
	}
	return j.flush()
}

// pass prints what has waited for long enough.
func (j *Joined) pass() {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	_ = j.flush() // the next call returns the error
}

func (j *Joined) flush() error {
	for _, row := range j.rows {
		all := []Entry{*row}
		if row.joined != nil && row.joined.targets < least {
			all = row.joined.first
		}
		for _, e := range all {
			if j.err == nil {
				j.err = j.to.Print(e)
			}
		}
	}
	if j.err == nil {
		j.err = j.to.Flush()
	}
	j.rows = nil
	clear(j.alike)
	return j.err
}

// joins reports whether an entry can be one of several: it has a target, and stands for one signal.
func (e Entry) joins() bool { return e.Target != nil && e.Event.Count <= 1 }

func (j *Joined) likenessOf(e Entry) likeness {
	l := likeness{
		kind: e.Event.Kind, signal: e.Signal(), sender: e.SenderProcess(), login: e.Login(), user: e.User(), by: e.By(j.conceal),
		at: e.Host(), failed: e.Failed(),
	}
	if o := e.Event.Outcome; o != nil {
		l.verdict, l.status, l.unsent, l.idle, l.other = o.Verdict, o.Exit.Status, o.Unsent, hadNoEffect(o), finisher(e.Event)
	}
	return l
}

// join adds an entry that is alike.
func (e *Entry) join(other Entry) {
	if e.joined == nil {
		first := *e
		e.joined = &joined{name: first.TargetName(), longest: first.Event}
		e.joined.add(first)
	}
	e.joined.add(other)
}

func (j *joined) add(e Entry) {
	j.targets++
	if j.targets < least {
		j.first = append(j.first, e)
	}
	if j.name != e.TargetName() {
		j.name = ""
	}
	if o := e.Event.Outcome; o != nil {
		if e.Event.Time.Sub(o.Began) > j.longest.Time.Sub(j.longest.Outcome.Began) {
			j.longest = e.Event
		}
		return
	}
	text := e.Result()
	at := slices.IndexFunc(j.results, func(r resultCount) bool { return r.text == text })
	switch {
	case at >= 0:
		j.results[at].count++
	case len(j.results) < maxResults:
		j.results = append(j.results, resultCount{text, 1})
	default:
		j.results[maxResults-1].text = "others"
		j.results[maxResults-1].count++
	}
}

// target is "mysqld ×41", or "41 processes".
func (j *joined) target() string {
	if j.name == "" {
		return strconv.Itoa(j.targets) + " processes"
	}
	return j.name + " ×" + strconv.Itoa(j.targets)
}

// result is "ok", "40 ok, 1 ESRCH", or of outcomes that of the last one: "gone within 3.2 s, by SIGKILL".
func (j *joined) result() string {
	if o := j.longest.Outcome; o != nil {
		text := outcomeOf(j.longest)
		if took, rest, found := strings.Cut(text, "gone after "); found && took == "" {
			return "gone within " + rest
		}
		return text
	}
	if len(j.results) == 1 {
		return j.results[0].text
	}
	var all []string
	for _, r := range j.results {
		all = append(all, fmt.Sprint(r.count, " ", r.text))
	}
	return strings.Join(all, ", ")
}
