// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// State says whether an incident goes on. Its values are those of kill.incident.state.
type State string

const (
	None   State = ""
	Open   State = "open"
	Closed State = "closed"
)

// Report is what is to be told of an incident. It stays as it is.
type Report struct {
	ID    string
	State State
	// MergedInto is the id of the incident in which this one goes on; empty if in none.
	MergedInto string   `json:",omitempty"`
	JoinedBy   []string `json:",omitempty"`
	Start, End time.Time
	// Hosts, Targets and Path are the first 100: names, processes on hosts, and where somebody came through.
	Hosts, Targets, Path   []string `json:",omitempty"`
	HostCount, TargetCount int
	// SignalCount is how many signals there were, Failed how many of them were refused, Doubtful of how many that is not known.
	SignalCount, Failed, Doubtful int64
	Exited, Killed                int
	CoreDumped, Survived          int
	Escalated                     int
	// By is the component of Kubernetes that says why; empty if none does.
	By string `json:",omitempty"`
	// Complete is false if counts are lower bounds.
	Complete bool
	// Inferred is true if who or what is behind it was not seen for all members.
	Inferred bool `json:",omitempty"`
	// Act is true if the user of some members has done something. Otherwise it is whose session, terminal or process it was.
	Act bool `json:",omitempty"`
	// First is true the first time that the incident is told.
	First bool `json:",omitempty"`

	// Shared is what all members have in common.
	Shared map[Field]string `json:",omitempty"`

	of       *incident
	revision uint64
}

// note notes that an incident has changed, if it has to be told.
func (t *Table) note(i *incident, changed bool) {
	t.store.change(i)
	if !changed {
		return
	}
	i.revision++
	if i.told.state == None && i.reportable(&t.config) {
		t.demand(i)
	}
}

// demand has an incident told.
func (t *Table) demand(i *incident) {
	if !i.told.due {
		i.told.due = true
		if t.gone > len(t.due)/2 {
			t.tidyDue()
		}
		t.due = append(t.due, i)
	}
}

// tidyDue removes from the list what is not due any more.
func (t *Table) tidyDue() {
	t.due = slices.DeleteFunc(t.due, func(i *incident) bool { return !i.told.due || i.told.final == nil && !t.present(i) })
	t.gone = 0
}

// finish has it told that a reported incident is over, though it is forgotten.
func (t *Table) finish(i, into *incident) {
	final := t.report(i)
	final.State = Closed
	if into != nil {
		final.MergedInto = into.name()
	}
	i.told.final = final
	t.demand(i)
}

// Tick closes what has been quiet for long enough, and forgets what is closed for long. Call it about once a second.
func (t *Table) Tick(now time.Time) {
	t.mature(now)
	t.podEvents.expire(now)
	for i := range t.all {
		if now.Before(i.arrived) { // the clock was set back
			i.arrived = now
		}
		quiet := now.Sub(i.arrived)
		switch {
		case i.closed && quiet > Retention && !i.told.due: // what nobody has taken yet stays
			t.drop(i, nil)
			continue
		case !i.closed && (quiet >= t.config.Gap || quiet >= t.calm() && t.passed(i)):
			t.settle(i)
			t.note(i, i.told.state != None || i.reportable(&t.config))
		}
		if t.overdue(i, now, quiet) {
			t.demand(i)
		}
	}
}

// overdue reports whether it is time to tell an incident again.
func (t *Table) overdue(i *incident, now time.Time, quiet time.Duration) bool {
	if i.told.state == None || i.told.revision == i.revision {
		return false
	}
	if i.closed {
		return i.told.state == Open || quiet >= t.calm()
	}
	return now.Before(i.told.at) || now.Sub(i.told.at) >= t.config.Interval
}

// calm is how long nothing must have joined an incident before it is closed on account of its members' time alone, or
// told again after it was closed.
func (t *Table) calm() time.Duration { return min(t.config.Gap, t.config.Interval) }

// passed reports whether all hosts of an incident have sent something that is too late for it.
func (t *Table) passed(i *incident) bool {
	over := i.end.Add(t.config.Gap)
	for _, h := range i.hosts {
		if !h.latest.After(over) {
			return false
		}
	}
	return len(i.hosts) > 0
}

