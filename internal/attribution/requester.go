// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// findRequester finds who has asked for what a manager does to a unit, and returns that; nil if that is not known.
func (t *Table) findRequester(e *kill.Event, m *managed, u *unit, j *job) *request {
	if others := t.killersBeside(e, m, u, j); len(others) > 0 {
		e.Behind.Candidates = len(others) + 1
		return nil
	}
	if j != nil && j.asked != nil && e.Time.Sub(j.Time) > jobLag {
		t.explainRequest(e, m, u, j, j.asked)
		return j.asked
	}
	found, best := t.candidates(e, m, u, j)
	if len(found) == 1 && t.hasLeft(found[0], waitsAt(e, m, j)) {
		found, best = nil, fitsNot
	}
	if best == fitsAlone && len(found) == 1 && t.habitsOf(found[0]).has(found[0]) {
		found = nil
	}
	if r := t.goingOn(e); r != nil && j == nil && e.Signal == kill.SIGKILL {
		// A manager that says why it kills has not been patient without saying that.
		switch {
		case best < fitsUnit:
			found = []*request{r}
		case !m.told && !slices.ContainsFunc(found, r.sameProcess):
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		e.Behind.Candidates = len(found)
		t.doubt(e, u, j)
		return nil
	}
	r := found[0]
	if j != nil {
		j.asked = r
		t.served.add(r, u.name, j.ID)
		t.habitsOf(r).explains(r)
	}
	t.explainRequest(e, m, u, j, r)
	if e.Signal.Fatal() && r.goesOn() {
		t.remember(e, r)
	}
	return r
}

// candidates returns who may have asked for what a manager does to a unit, and how well that fits: each process once.
func (t *Table) candidates(e *kill.Event, m *managed, u *unit, j *job) (found []*request, best fits) {
	from, to := askedBetween(e, m, j)
	var all, marked requesters
	consider := func(r *request) {
		if !m.mayAsk(r) || r.after(to) && !r.made(j) {
			return
		}
		t.identify(r)
		how := m.fit(r, u, j, e)
		switch {
		case how != fitsNot && r.ask.marked:
			marked.add(r)
		case how == fitsNot || how < best:
		case how > best:
			best, all = how, requesters{}
			all.add(r)
		default:
			all.add(r)
		}
	}
	t.since(m, from, consider)
	if best < fitsUnit {
		t.commands.since(from, consider)
	}
	if len(marked.requests) > 0 && !slices.ContainsFunc(all.requests, func(r *request) bool { return r.made(j) }) {
		all.requests, best = append(all.requests, marked.requests...), max(best, fitsUnit)
	}
	return all.requests, best
}

// askedBetween returns between which times somebody has asked for what a manager does: before it does, and before
// it has begun to.
func askedBetween(e *kill.Event, m *managed, j *job) (from, to time.Time) {
	to = e.Time
	if j != nil && j.Time.Before(to) {
		to = j.Time
	}
	from = to.Add(-requestWindow)
	if e.Cause == kill.CauseShutdown && m.ending(e.Time) {
		if to = e.Time; m.shutdown.Before(to) {
			to = m.shutdown
		}
		from = to.Add(-shutdownWindow)
	}
	return from, to
}

// waitsAt returns a time at which a client that waits cannot have had its answer yet: the signal, or, as it may have been interrupted, a
// moment before its job began.
func waitsAt(e *kill.Event, m *managed, j *job) time.Time {
	switch {
	case j != nil && j.Time.Before(e.Time):
		return j.Time.Add(-jobLag)
	case j != nil:
		return e.Time.Add(-jobLag)
	case m.told:
		return time.Time{}
	}
	return e.Time
}

// doubt forgets who was thought to have asked: what was learned since speaks for others as well.
func (t *Table) doubt(e *kill.Event, u *unit, j *job) {
	if j == nil || j.asked == nil {
		return
	}
	t.served.remove(j.asked, u.name)
	if k, ok := targetOf(e); ok && t.ends[k] != nil && t.ends[k].request == j.asked {
		t.ends[k].request = nil
	}
	j.asked = nil
}

// killersBeside returns who has asked for such a signal to be sent while a job was under way, which may have sent it
// as well.
func (t *Table) killersBeside(e *kill.Event, m *managed, u *unit, j *job) (found []*request) {
	if j == nil || limited(e.Cause) {
		return nil
	}
	var all requesters
	t.since(m, e.Time.Add(-requestWindow), func(r *request) {
		if r.ask.verb != verbKill || r.Time.Before(j.Time) || r.after(e.Time) || !m.mayAsk(r) || !r.sends(e.Signal) {
			return
		}
		t.identify(r)
		if r.Requester.Command != "" && u.namedBy(&r.ask) {
			all.add(r)
		}
	})
	return all.requests
}

// requesters gathers requests, one of each process, however many there are.
type requesters struct {
	requests []*request
	known    map[requester]bool
}

func (p *requesters) add(r *request) {
	of := r.requester()
	if p.known[of] {
		return
	}
	if p.known == nil {
		p.known = map[requester]bool{}
	}
	p.known[of] = true
	p.requests = append(p.requests, r)
}

// explainRequest explains a signal by a request.
func (t *Table) explainRequest(e *kill.Event, m *managed, u *unit, j *job, r *request) {
	b := e.Behind
	t.ask(b, r)
	if len(r.ask.about) > 0 && !u.namedBy(&r.ask) && e.Cause != kill.CauseShutdown && r.ask.verb != verbShutdown {
		if other, of := m.basis(r, u, j); other != nil {
			e.Cause, b.Named = kill.CauseDependency, other.name
			t.served.add(r, other.name, of.ID)
			return
		}
	}
	if e.Cause == kill.CauseNone {
		e.Cause = r.ask.verb.cause()
	}
}

// bridges reports whether a program passes on what somebody else asks a user's systemd for: systemctl(1) of root has systemd start one in a
// session of that user (systemctl --user --machine=alice@), of which it is the leader.
func (t *Table) bridges(p *kill.Process) bool {
	if p.Executable != "/usr/bin/systemd-stdio-bridge" || len(p.Ancestry) == 0 || p.Ancestry[0].PID != hostInit {
		return false
	}
	l := t.logins[loginKey{0, idOf(p.Session)}]
	return l == nil || l.Leader == 0 || l.Leader == p.PID
}

// ask adds to what is behind an event who has asked for it.
func (t *Table) ask(b *kill.Behind, r *request) {
	p := r.Requester
	if !p.Login.ID.Known {
		p.Login, p.Session = t.loginOf(r)
	}
	if p.Title == "" {
		p.Title = commandLine(&p)
	}
	if t.config.Name != nil {
		t.config.Name(&p)
	}
	b.Requester, b.Initiator = &p, initiatorOf(p.Ancestry)
	p.Claimed = t.claims(&p, r.Time) || t.bridges(&p)
	b.User = p.Person()
	if !p.Claimed {
		b.Session = t.sessionOf(&p)
	}
	if r.recorded && b.User.ID.Known && b.Session != nil && b.Session.Root == "" && b.Session.UserName != "" {
		b.User.Name = b.Session.UserName // the log may be another host's, where somebody else has the number
	}
	b.Evidence = kill.EvidenceInferred
	if r.Call != nil {
		b.Evidence = kill.EvidenceObserved
	}
}
