// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"cmp"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// requestWindow is how long before a job, or before a signal without one, its request may have come:
	// a manager may be busy.
	requestWindow = 2 * time.Second
	// jobLag is how much later than its signals a manager may report the job: it reports when it has
	// nothing else to do.
	jobLag = 500 * time.Millisecond
	// restartLag is how much later than a signal a job is reported at least that came after it: at least half of the time
	// after which systemd starts a service again.
	restartLag = 50 * time.Millisecond
	// shutdownWindow is how long before a shutdown somebody may have asked for it: logind waits for who has
	// asked for a delay (logind.conf(5), InhibitDelayMaxSec).
	shutdownWindow = 10 * time.Second
	// longestShutdown is how long a shutdown takes at most: a system that lives on was not shut down.
	longestShutdown = time.Hour
	// callLag is how much later than it was made a call on a bus may be noticed.
	callLag = 50 * time.Millisecond
	// strangerWindow is how long before a job a program may have connected of which nobody knows what it
	// asks for.
	strangerWindow = 100 * time.Millisecond
	// shortestTimeout is how long a manager waits at least before it kills what does not stop, if it does not
	// kill it at once.
	shortestTimeout = time.Second
	// leftFor is how long after its end what a session leaves behind is killed for that.
	leftFor = 10 * time.Second
	// sameTransaction is within which time the jobs come that belong together.
	sameTransaction = 200 * time.Millisecond
)

// explainUnit explains a signal of a systemd, or of a process that carries out a job of one.
func (t *Table) explainUnit(e *kill.Event, m *managed) (settled bool) {
	b := &kill.Behind{Managed: true}
	e.Behind = b
	name := t.unitOfTarget(e, m)
	if name == "" {
		return t.explainUnknownUnit(e, m)
	}
	b.Unit = name
	u := m.units[name]
	if u == nil {
		u = &unit{name: name}
	}
	j := u.jobFor(e)
	cause, certain := m.causeOf(u, j, e)
	late := t.tooLate(e)
	if late && !m.told {
		cause = kill.CauseStopTimeout
	}
	e.Cause, b.Limit = cause, u.limit(cause)
	var by *request
	switch {
	case cause == kill.CauseSessionEnd:
		t.explainSession(e, m, u)
	case m.personal && (cause == kill.CauseShutdown || cause == kill.CauseNone && !m.told):
		by, certain = t.explainPersonalEnd(e, m, u, j)
	case cause == kill.CauseNone && m.ofSystem() && endsLogin(u.name):
		if by = t.explainKilledSession(e, m, u); by == nil {
			by = t.findRequester(e, m, u, j)
		}
	case asksFirst(cause):
		by = t.findRequester(e, m, u, j)
	case cause == kill.CauseStopTimeout && (j != nil || !m.told):
		by = t.findRequester(e, m, u, j) // of the stop that took too long
		e.Cause = cause
	}
	if e.Signal.Fatal() && (by == nil || by.goesOn()) {
		t.remember(e, nil)
	}
	if e.Cause.Managed() && b.Evidence == "" {
		b.Evidence = kill.EvidenceInferred
		if certain {
			b.Evidence = kill.EvidenceObserved
		}
	}
	if !m.told {
		return !m.recorded || b.Requester != nil
	}
	switch {
	case limited(cause) && b.Limit == 0, // it is asked for
		late && cause != kill.CauseStopTimeout, // it may be, and the manager says so a moment later
		m.monitored && by != nil && by.onBus(): // the call may still be told
		return false
	}
	return certain && (b.Requester != nil || !asksFirst(cause) && e.Cause != kill.CauseSessionEnd)
}

// unitOfTarget returns the unit that the target belongs to; empty if that is not known. Without its control
// group, it is the one that an audit record says was stopped, if there is only one.
func (t *Table) unitOfTarget(e *kill.Event, m *managed) string {
	if len(e.Targets) == 0 {
		return ""
	}
	if cgroup := cgroupOf(&e.Targets[0]); cgroup != "" {
		return m.unitIn(cgroup)
	}
	var only string
	for name, u := range m.units {
		if u.stopped.Before(e.Time) || u.stopped.Sub(e.Time) > requestWindow {
			continue
		}
		if only != "" {
			return ""
		}
		only = name
	}
	return only
}

// explainUnknownUnit explains a signal to a process of which no unit is known: only the audit records of
// another host tell of it.
func (t *Table) explainUnknownUnit(e *kill.Event, m *managed) (settled bool) {
	if len(e.Targets) == 0 {
		return true
	}
	if cgroup := cgroupOf(&e.Targets[0]); cgroup != "" { // it is none of the manager's
		if !within(cgroup, m.root) {
			e.Behind = t.direct(e)
		}
		return true
	}
	b, p := e.Behind, &e.Targets[0]
	if l := t.logins[loginKey{0, idOf(p.Session)}]; l != nil && m.ofSystem() && !l.ended.IsZero() && !l.ended.After(e.Time) &&
		e.Time.Sub(l.ended) <= leftFor {
		e.Cause, b.Evidence = kill.CauseSessionEnd, kill.EvidenceInferred
		b.Session, b.User = &l.Session, l.User
		b.User.Name = cmp.Or(b.User.Name, l.Session.UserName)
		return true
	}
	switch {
	case t.tooLate(e):
		e.Cause, b.Evidence = kill.CauseStopTimeout, kill.EvidenceInferred
		if r := t.goingOn(e); r != nil {
			t.ask(b, r)
		}
	case m.ending(e.Time):
		e.Cause, b.Evidence = kill.CauseShutdown, kill.EvidenceObserved
	case e.Signal.Fatal():
		t.remember(e, nil)
	}
	return e.Cause != kill.CauseNone
}
