// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// loginKey identifies a session; manager is 0 for the host's.
type loginKey struct {
	manager int
	id      string
}

// session is a login, and when it ended; zero if it has not.
type session struct {
	Login
	ended time.Time
}

// learnLogin remembers a session. What is told of it later adds to that.
func (t *Table) learnLogin(l *Login) {
	if l.Claimed {
		t.proofs.claim(l.Audit.Value)
		return
	}
	if l.Session.ID == "" {
		return
	}
	if l.Manager == 0 && l.Audit.Known && l.User.ID.Known && fromOutside(l.Session.Service) {
		t.proofs.prove(l.Audit.Value, l.User.ID)
	}
	k := loginKey{zeroForHost(l.Manager), strings.Clone(l.Session.ID)}
	known := session{Login: *l}
	// Numbers begin anew with each boot, and the address of another login would be a lie.
	if last := t.logins[k]; last != nil && last.User.ID == l.User.ID && last.Leader == l.Leader && l.Leader != 0 {
		fill := func(to *string, from string) {
			if *to == "" {
				*to = from
			}
		}
		fill(&known.Session.Service, last.Session.Service)
		fill(&known.Session.TTY, last.Session.TTY)
		fill(&known.Session.UserName, last.Session.UserName)
		fill(&known.Session.Address, last.Session.Address)
		if known.Session.Port == 0 {
			known.Session.Port = last.Session.Port
		}
	}
	if len(t.logins) >= maxSessions {
		t.forgetLogins()
	}
	t.logins[k] = &known
}

// forgetLogins forgets the older half of the sessions of one logind: of the one other than the host's that knows the most, if there
// are so many of these, or else of the host's. When theirs began, and how many they are, containers say as they like.
func (t *Table) forgetLogins() {
	of := map[int][]loginKey{}
	for k := range t.logins {
		of[k.manager] = append(of[k.manager], k)
	}
	from, most := 0, 0
	if len(t.logins)-len(of[0]) >= maxOthersSessions {
		for manager, keys := range of {
			if manager != 0 && len(keys) > most {
				from, most = manager, len(keys)
			}
		}
	}
	keys := of[from]
	slices.SortFunc(keys, func(a, b loginKey) int { return t.logins[a].Time.Compare(t.logins[b].Time) })
	for _, k := range keys[:(len(keys)+1)/2] {
		delete(t.logins, k)
	}
}

// sessionOf returns the session of a process; nil if it is not known.
func (t *Table) sessionOf(p *kill.Process) *kill.Session {
	id := idOf(p.Session)
	if session := t.session(0, id, p.Login.ID); session != nil {
		return session // the kernel numbers the sessions of all containers together, and the host knows its own
	}
	if cgroup := cgroupOf(p); cgroup != "" {
		if m := t.containerOf(cgroup); m != nil {
			inner, user := sessionIn(cgroup, m.root)
			if session := t.session(m.pid, inner, either(p.Login.ID, user)); session != nil {
				inside := *session
				inside.Root = m.root
				return &inside
			}
		} else if id == "" {
			var user kill.ID
			id, user = sessionIn(cgroup, "/")
			if session := t.session(0, id, either(p.Login.ID, user)); session != nil {
				return session
			}
		}
	}
	return t.timerOf(p, id)
}

// either returns the first of two ids if it is known, and else the second.
func either(first, second kill.ID) kill.ID {
	if first.Known {
		return first
	}
	return second
}

// timers are the programs that run others at a time, for whose sessions logind has no entry.
var timers = map[string]bool{"cron": true, "crond": true, "atd": true, "anacron": true}

// timerOf returns the session that cron(8) or a program like it has opened for what it runs; nil if none of the
// parents is one. Its path shows that it is, as a name does not.
func (t *Table) timerOf(p *kill.Process, id string) *kill.Session {
	if t.config.Processes == nil {
		return nil
	}
	for _, parent := range p.Ancestry {
		if !timers[strings.ToLower(parent.Command)] {
			continue
		}
		timer := kill.Process{PID: parent.PID}
		if t.config.Processes.Complete(&timer, time.Now()) && (rooted(&timer) || !timer.User.ID.Known) &&
			timers[path.Base(timer.Executable)] && (path.Dir(timer.Executable) == "/usr/sbin" || path.Dir(timer.Executable) == "/usr/bin") {
			return &kill.Session{ID: id, Service: path.Base(timer.Executable)}
		}
	}
	return nil
}

// idOf returns the number of an audit session, which is that of the login; empty if it has none.
func idOf(session kill.ID) string {
	if !session.Known {
		return ""
	}
	return strconv.FormatUint(uint64(session.Value), 10)
}

// session returns a session, if it is the login user's.
func (t *Table) session(manager int, id string, login kill.ID) *kill.Session {
	if id == "" {
		return nil
	}
	l := t.logins[loginKey{manager, id}]
	if l == nil && t.config.Session != nil {
		if asked, ok := t.config.Session(manager, id); ok {
			asked.Manager = manager
			t.learnLogin(&asked)
			l = t.logins[loginKey{manager, id}]
		}
	}
	if l == nil || login.Known && l.User.ID.Known && l.User.ID != login {
		return nil
	}
	return &l.Session
}

// sessionIn returns the session that a control group belongs to, and its user (systemd-logind.service(8)); empty if it
// belongs to none. root is that of the systemd whose logind knows the session. Any user may give such a name to what is
// elsewhere.
func sessionIn(cgroup, root string) (id string, user kill.ID) {
	below, ok := strings.CutPrefix(cgroup, strings.TrimSuffix(root, "/")+"/user.slice/user-")
	if !ok {
		return "", kill.ID{}
	}
	number, below, _ := strings.Cut(below, ".slice/")
	uid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return "", kill.ID{}
	}
	scope, _, _ := strings.Cut(below, "/")
	return sessionScope(scope), kill.NewID(uint32(uid))
}

// sessionScope returns the session whose unit this is; empty if it is none.
func sessionScope(unit string) string {
	id, ok := strings.CutPrefix(unit, "session-")
	if !ok {
		return ""
	}
	id, ok = strings.CutSuffix(id, ".scope")
	if !ok {
		return ""
	}
	return id
}

// loginOf returns the login of who has called, and may have ended before anybody could ask: he has connected
// before. It is unset if that was not seen.
func (t *Table) loginOf(r *request) (login kill.User, session kill.ID) {
	for _, of := range t.requests {
		of.since(r.Time.Add(-requestWindow), func(other *request) {
			if other.Requester.Login.ID.Known && other.sameProcess(r) {
				login, session = other.Requester.Login, other.Requester.Session
			}
		})
	}
	return login, session
}
