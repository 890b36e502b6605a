// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/outfile"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// maxRows is how many signals are listed: a browser shows a table of so many at once. The newest are kept.
	maxRows = 5000
	// maxNames bounds the names that are counted: processes choose their own.
	maxNames = 100_000
)

// ErrNothing is the error of a page without a signal.
var ErrNothing = errors.New("nothing to show")

var (
	//go:embed page.html
	markup string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// Config says what a page is about.
type Config struct {
	// Logs are the names of what was read, Version is that of this program, Made is when the page is made.
	Logs []string
	// SeveralLogs is true if they may be those of several hosts.
	SeveralLogs bool
	Version     string
	Made        time.Time
	// Location is the time zone of the times, Conceal says how command lines are shown.
	Location *time.Location
	Conceal  redact.Policy
}

// Page gathers signals for a page. It is not safe for concurrent use.
type Page struct {
	config Config
	// rows are a ring: the oldest is at next once there are maxRows.
	rows []row
	next int
	// signals counts all, listed or not, failed those that did not get through, and doubtful those of which nothing says whether they did.
	signals, failed, doubtful int
	// targets are processes, senders programs, as --by counts them.
	targets, senders map[string]bool
}

// row is a line of the table.
type row struct {
	// ID is the anchor of the row.
	ID                      string
	at                      time.Time
	Time, Stamp             string
	Signal, Target, Sender  string
	By, Why, Sentence, Host string
	Result                  string
	Failed, Doubtful, Fatal bool
	lane, program           string
	signals                 int
	// end is true if it tells how a process ended, which is no signal.
	end bool
}

// New returns an empty page.
func New(config Config) *Page {
	return &Page{config: config, targets: make(map[string]bool), senders: make(map[string]bool)}
}

// Check returns an error if a page cannot be saved as path, before a long log is read.
func Check(path string) error {
	if ending := strings.ToLower(filepath.Ext(path)); ending != ".html" && ending != ".htm" {
		return fmt.Errorf("cannot write %s: the name of a page ends in .html", path)
	}
	return outfile.Check(path)
}

// Add adds a signal, in any order of time.
func (p *Page) Add(e listing.Entry) {
	r := row{
		at: e.Event.Time, Time: e.Event.Time.In(p.config.Location).Format("2006-01-02 15:04:05.000"), Stamp: e.Event.Time.UTC().Format(time.RFC3339Nano),
		Signal: e.Signal(), Target: e.TargetProcess(), Sender: e.SenderProcess(), By: e.By(p.config.Conceal), Why: e.Cause(),
		Sentence: telemetry.Sentence(e.Event, e.Target, p.config.Conceal), Host: e.Event.Audit.Node, Result: e.Result(),
		Failed: e.Failed(), Doubtful: e.Doubtful(), Fatal: e.Fatal() && e.Event.Outcome == nil, lane: e.TargetName(), program: e.Program(), signals: e.Event.Signals(), end: e.Event.Outcome != nil,
	}
	if r.By == "" {
		r.By = e.Login()
	}
	if p.config.SeveralLogs {
		r.Host = e.Host()
	}
	r.Host = visible.Text(r.Host)
	if r.signals > 1 {
		r.Signal += fmt.Sprintf(" ×%d", r.signals)
	}
	if e.Event.Outcome == nil {
		p.count(&r)
	}
	if len(p.rows) < maxRows {
		p.rows = append(p.rows, r)
		return
	}
	p.rows[p.next] = r
	p.next = (p.next + 1) % maxRows
}

func (p *Page) count(r *row) {
	p.signals += r.signals
	if r.Failed {
		p.failed += r.signals
	}
	if r.Doubtful {
		p.doubtful += r.signals
	}
	if len(p.targets) < maxNames {
		p.targets[r.Target] = true
	}
	if len(p.senders) < maxNames {
		p.senders[r.program] = true
	}
}

// Save writes the page as path. What was there is replaced once the page is complete.
func (p *Page) Save(path string) error {
	if len(p.rows) == 0 {
		return ErrNothing
	}
	return outfile.Replace(path, p.Write)
}

// content is what the template shows.
type content struct {
	Config
	Style                     template.CSS
	Script                    template.JS
	Policy                    string
	Signals, Failed, Doubtful int
	Targets, Senders          int
	// More is true if there are more targets or senders than were counted.
	MoreTargets, MoreSenders bool
	First, Last, Zone        string
	Rows                     []row
	// Left is how many older signals are not listed.
	Left  int
	Lanes []Lane
}

// Write writes the page.
func (p *Page) Write(out io.Writer) error {
	rows := slices.Concat(p.rows[p.next:], p.rows[:p.next])
	slices.SortStableFunc(rows, func(a, b row) int { return a.at.Compare(b.at) })
	for i := range rows {
		rows[i].ID = fmt.Sprintf("s%d", i+1)
	}
	listed := 0
	for _, r := range rows {
		if !r.end {
			listed += r.signals
		}
	}
	first, last := rows[0].at.In(p.config.Location), rows[len(rows)-1].at.In(p.config.Location)
	hash := sha256.Sum256([]byte(script))
	zone := cmp.Or(last.Format("MST -07:00"), "")
	return page.Execute(out, content{
		Config: p.config, Style: template.CSS(style), Script: template.JS(script), //nolint:gosec // both are part of this program
		Policy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
			"'; base-uri 'none'; form-action 'none'",
		Signals: p.signals, Failed: p.failed, Doubtful: p.doubtful, Targets: len(p.targets), Senders: len(p.senders),
		MoreTargets: len(p.targets) == maxNames, MoreSenders: len(p.senders) == maxNames,
		First: first.Format(time.DateTime), Last: last.Format(time.DateTime), Zone: zone,
		Rows: rows, Left: max(0, p.signals-listed), Lanes: lanes(rows),
	})
}

// page is parsed once. It is part of the program, so that it always can be.
var page = template.Must(template.New("page").Parse(markup))
