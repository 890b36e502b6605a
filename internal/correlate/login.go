// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxLogins bounds how many sessions are remembered.
const maxLogins = 1024

// sessionKey identifies a session.
type sessionKey struct {
	node    string
	session uint32
}

// login is a session that is not known to have ended.
type login struct {
	attribution.Login

	// pam is true if it was opened by PAM, which then also closes it. In between programs may open and
	// close further terminals in it.
	pam bool
	// told is true once it is known which program has let the user in.
	told bool
}

// logins holds sessions by their numbers, and in the order in which they were seen first.
type logins struct {
	byKey map[sessionKey]*login
	order []sessionKey
}

// put replaces what is known of a session.
func (l *logins) put(k sessionKey, session *login) {
	if l.byKey == nil {
		l.byKey = make(map[sessionKey]*login)
	}
	if l.byKey[k] == nil {
		if len(l.order) == maxLogins {
			delete(l.byKey, l.order[0])
			l.order = slices.Delete(l.order, 0, 1)
		}
		l.order = append(l.order, k)
	}
	l.byKey[k] = session
}

func (l *logins) remove(k sessionKey) {
	if l.byKey[k] == nil {
		return
	}
	delete(l.byKey, k)
	at := slices.Index(l.order, k)
	l.order = slices.Delete(l.order, at, at+1)
}

// forget forgets the sessions of a node, and returns the names of those that were told.
func (l *logins) forget(node string) (ids []string) {
	l.order = slices.DeleteFunc(l.order, func(k sessionKey) bool {
		if k.node != node {
			return false
		}
		if session := l.byKey[k]; session.told {
			ids = append(ids, session.Session.ID)
		}
		delete(l.byKey, k)
		return true
	})
	return ids
}

// Know lets the correlator go on with sessions that were told before it was made. Whoever resumes a log has
// them. Almost all are opened by PAM.
func (c *Correlator) Know(facts []*attribution.Fact) {
	for _, fact := range facts {
		if l := fact.Login; l != nil && l.Audit.Known && !l.Claimed {
			c.logins.put(sessionKey{fact.Node, l.Audit.Value}, &login{Login: *l, pam: true, told: true})
		}
	}
}

// addLogin adds a LOGIN record: the kernel says that a process has begun a session. Which program that is, and
// for whom, say the next records of the same process.
func (c *Correlator) addLogin(record *auditrecord.Record) {
	l, ok := auditrecord.ParseLogin(record.Fields)
	if !ok {
		return
	}
	k := c.sessionOf(record, l.Session)
	by, as := kill.NewID(l.UID), kill.NewID(l.AUID)
	if by.Known && by.Value != 0 && by != as {
		c.logins.remove(k)
		c.tell(k.node, attribution.Fact{Login: &attribution.Login{Time: timeOf(record), Audit: kill.NewID(l.Session), Claimed: true}})
		return
	}
	c.logins.put(k, newLogin(record, l.PID, l.AUID, l.Session))
}

func newLogin(record *auditrecord.Record, pid int, auid, session uint32) *login {
	return &login{Login: attribution.Login{
		Time: timeOf(record), User: kill.User{ID: kill.NewID(auid)}, Leader: pid, Audit: kill.NewID(session),
		Session: kill.Session{ID: strconv.FormatUint(uint64(session), 10)},
	}}
}

func (c *Correlator) sessionOf(record *auditrecord.Record, session uint32) sessionKey {
	return sessionKey{node: c.texts.plain(record.Node), session: session}
}

// begin adds a record of a program that lets somebody in: into a session of his own, or to the right of another
// user within it.
func (c *Correlator) begin(record *auditrecord.Record, s *auditrecord.Statement) {
	program := c.program(s.Exe)
	switch {
	case attribution.ChangesUser(program):
		c.addRight(record, s)
		return
	case program == "" || !kill.NewID(s.Session).Known:
		return
	}
	k := c.sessionOf(record, s.Session)
	was := c.logins.byKey[k]
	switch {
	case was == nil && letsIn(program):
		was = newLogin(record, s.PID, s.AUID, s.Session)
	case was == nil || was.Leader != s.PID || was.User.ID != kill.NewID(s.AUID):
		return // any root may write such records, but only for his own session, and not as another process
	case ofSystem(program) && !was.told:
		c.logins.remove(k)
		return
	}
	now := *was
	now.pam = now.pam || byPAM(s)
	now.Session = c.complete(now.Session, program, s)
	if !was.told || now.Session != was.Session {
		now.told = true
		told := now.Login
		c.tell(k.node, attribution.Fact{Login: &told})
	}
	c.logins.put(k, &now)
}

