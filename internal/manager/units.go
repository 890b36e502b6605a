// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/dbus"
)

const (
	// maxUnits is how many units of the host's systemd are remembered, maxNames how many names of one, and of
	// those that it depends on; maxNamesLength is how long these are together.
	maxUnits       = 4096
	maxNames       = 64
	maxNamesLength = 4096
	// maxUnitsOfOther is how many units of a systemd other than the host's are remembered, if its share of maxUnitsOfOthers, which
	// all of these have together, is no smaller; maxNamesLengthOfOther is as maxNamesLength. Anybody may run some systemds,
	// and invent what he likes: here, and with others' units in the table of attribution, which has as many.
	maxUnitsOfOther       = 512
	maxUnitsOfOthers      = 8192
	maxNamesLengthOfOther = 512
)

// textSize is how many bytes a text takes beside its own.
const textSize = 16

// unitInterfaces are those whose properties say what becomes of a unit. All units have the first one.
var unitInterfaces = []string{
	systemdName + ".Unit", systemdName + ".Service", systemdName + ".Scope", systemdName + ".Socket",
	systemdName + ".Mount", systemdName + ".Swap",
}

// units makes facts of the states of a systemd's units. It belongs to the goroutine that serves the connection.
type units struct {
	*link
	jobs  *jobs
	known map[string]*unit
}

// unit is what is known about a unit.
type unit struct {
	attribution.Unit
	// mainInner is the pid of the main process as the systemd names it; 0 if it is not known.
	mainInner int
	// told is the Result that was told last, which Unit may be ahead of.
	told string
	// asked are the properties that systemd was asked for, unanswered how many it has not answered yet.
	asked      map[string]bool
	unanswered int
}

func newUnits(l *link) *units {
	u := &units{link: l, known: make(map[string]*unit)}
	u.jobs = &jobs{link: l, units: u, known: make(map[uint32]*job), current: make(map[string]*job)}
	return u
}

// changed tells the state that a unit has entered. systemd sends the properties of a service just before those
// that all units have.
func (u *units) changed(path string, b *dbus.Body) {
	name := unitOfPath(path)
	if name == "" || !hasProcesses(name) {
		return
	}
	of, now := b.Text(), time.Now()
	at := u.remember(name)
	next := at.Unit
	next.Time = now
	b.Properties(func(property string, v dbus.Value) {
		switch property {
		case "ActiveState":
			next.Active = word(v.Text)
		case "SubState":
			next.Sub = word(v.Text)
		case "Result":
			next.Result = word(v.Text)
		case "StateChangeTimestamp":
			next.Time = past(v.Number, now)
		case "ExecMainPID": // of the last main process, once that has ended
			if inner := int(v.Number); inner != at.mainInner {
				at.mainInner, next.Main = inner, u.watcher.pids.outer(u.of, inner)
			}
		case "ExecMainExitTimestamp":
			next.MainExit = time.Time{}
			if v.Number != 0 { // else it runs
				next.MainExit = past(v.Number, now)
			}
		}
	})
	if b.Failed() {
		return
	}
	if of != unitInterfaces[0] {
		at.Result, at.Main, at.MainExit = next.Result, next.Main, next.MainExit
		return
	}
	if next.Active != at.Active || next.Sub != at.Sub || next.Result != at.told {
		if next.Active != at.Active {
			u.jobs.entered(name, next.Active)
		}
		at.Unit, at.told = next, next.Result
		u.tellUnit(at)
		u.askRelations(path, at)
		u.askLimits(path, at)
	}
}

// tellUnit tells what is known about a unit. The names that others have been told of are kept there, and only there: they are
// long, and told once.
func (u *units) tellUnit(at *unit) {
	fact := at.Unit
	if u.others {
		at.Names, at.Bases, at.Rivals = nil, nil, nil
	}
	u.watcher.tell(attribution.Fact{Unit: &fact})
}

// remember returns what is known about a unit.
func (u *units) remember(name string) *unit {
	if at := u.known[name]; at != nil {
		return at
	}
	limit := u.maxUnits()
	for other := range u.known { // any will do: what is needed of it will be told again
		if len(u.known) < limit { // which is less now if there are more systemds
			break
		}
		delete(u.known, other)
	}
	at := &unit{Unit: attribution.Unit{Manager: u.of.pid, Name: name}}
	u.known[name] = at
	return at
}

// maxUnits returns how many units are remembered.
func (u *units) maxUnits() int {
	if !u.others {
		return maxUnits
	}
	return min(maxUnitsOfOther, maxUnitsOfOthers/u.watcher.others())
}

// forget forgets all units, whose limits may be others after their files were read again.
func (u *units) forget() { clear(u.known) }

