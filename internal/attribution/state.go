// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"cmp"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// unit is what a manager has said about one of its units.
type unit struct {
	name string
	// jobs are the latest, oldest first.
	jobs []*job
	// stopped is when it had last stopped, as an audit record says.
	stopped time.Time
	// state is the latest, before the active state before that.
	state  Unit
	before string
	// failed is the latest Result other than success, failedAt its time, failedFrom the active state in which
	// the unit was then, and failedIn the state that it entered.
	failed, failedFrom, failedIn string
	failedAt                     time.Time
	// left is when it last left the active state, entered when it last began to be active.
	left, entered time.Time
	touch         time.Time
	// heard counts what was told of it.
	heard uint64
}

// job is something that a manager does to a unit.
type job struct {
	Job
	// ended is when it was done; zero if it is not. presumed is true if only what came later shows that it is.
	ended    time.Time
	presumed bool
	// asked is who has asked for it, once that is known.
	asked *request
}

// learnJob notes what is told of a job. Its type may be told later than the job, as it has to be asked for.
func (u *unit) learnJob(j *Job) {
	for _, known := range u.jobs {
		if known.ID != j.ID || !known.ended.IsZero() && !known.presumed {
			continue
		}
		if known.Type == "" {
			known.Type = j.Type
		}
		switch {
		case j.Done:
			known.ended, known.presumed, known.Result = j.Time, false, j.Result
		case known == u.jobs[len(u.jobs)-1]:
			known.ended, known.presumed = time.Time{}, false // it is still under way
		}
		return
	}
	if j.Done {
		return
	}
	u.endJobs(j.Time, func(*job) bool { return true }) // a unit has one at a time
	if len(u.jobs) >= maxJobs {
		u.jobs = slices.Delete(u.jobs, 0, 1)
	}
	u.jobs = append(u.jobs, &job{Job: *j})
}

// endJobs ends the jobs of a unit that are said to be under way, but cannot be.
func (u *unit) endJobs(at time.Time, ended func(*job) bool) {
	for _, j := range u.jobs {
		if j.ended.IsZero() && ended(j) {
			j.ended, j.presumed = at, true
		}
	}
}

func (t *Table) learnUnit(x *Unit) {
	m := t.managerOf(hostFor0(x.Manager))
	m.told = true
	t.locate(m)
	m.unitOf(x.Name, x.Time, len(t.managers)).learnState(x)
}

// learnState notes the state that a unit has entered. What is not told is as it was.
func (u *unit) learnState(x *Unit) {
	last := u.state
	u.state = *x
	u.complete(&last)
	if active := u.state.Active; active != last.Active {
		u.before = last.Active
		u.endJobs(x.Time, func(j *job) bool { return !j.Time.After(x.Time) && j.endsWith(last.Active, active) })
		switch {
		case active == "active" || active == "activating":
			if last.Active != "active" && last.Active != "activating" {
				u.entered = x.Time
			}
		case last.Active == "active", last.Active == "":
			u.left = x.Time
		}
	}
	if x.Result != "" && x.Result != "success" && (x.Result != last.Result || u.entered.After(u.failedAt)) {
		u.failed, u.failedAt, u.failedIn, u.failedFrom = x.Result, x.Time, u.state.Sub, last.Active
		if last.Active == "deactivating" || last.Active == u.state.Active {
			u.failedFrom = u.before
		}
	}
}

// endsWith reports whether a job is done once its unit has entered an active state from another one.
func (j *job) endsWith(from, active string) bool {
	switch active {
	case "inactive", "failed":
		return j.Type == "stop"
	case "active":
		return j.Type != "stop" && j.Type != "" && from != ""
	}
	return false
}

// complete adds to the state what was told before.
func (u *unit) complete(last *Unit) {
	if u.state.Active == "" {
		u.state.Active, u.state.Sub = last.Active, last.Sub
	}
	if u.state.Result == "" {
		u.state.Result = last.Result
	}
	if u.state.Names == nil {
		u.state.Names = last.Names
	}
	if u.state.Bases == nil {
		u.state.Bases = last.Bases
	}
	if u.state.Rivals == nil {
		u.state.Rivals = last.Rivals
	}
	u.state.StopTimeout = cmp.Or(u.state.StopTimeout, last.StopTimeout)
	u.state.StartTimeout = cmp.Or(u.state.StartTimeout, last.StartTimeout)
	u.state.RuntimeLimit = cmp.Or(u.state.RuntimeLimit, last.RuntimeLimit)
	u.state.Watchdog = cmp.Or(u.state.Watchdog, last.Watchdog)
}

// failure returns the result of a unit that explains a signal at a time; empty if it has not failed by then, or
// since it was started again.
func (u *unit) failure(at time.Time) string {
	if u.failed == "" || u.entered.After(u.failedAt) && !at.Before(u.entered) {
		return ""
	}
	return u.failed
}

// jobFor returns the job that a signal to the unit belongs to; nil if none was under way. A manager does one
// thing after the other to a unit, and reports its jobs late: so it is the first that had not ended. A process
// that came later than a job is not what the job has ended, unless no other one has.
func (u *unit) jobFor(e *kill.Event) *job {
	var born time.Time
	if len(e.Targets) > 0 && e.Targets[0].Instance != nil {
		born = e.Targets[0].Instance.Start
	}
	var first *job
	for _, j := range u.jobs {
		if !j.ended.IsZero() && j.ended.Before(e.Time) || j.Time.Sub(e.Time) >= jobLag {
			continue
		}
		if !j.Time.Before(born) {
			return j
		}
		if first == nil {
			first = j
		}
	}
	return first
}

// together returns the job of the unit that has come together with that of another one; nil if there is none. The
// jobs of one transaction have numbers in a row.
func (u *unit) together(other *job) *job {
	var nearest *job
	for _, j := range u.jobs {
		if j.Time.Sub(other.Time).Abs() < sameTransaction && (nearest == nil || apart(j, other) < apart(nearest, other)) {
			nearest = j
		}
	}
	return nearest
}

// apart returns how far the numbers of two jobs are apart.
func apart(a, b *job) uint32 { return max(a.ID, b.ID) - min(a.ID, b.ID) }

// others reports whether a signal is to another process than the main one.
func (u *unit) others(e *kill.Event) bool {
	return u.state.Main != 0 && len(e.Targets) > 0 && e.Targets[0].PID != u.state.Main
}

// namedBy reports whether somebody asks for something about a unit, by one of its names.
func (u *unit) namedBy(a *ask) bool {
	return a.names(u.name) || slices.ContainsFunc(u.state.Names, a.names)
}

// limit returns the limit of a unit that a cause is about; 0 if it is about none, or if that is not known.
func (u *unit) limit(cause kill.Cause) time.Duration {
	switch cause {
	case kill.CauseStopTimeout:
		return u.state.StopTimeout
	case kill.CauseStartTimeout:
		return u.state.StartTimeout
	case kill.CauseRuntimeLimit:
		return u.state.RuntimeLimit
	case kill.CauseWatchdog:
		return u.state.Watchdog
	}
	return 0
}
