// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package incidents joins the signals of a log to incidents, as the connector kill_incident does with those of a fleet, and
// writes them, one row each, as a table, JSON or CSV.
package incidents

import (
	"cmp"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/incidentlog"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// config is that of the connector by default, but for single signals: they are rows as well, so that a report hides nothing.
var config = incident.Config{
	Gap: 30 * time.Second, MaxDuration: 30 * time.Minute, Interval: 10 * time.Second, MinTargets: 0, MaxOpen: 10_000, MaxMembers: 10_000,
}

// maxHeld is how many incidents wait for what may still join them, some 20 MB. Beyond it the oldest are not waited for.
const maxHeld = 20_000

// Incidents joins signals that come in the order of time.
type Incidents struct {
	table *incident.Table
	logs  *telemetry.Logs
	host  string
	// conceal says how much of command lines may be shown.
	conceal redact.Policy
	// now is the time of the latest signal, ticked when the table was last told of it.
	now, ticked time.Time
	// held has the last report of incidents that something may still join.
	held map[string]*incident.Report
	// untold is how many signals have come since the table has told its incidents: it must not give up any before.
	untold, ignored int
}

// New returns an Incidents without any. host is where signals are from whose log does not say it.
func New(records telemetry.Config, host string) *Incidents {
	return &Incidents{
		table: incident.NewTable(config), logs: telemetry.NewLogs(records), host: host, conceal: records.CommandLine,
		held: map[string]*incident.Report{},
	}
}

// Add adds a signal or an outcome, and returns the incidents that nothing more can join, the oldest first.
func (i *Incidents) Add(e listing.Entry) []*incident.Report {
	if e.Record != nil {
		i.logs.AppendRecord(listing.Concealed(e, i.conceal))
	} else {
		i.logs.Append(e.Event, e.Target, e.Event.Time)
	}
	if e.Event.Time.After(i.now) {
		i.now = e.Event.Time
	}
	host := cmp.Or(e.Host(), i.host)
	from := incidentlog.Host{ID: host, Name: host}
	var record incident.Record
	for _, log := range i.logs.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		if incidentlog.Read(log, &from, &record, i.now) {
			record.HostID, record.HostName = host, host // also that of a log that names its host
			if i.table.Add(&record, i.now) == incident.Ignored {
				i.ignored++
			}
		}
	}
	i.untold++
	late := i.now.Sub(i.ticked) >= config.Interval
	if !late && i.untold < config.MaxOpen/2 {
		return nil
	}
	if late {
		i.ticked = i.now
		i.table.Tick(i.now)
	}
	i.hold()
	return i.release(i.now.Add(-config.MaxDuration - config.Gap))
}

// Ignored returns how many signals are in no incident: signal 0 only asks whether a process exists.
func (i *Incidents) Ignored() int { return i.ignored }

// End returns all other incidents, the oldest first.
func (i *Incidents) End() []*incident.Report {
	i.table.End(i.now)
	i.hold()
	return i.release(time.Time{})
}

// hold keeps the last report of each incident.
func (i *Incidents) hold() {
	i.untold = 0
	reports := i.table.Reports()
	for _, r := range reports {
		if r.MergedInto != "" {
			delete(i.held, r.ID)
		} else {
			i.held[r.ID] = r
		}
	}
	i.table.Told(reports, i.now)
}

// release returns the incidents that began before a time, or all, and the oldest if too many are held.
func (i *Incidents) release(before time.Time) []*incident.Report {
	var all []*incident.Report
	for _, r := range i.held {
		if before.IsZero() || len(i.held) > maxHeld || r.Start.Before(before) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *incident.Report) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	if len(i.held) > maxHeld {
		all = all[:len(all)/2]
	}
	for _, r := range all {
		delete(i.held, r.ID)
	}
	return all
}