// askLimits asks for the limits that a unit has exceeded, or will exceed next. They are told once they are known.
func (u *units) askLimits(path string, at *unit) {
	kind := ""
	switch at.Name[strings.LastIndexByte(at.Name, '.')+1:] {
	case "service":
		kind = systemdName + ".Service"
	case "scope":
		kind = systemdName + ".Scope"
	default:
		return
	}
	for _, name := range limitsOf(&at.Unit, kind) {
		u.askOnce(path, at, kind, name, func(b *dbus.Body) { at.limit(name, duration(b.Value().Number)) })
	}
}

// bases are the properties with the units whose stop stops a unit, rivals those with the units whose start does
// (systemd.unit(5)).
var (
	bases  = []string{"Requires", "Requisite", "BindsTo", "PartOf", "StopPropagatedFrom"}
	rivals = []string{"Conflicts", "ConflictedBy"}
)

// askRelations asks for what may have been named instead of a unit that has ended: its other names, and the units
// because of which it is stopped. One call for all properties costs less than one for each of these.
func (u *units) askRelations(path string, at *unit) {
	if at.Active == stateActive || at.Active == stateActivating {
		return
	}
	const all = "relations"
	if at.awaits(all) {
		return
	}
	u.ask(&dbus.Call{
		Destination: systemdName, Path: path, Interface: properties, Member: "GetAll", Arguments: []any{unitInterfaces[0]},
	}, func(b *dbus.Body) {
		var names, others, excluded []string
		b.Each(func() {
			switch name := b.Text(); {
			case name == "Names":
				names = append(names, b.Texts(maxNames)...)
			case slices.Contains(bases, name):
				others = append(others, b.Texts(maxNames)...)
			case slices.Contains(rivals, name):
				excluded = append(excluded, b.Texts(maxNames)...)
			}
		})
		longest := maxNamesLength
		if u.others {
			longest = maxNamesLengthOfOther
		}
		at.Names, at.Bases, at.Rivals = valid(names, longest), valid(others, longest), valid(excluded, longest)
		u.answered(at)
	})
}

// valid returns those of some texts that may be names of units, sorted, but not too many, and together no longer than longest
// with what each takes. Facts share the list, so it is never changed.
func valid(texts []string, longest int) []string {
	var names []string
	length := 0
	for _, text := range texts {
		name := unitName(text)
		if name == "" || len(names) == maxNames || length+len(name)+textSize > longest {
			continue
		}
		names = append(names, name)
		length += len(name) + textSize
	}
	slices.Sort(names)
	return names
}

// askOnce asks for a property of a unit, unless that was done before. Once all is known that was asked for, it is told.
func (u *units) askOnce(path string, at *unit, of, name string, take func(*dbus.Body)) {
	if at.awaits(name) {
		return
	}
	u.get(path, of, name, func(b *dbus.Body) {
		take(b)
		u.answered(at)
	})
}

// awaits reports whether something was asked for already. If not, it is from now on.
func (at *unit) awaits(name string) bool {
	if at.asked[name] {
		return true
	}
	if at.asked == nil {
		at.asked = make(map[string]bool)
	}
	at.asked[name] = true
	at.unanswered++
	return false
}

// answered tells a unit once all is known that was asked for.
func (u *units) answered(at *unit) {
	at.unanswered--
	if at.unanswered == 0 && u.known[at.Name] == at {
		u.tellUnit(at)
	}
}

// limitsOf returns the properties with the limits that matter in the state that a unit is in.
func limitsOf(at *attribution.Unit, kind string) []string {
	service := kind == systemdName+".Service"
	switch {
	case at.Result == "watchdog" && service:
		return []string{"WatchdogUSec", "TimeoutStopUSec"}
	case at.Result == "timeout" && service:
		return []string{"TimeoutStopUSec", "TimeoutStartUSec", "RuntimeMaxUSec"}
	case at.Result == "timeout":
		return []string{"TimeoutStopUSec", "RuntimeMaxUSec"}
	case at.Active == "deactivating":
		return []string{"TimeoutStopUSec"}
	}
	return nil
}

func (at *unit) limit(name string, d time.Duration) {
	switch name {
	case "TimeoutStopUSec":
		at.StopTimeout = d
	case "TimeoutStartUSec":
		at.StartTimeout = d
	case "RuntimeMaxUSec":
		at.RuntimeLimit = d
	case "WatchdogUSec":
		at.Watchdog = d
	}
}

// duration returns a time in microseconds; 0 if it is infinite.
func duration(microseconds uint64) time.Duration {
	if microseconds > math.MaxInt64/uint64(time.Microsecond) {
		return 0
	}
	return time.Duration(microseconds) * time.Microsecond
}