// Reports returns what is to be told. It is returned again until Told says that it was taken.
func (t *Table) Reports() []*Report {
	reports := make([]*Report, 0, len(t.due))
	for _, i := range t.due {
		switch {
		case i.told.final != nil:
			reports = append(reports, i.told.final)
		case t.present(i):
			if !i.told.fixed {
				i.told.fixed = true
				t.store.change(i)
			}
			reports = append(reports, t.report(i))
		}
	}
	return reports
}

func (t *Table) present(i *incident) bool {
	_, present := t.all[i]
	return present
}

// End adds all that is held back by a time, and closes all that is open.
func (t *Table) End(now time.Time) {
	t.release(func(*held) bool { return true }, now)
	for i := range t.all {
		if !i.closed {
			t.settle(i)
			t.note(i, true)
		}
		if i.told.state != None && i.told.revision != i.revision {
			t.demand(i)
		}
	}
}

// Told says that reports of the last Reports were taken.
func (t *Table) Told(reports []*Report, now time.Time) {
	for _, r := range reports {
		i := r.of
		i.told.state, i.told.at, i.told.revision = r.State, now, r.revision
		t.store.change(i)
		i.told.due = false
		if i.told.final != nil {
			t.store.forget(i)
		}
	}
	t.tidyDue()
}

// report returns what is to be told of an incident as it is now.
func (t *Table) report(i *incident) *Report {
	state := Open
	if i.closed {
		state = Closed
	}
	r := &Report{
		ID: i.name(), State: state, Start: i.start, End: i.end, HostCount: len(i.hosts), TargetCount: i.processes,
		SignalCount: i.Signals, Failed: i.Failed, Doubtful: i.Doubtful, Exited: i.Exited, Killed: i.Killed, CoreDumped: i.Cored,
		Survived: i.Survived, Escalated: i.Escalated, Complete: !i.Incomplete, Inferred: i.Inferred, Act: i.Act,
		Targets: slices.Clone(i.listed), First: i.told.state == None, Shared: map[Field]string{}, of: i, revision: i.revision,
	}
	for _, h := range i.hosts[:min(len(i.hosts), maxListed)] {
		r.Hosts = append(r.Hosts, visible.Message(h.label()))
	}
	for f := range Fields {
		if attributes[f].local && len(i.hosts) != 1 {
			continue
		}
		if value := i.shared.of(f, i.processes+i.Loose); value != "" {
			r.Shared[f] = visible.Message(value)
		}
	}
	r.JoinedBy = i.joinedBy(r.Shared)
	r.blame(i)
	r.Path = t.path(i)
	return r
}

func (i *incident) name() string { return hex.EncodeToString(i.id[:]) }

// listed returns a target as reports list it.
func listed(of *target) string {
	name := of.name
	if name == "" {
		name = "?"
	}
	return visible.Message(visible.Cut(name, visible.NameLimit)) + "[" + number(of.pid) + "] on " + visible.Message(of.host.label())
}

// joinedBy returns by what the members have been joined, as far as all share that, and what else they share of it.
func (i *incident) joinedBy(shared map[Field]string) (by []string) {
	has := func(all ...Field) bool {
		return slices.ContainsFunc(all, func(f Field) bool { return shared[f] != "" })
	}
	sharing := map[string]bool{
		"requester": has(RequesterName, RequesterPath, RequesterPID),
		"initiator": has(InitiatorName, InitiatorPID),
		"user":      has(UserName, UserID),
		"client":    has(Client),
		"unit":      has(TargetUnit),
		"sender":    has(SenderName, SenderPath) && !has(RequesterName, RequesterPath) && i.joined&(1<<bySender|1<<byProgram) != 0,
		"cause":     has(Cause),
		"container": has(TargetContainer, TargetPodName) || i.joined&(1<<byOwner) != 0,
	}
	order := []string{"requester", "initiator", "user", "client", "unit", "sender", "cause", "container"}
	for _, name := range order {
		if sharing[name] {
			by = append(by, name)
		}
	}
	if len(by) > 0 {
		return by
	}
	for _, name := range order { // they are a chain of which no link goes through
		if slices.ContainsFunc(i.kinds(), func(k kind) bool { return names[k] == name }) {
			by = append(by, name)
		}
	}
	return by
}

// kinds returns by what members have joined.
func (i *incident) kinds() (all []kind) {
	for k := range kinds {
		if i.joined&(1<<k) != 0 {
			all = append(all, k)
		}
	}
	return all
}