// complete adds to what is known of a session. What came first remains: a session may get further terminals.
func (c *Correlator) complete(session kill.Session, program string, s *auditrecord.Statement) kill.Session {
	if session.Service == "" {
		session.Service = serviceOf(program)
	}
	if session.UserName == "" {
		if account, whole := c.texts.decode(s.Account); whole {
			session.UserName = account
		}
	}
	if session.TTY == "" {
		session.TTY = terminalOf(c.texts.plain(s.Terminal))
	}
	if session.Address == "" {
		session.Address = addressOf(c.texts.plain(s.Address), c.texts.plain(s.Host))
	}
	return session
}

// end adds a record of a program that has let somebody in and sees him leave.
func (c *Correlator) end(record *auditrecord.Record, s *auditrecord.Statement) {
	program := c.program(s.Exe)
	if !kill.NewID(s.Session).Known {
		return
	}
	k := c.sessionOf(record, s.Session)
	if was := c.logins.byKey[k]; was == nil {
		if !letsIn(program) {
			return
		}
	} else if !was.told || was.Leader != s.PID || was.Session.Service != serviceOf(program) || was.pam && !byPAM(s) {
		return
	}
	c.logins.remove(k)
	id := strconv.FormatUint(uint64(s.Session), 10)
	c.tell(k.node, attribution.Fact{Logout: &attribution.Logout{Time: timeOf(record), ID: id}})
}

// byPAM reports whether PAM has written a record.
func byPAM(s *auditrecord.Statement) bool { return bytes.HasPrefix(s.Op, []byte("PAM:")) }

// ofSystem reports whether a session of a program is not that of a person: systemd opens one for the manager of
// a user's services, and for services with PAMName= (systemd.exec(5)).
func ofSystem(program string) bool {
	return program == systemd || program == "systemd-executor" || program == "(systemd)"
}

// letsIn reports whether a program is one of those that let users in. It is asked only for sessions whose
// beginning was not read.
func letsIn(program string) bool {
	switch serviceOf(program) {
	case "sshd", "login", "cron", "crond", "atd", "gdm-session-worker", "lightdm", "sddm-helper", "xrdp-sesman", "cockpit-session",
		"dropbear", "vsftpd", "in.rshd", "rlogind":
		return true
	}
	return false
}

// serviceOf returns the name of the service that a program belongs to.
func serviceOf(program string) string {
	if strings.HasPrefix(program, "sshd-") { // since OpenSSH 9.8
		return "sshd"
	}
	return program
}

// terminalOf returns the name of a terminal; empty if the text is something else, as PAM needs a text in any case.
func terminalOf(text string) string {
	name, device := strings.CutPrefix(text, "/dev/")
	for _, prefix := range []string{"tty", "pts/", "console", "hvc", "xvc", "sclp", "lxc/", ":"} {
		device = device || strings.HasPrefix(name, prefix)
	}
	if !device || len(name) > longestTerminal {
		return ""
	}
	return name
}

// addressOf returns the address of a remote host, or its name if that is all there is.
func addressOf(address, host string) string {
	for _, text := range []string{address, host} {
		if ip, err := netip.ParseAddr(text); err == nil && !ip.IsUnspecified() {
			return ip.Unmap().String()
		}
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if _, err := netip.ParseAddr(host); err == nil || len(host) > longestHost || strings.ContainsFunc(host, odd) {
		return ""
	}
	return host
}

// Longer names are nonsense (HOST_NAME_MAX and limits.h).
const longestTerminal, longestHost = 64, 253
