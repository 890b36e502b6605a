// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"cmp"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// explainSession explains the end of what belongs to a login session.
func (t *Table) explainSession(e *kill.Event, m *managed, u *unit) {
	b := e.Behind
	session, user := t.loginOfUnit(e, m, u)
	if r := t.endOfSession(m, e, u, user); r != nil {
		t.ask(b, r)
		e.Cause = kill.CauseSessionKill
		return
	}
	// Whose session it was is what matters.
	b.Session, b.User = session, user
}

// explainKilledSession explains a signal to what belongs to a login session that goes on, if somebody has asked logind for that.
func (t *Table) explainKilledSession(e *kill.Event, m *managed, u *unit) (by *request) {
	_, user := t.loginOfUnit(e, m, u)
	by = t.endOfSession(m, e, u, user)
	if by == nil || by.ask.verb == verbStop {
		return nil
	}
	if others, best := t.candidates(e, m, u, nil); best >= fitsUnit {
		others = slices.DeleteFunc(others, func(r *request) bool { return r.Requester.Command == logind || r.sameProcess(by) })
		if len(others) > 0 {
			e.Behind.Candidates = 1 + len(others)
			return by
		}
	}
	t.ask(e.Behind, by)
	e.Cause = kill.CauseSessionKill
	return by
}

// explainPersonalEnd explains a signal of a user's systemd that ends, or seems to: it does when he has logged out, unless somebody has asked it
// to, or the system ends. It reports whether that is certain.
func (t *Table) explainPersonalEnd(e *kill.Event, m *managed, u *unit, j *job) (by *request, certain bool) {
	by = t.findRequester(e, m, u, j)
	system := t.systemAround(m)
	name := system.unitIn(m.root)
	service := system.units[name]
	if service == nil {
		service = &unit{name: name}
	}
	stop := service.jobFor(e)
	stops := stop != nil && stop.Type == "stop"
	told := e.Cause == kill.CauseShutdown // by the user's systemd
	switch {
	case by != nil, e.Behind.Candidates > 0:
		return by, told
	case !system.told, !told && !stops:
		e.Cause = kill.CauseNone
		return nil, false
	case system.ending(e.Time):
		e.Cause = kill.CauseShutdown
		return nil, told
	}
	e.Cause = kill.CauseSessionEnd
	t.explainSession(e, system, service)
	return nil, told && stops
}

// systemAround returns the systemd of the system in which a user's runs.
func (t *Table) systemAround(m *managed) *managed {
	if system := t.containerOf(m.root); system != nil {
		return system
	}
	return t.managerOf(hostInit)
}

// loginOfUnit returns the session that a unit belongs to, nil if that is not known, and whose that is.
func (t *Table) loginOfUnit(e *kill.Event, m *managed, u *unit) (*kill.Session, kill.User) {
	id, user := sessionScope(u.name), kill.User{}
	if len(e.Targets) > 0 {
		user.ID = t.believed(&e.Targets[0], e.Time)
	}
	session := t.session(zeroForHost(m.pid), id, user.ID)
	if session != nil {
		user = t.logins[loginKey{zeroForHost(m.pid), id}].User
		user.Name = cmp.Or(user.Name, session.UserName)
	}
	if number := userOf(u.name); number.Known && (m.pid == hostInit || number == user.ID) { // a container has others' numbers
		user.ID = number
	}
	return session, user
}

// logind is the name of the program that knows the sessions.
const logind = "systemd-logind"

// endOfSession returns who has asked for the end of a session of a user; nil if nobody did, or if that is not known.
func (t *Table) endOfSession(m *managed, e *kill.Event, u *unit, user kill.User) *request {
	var found []*request
	id := sessionScope(u.name)
	consider := func(r *request) {
		if r.after(e.Time) || !m.mayAsk(r) || !r.sends(e.Signal) || !r.endsSession(u, id, user) || slices.ContainsFunc(found, r.sameProcess) {
			return
		}
		t.identify(r)
		if r.Requester.Command == logind || r.Requester.Command == "" {
			return // logind only carries it out
		}
		if l := t.logins[loginKey{zeroForHost(m.pid), id}]; l != nil && l.Time.After(r.Time) {
			return // who has logged in since is not meant
		}
		found = append(found, r)
	}
	t.since(m, e.Time.Add(-requestWindow), consider)
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// endsSession reports whether somebody asks for the end of a session or of all sessions of its user, for a signal to these, or for the stop
// of its unit.
func (r *request) endsSession(u *unit, id string, user kill.User) bool {
	about := func(name string) bool { return name != "" && slices.Contains(r.ask.about, name) }
	switch r.ask.verb {
	case verbEndSession:
		return about(id)
	case verbEndUser:
		return about(user.Name) || about(idOf(user.ID))
	case verbStop: // or that of the slice of its user, or of all
		return u.namedBy(&r.ask) || slices.ContainsFunc(u.state.Bases, r.ask.names)
	}
	return false
}
