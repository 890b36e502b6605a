// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// fits is how well a request fits a job, the better the greater.
type fits uint8

const (
	fitsNot fits = iota
	// fitsAlone is one that may be it if there is no other.
	fitsAlone
	// fitsOther names another unit, which this one depends on.
	fitsOther
	// fitsUnit names the unit.
	fitsUnit
	// fitsCall is one that was seen.
	fitsCall
)

// fit returns how well a request fits what a manager does to a unit.
func (m *managed) fit(r *request, u *unit, j *job, e *kill.Event) fits {
	if r.Requester.Command == "" {
		return fitsNot
	}
	how := m.fitNew(r, u, j, e)
	if how == fitsNot {
		return fitsNot
	}
	if served, ok := r.served.job(r, u.name); ok && (j == nil || served != j.ID) {
		return fitsNot // that was for an earlier one
	}
	if j != nil && u.hadBefore(j, r) {
		return fitsNot
	}
	if proxies[r.Requester.Executable] {
		return fitsAlone // somebody has asked it
	}
	return how
}

// proxies are programs that ask systemd for what somebody asks them for.
var proxies = map[string]bool{"/usr/lib/systemd/systemd-machined": true, "/lib/systemd/systemd-machined": true}

// hadBefore reports whether a request was for an earlier job than this one: for one that has sent no signal, as the unit was not active, of
// which nobody else is known to have asked for it.
func (u *unit) hadBefore(j *job, r *request) bool {
	if r.Call != nil && r.Call.Job != 0 {
		return false
	}
	return slices.ContainsFunc(u.jobs, func(earlier *job) bool {
		return earlier.Time.Before(j.Time) && earlier.ID != j.ID && !earlier.Time.Before(r.Time) && ofSameKind(r.ask.verb, earlier.Type) &&
			(earlier.asked == nil || earlier.asked.sameProcess(r))
	})
}

// fitNew returns the same of a request that explains nothing yet.
func (m *managed) fitNew(r *request, u *unit, j *job, e *kill.Event) fits {
	if r.Call != nil && r.Call.Job != 0 {
		return m.fitJob(r, u, j)
	}
	v := r.ask.verb
	switch {
	case v == verbUnknown:
		if r.Call == nil && j != nil && !r.recorded && j.Time.Sub(r.Time) < strangerWindow && !m.monitored && !letsIn(&r.Requester) {
			return fitsAlone
		}
		return fitsNot
	case v == verbShutdown:
		if m.ending(e.Time) {
			return seen(r, fitsUnit)
		}
		return fitsNot
	case e.Cause == kill.CauseShutdown:
		return fitsNot
	case v == verbKill:
		if j == nil && r.sends(e.Signal) && u.namedBy(&r.ask) && !cameLater(e, r) {
			return seen(r, fitsUnit)
		}
		return fitsNot
	case j == nil && m.told:
		return fitsNot // nobody has asked for a job
	case j == nil && v == verbReload && e.Signal != kill.SIGHUP:
		return fitsNot // such as of a watchdog
	case j == nil && r.ask.marked && e.Signal != kill.SIGTERM && e.Signal != kill.SIGHUP:
		return fitsNot
	}
	if r.ask.marked || u.namedBy(&r.ask) {
		if j != nil && !ofSameKind(v, j.Type) {
			return fitsNot
		}
		return seen(r, fitsUnit)
	}
	if other, _ := m.basis(r, u, j); other != nil {
		return fitsOther
	}
	return fitsNot
}

// cameLater reports whether the first target of an event was not there yet when somebody asked for a signal, which is sent at once.
func cameLater(e *kill.Event, r *request) bool {
	return len(e.Targets) > 0 && e.Targets[0].Instance != nil && e.Targets[0].Instance.Start.Sub(r.Time) > callLag
}

// letsIn reports whether a program lets people in, or gives them the right of others: it connects to the bus to tell
// logind of that (pam_systemd(8)).
func letsIn(p *kill.Process) bool {
	return entries[p.Command] || relays[p.Command] || p.Command == "polkitd"
}

// basis returns the unit that a request names, and its job, because of which a manager does something to another
// unit; nil if there is none.
func (m *managed) basis(r *request, u *unit, j *job) (*unit, *job) {
	if j == nil {
		return nil, nil
	}
	for i := range r.ask.about {
		other := m.units[r.ask.unit(i)]
		if other == nil {
			continue
		}
		of := other.together(j)
		if of == nil || !m.stops(u, other, j, r.ask.verb, of.Type) {
			continue
		}
		if served, ok := r.served.job(r, other.name); !ok || served == of.ID {
			return other, of
		}
	}
	return nil, nil
}

// stops reports whether a unit is stopped because somebody asks for another one, which has a job of a type of its own.
func (m *managed) stops(u, other *unit, j *job, v verb, kind string) bool {
	if (v == verbStart || v == verbRestart) && (kind == "start" || kind == "") {
		if m.reaches(u, j, func(x *unit) bool { return slices.Contains(x.state.Rivals, other.name) }) {
			return true
		}
	}
	if v == verbIsolate {
		return j.Type == "stop" && (kind == "start" || kind == "")
	}
	return ofSameKind(v, kind) && m.reaches(u, j, func(x *unit) bool { return slices.Contains(x.state.Bases, other.name) })
}

// reaches reports whether something stops a unit, or one that it depends on, which has a job as well.
func (m *managed) reaches(u *unit, j *job, stops func(*unit) bool) bool {
	return stops(u) || slices.ContainsFunc(u.state.Bases, func(name string) bool {
		between := m.units[name]
		return between != nil && between.together(j) != nil && stops(between)
	})
}

// fitJob returns how well a request fits a job if it is known which job came of it.
func (m *managed) fitJob(r *request, u *unit, j *job) fits {
	if j == nil {
		return fitsNot
	}
	if j.ID == r.Call.Job {
		return fitsCall
	}
	if _, of := m.basis(r, u, j); of != nil && of.ID == r.Call.Job {
		return fitsOther
	}
	return fitsNot
}

// seen returns that a request fits, and better than all others if it was seen itself.
func seen(r *request, how fits) fits {
	if r.Call != nil {
		return fitsCall
	}
	return how
}

// ofSameKind reports whether a job can be what somebody has asked for.
func ofSameKind(v verb, job string) bool {
	switch job {
	case "":
		return v != verbStart && v != verbIsolate
	case "stop":
		return v == verbStop
	case "restart", "try-restart", "start", "reload-or-start":
		return v == verbRestart || v == verbReload
	case "reload":
		return v == verbReload || v == verbRestart
	}
	return false
}
