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
	b, id := e.Behind, sessionScope(u.name)
	user := kill.User{}
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
	if r := t.endOfSession(m, e, u, user); r != nil {
		t.ask(b, r)
		e.Cause = kill.CauseSessionKill
		return
	}
	// Whose session it was is what matters.
	b.Session, b.User = session, user
}

// logind is the name of the program that knows the sessions.
const logind = "systemd-logind"

// endOfSession returns who has asked for the end of a session of a user; nil if nobody did, or if that is not known.
func (t *Table) endOfSession(m *managed, e *kill.Event, u *unit, user kill.User) *request {
	var found []*request
	id := sessionScope(u.name)
	consider := func(r *request) {
		if r.after(e.Time) || !m.mayAsk(r) || !r.endsSession(u, id, user) || slices.ContainsFunc(found, r.sameProcess) {
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

// endsSession reports whether somebody asks for the end of a session or of all sessions of its user, or for the stop
// of its unit.
func (r *request) endsSession(u *unit, id string, user kill.User) bool {
	about := func(name string) bool { return name != "" && slices.Contains(r.ask.about, name) }
	switch r.ask.verb {
	case verbEndSession:
		return about(id)
	case verbEndUser:
		return about(user.Name) || about(idOf(user.ID))
	case verbStop:
		return u.namedBy(&r.ask)
	}
	return false
}
