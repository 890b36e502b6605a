// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"math"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/dbus"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// listLogins tells the sessions that there are already.
func (l *link) listLogins() {
	call := &dbus.Call{Destination: logindName, Path: logindPath, Interface: logindName + ".Manager", Member: "ListSessions"}
	l.ask(call, func(b *dbus.Body) {
		b.Each(func() {
			id, _, _, _, path := b.Text(), b.Number(), b.Text(), b.Text(), b.Text()
			if !b.Failed() {
				l.learn(id, path)
			}
		})
	})
}

func (l *link) loginNew(b *dbus.Body) {
	if id, path := b.Text(), b.Text(); !b.Failed() {
		l.learn(id, path)
	}
}

// learn tells a login. What logind has written about it is there before the signal; without the right to read
// that, or if it is a container's, logind is asked.
func (l *link) learn(id, path string) {
	if !validSession(id) {
		l.watcher.counters.malformed.Add(1)
		return
	}
	if login, ok := l.watcher.sessions.read(l.of, id); ok {
		l.tellLogin(login)
		return
	}
	call := &dbus.Call{
		Destination: logindName, Path: path, Interface: properties, Member: "GetAll",
		Arguments: []any{logindName + ".Session"},
	}
	l.ask(call, func(b *dbus.Body) {
		var r record
		b.Properties(r.property)
		if b.Failed() || r.Session.ID != id || r.class.internal() {
			return
		}
		login := l.place(r.Login)
		l.watcher.sessions.put(login)
		l.tellLogin(login)
	})
}

func (l *link) tellLogin(login attribution.Login) {
	l.watcher.tell(attribution.Fact{Login: &login})
}

// place adds whose login it is, and translates its pid.
func (l *link) place(login attribution.Login) attribution.Login {
	login.Manager = l.logind()
	login.Leader = l.watcher.pids.outer(l.of, login.Leader)
	return login
}

func (l *link) loginRemoved(b *dbus.Body) {
	if id := b.Text(); !b.Failed() && validSession(id) {
		l.watcher.tell(attribution.Fact{Logout: &attribution.Logout{Time: time.Now(), Manager: l.logind(), ID: id}})
	}
}

func (l *link) shutdown(b *dbus.Body) {
	if begins := b.Number() != 0; !b.Failed() {
		l.watcher.tell(attribution.Fact{Shutdown: &attribution.Shutdown{Time: time.Now(), Manager: l.logind(), Canceled: !begins}})
	}
}

// pressure tells what systemd-oomd has killed. The path is the host's, so that a container's oomd counts for nothing.
func (l *link) pressure(b *dbus.Body) {
	cgroup, reason := b.Text(), b.Text()
	if b.Failed() || !l.of.host || !strings.HasPrefix(cgroup, "/") {
		return
	}
	l.watcher.tell(attribution.Fact{Pressure: &attribution.Pressure{
		Time: time.Now(), Cgroup: cgroup, Swap: reason == "memory-used",
	}})
}

// class is the class of a session.
type class string

// internal reports whether nobody has logged in: systemd runs a user's services in a session of their own.
func (c class) internal() bool { return strings.HasPrefix(string(c), "manager") }

// record is what logind says about a session.
type record struct {
	attribution.Login
	class class
}

// property takes a property of a session (org.freedesktop.login1(5)).
func (r *record) property(name string, v dbus.Value) {
	switch name {
	case "Id":
		r.Session.ID = v.Text
	case "User":
		r.User.ID = kill.ID{Value: uint32(v.Number), Known: true}
	case "Name":
		r.set("USER", v.Text)
	case "Timestamp":
		r.begun(v.Number)
	case "TTY":
		r.set("TTY", v.Text)
	case "RemoteHost":
		r.set("REMOTE_HOST", v.Text)
	case "Service":
		r.set("SERVICE", v.Text)
	case "Class":
		r.set("CLASS", v.Text)
	case "Leader":
		r.leader(v.Number)
	case "Audit":
		r.audit(v.Number)
	}
}

func (r *record) begun(microseconds uint64) {
	if microseconds <= math.MaxInt64 {
		r.Time = time.UnixMicro(int64(microseconds))
	}
}

// maxPID is PID_MAX_LIMIT of include/linux/threads.h.
const maxPID = 1 << 22

func (r *record) leader(pid uint64) {
	if pid <= maxPID {
		r.Leader = int(pid)
	}
}

// audit takes the number of the audit session, which is 0 if the audit system does not work.
func (r *record) audit(number uint64) {
	if number > 0 && number < math.MaxUint32 {
		r.Audit = kill.ID{Value: uint32(number), Known: true}
	}
}
