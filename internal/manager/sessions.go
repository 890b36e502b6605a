// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxSessions is how many logins of a container's logind are remembered, which may invent some, maxSessionsOfHost how many
	// of the host's.
	maxSessions, maxSessionsOfHost = 128, 1024
	// maxSessionFile is how much of a session's file is read.
	maxSessionFile = 1 << 13
	// maxSessionID is the longest name of a session that is believed, maxSessionText the longest text about one.
	maxSessionID   = 64
	maxSessionText = 255
	// sessionsPath is where logind writes down the sessions.
	sessionsPath = "run/systemd/sessions/"
	// absentFor is how long a session that does not exist is not looked for again.
	absentFor = time.Second
)

// sessions remembers logins: those of containers as their logind has described them, the host's as in their files.
type sessions struct {
	root     string
	counters *counters

	mu sync.Mutex
	// known are the sessions by the pid of the systemd, 0 for the host's, and by their names.
	known map[int]map[string]*known
	host  *process
	// looked is when there was no host's init.
	looked time.Time
}

// known is a session that was looked for.
type known struct {
	login attribution.Login
	ok    bool
	file  version
	at    time.Time
}

func newSessions(root string, c *counters) *sessions {
	return &sessions{root: root, counters: c, known: make(map[int]map[string]*known)}
}

// Session returns a login: of the host if manager is 0 or 1, or as the logind of a container has described it.
// The host's may have ended. It reads a small file in memory at most, and may be called before Run.
func (w *Watcher) Session(manager int, id string) (attribution.Login, bool) {
	if !validSession(id) {
		return attribution.Login{}, false
	}
	if manager == hostPID {
		manager = 0
	}
	if manager != 0 {
		return w.sessions.get(manager, id)
	}
	return w.sessions.ofHost(id)
}

func (s *sessions) get(manager int, id string) (attribution.Login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.known[manager][id]; at != nil {
		return at.login, at.ok
	}
	return attribution.Login{}, false
}

// ofHost returns one of the host's logins. A session that has ended has no file anymore.
func (s *sessions) ofHost(id string) (attribution.Login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.known[0][id]
	if at != nil && !at.ok && time.Since(at.at) < absentFor {
		return attribution.Login{}, false
	}
	if of := s.openHost(); of != nil {
		s.look(of, id)
	}
	if at = s.known[0][id]; at == nil {
		return attribution.Login{}, false
	}
	return at.login, at.ok
}

// openHost returns the host's init; nil if it is no systemd. mu is held.
func (s *sessions) openHost() *process {
	if s.host == nil && time.Since(s.looked) > absentFor {
		s.looked = time.Now()
		if of, err := openProcess(s.root, hostPID); err == nil {
			s.host = of
		}
	}
	return s.host
}

// read returns a login of the host as its file describes it. The file of a container's could be anything.
func (s *sessions) read(of *process, id string) (attribution.Login, bool) {
	if !of.host {
		return attribution.Login{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.look(of, id) {
		return attribution.Login{}, false
	}
	at := s.known[0][id]
	return at.login, at.ok
}

// look reads the file of a session if it has changed, and reports whether there is one. mu is held.
func (s *sessions) look(of *process, id string) bool {
	at := s.known[0][id]
	var last version
	if at != nil {
		last = at.file
	}
	data, file, err := of.file(sessionsPath+id, maxSessionFile, last)
	switch {
	case err != nil && at != nil && at.ok:
		return false // it has ended
	case err != nil:
		s.store(0, id, &known{})
		return false
	case file == last && at != nil:
		return true
	}
	r, ok := parseSession(data)
	if !ok {
		s.counters.malformed.Add(1)
	}
	r.Session.ID = id
	s.store(0, id, &known{login: r.Login, ok: ok && !r.class.internal(), file: file})
	return true
}

// put remembers a login as logind has described it.
func (s *sessions) put(login attribution.Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(login.Manager, login.Session.ID, &known{login: login, ok: true})
}

// store remembers a session. mu is held.
func (s *sessions) store(manager int, id string, at *known) {
	at.at = time.Now()
	all := s.known[manager]
	if all == nil {
		all = make(map[string]*known)
		s.known[manager] = all
	}
	limit := maxSessions
	if manager == 0 {
		limit = maxSessionsOfHost
	}
	if all[id] == nil && len(all) >= limit {
		for other := range all { // any will do: the host's can be read again, and no container has that many
			delete(all, other)
			break
		}
	}
	all[id] = at
}

// forget forgets the sessions of a container's logind.
func (s *sessions) forget(manager int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if manager != 0 {
		delete(s.known, manager)
	}
}

// close lets go of the host's init.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host != nil {
		s.host.close()
		s.host, s.looked = nil, time.Time{}
	}
}

// validSession reports whether a session can have this name (session_id_valid() of systemd): it is part of a path.
func validSession(id string) bool {
	if id == "" || len(id) > maxSessionID {
		return false
	}
	for i := range len(id) {
		if !alphanumeric(id[i]) {
			return false
		}
	}
	return true
}

// parseSession reads the file of a session: lines of KEY=value. It returns false if nobody has logged in.
func parseSession(data []byte) (record, bool) {
	var r record
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			r.set(key, value)
		}
	}
	return r, r.User.ID.Known
}

func (r *record) set(key, value string) {
	if len(value) > maxSessionText || !utf8.ValidString(value) {
		return
	}
	number, err := strconv.ParseUint(value, 10, 64)
	switch {
	case key == "USER":
		r.User.Name, r.Session.UserName = value, value
	case key == "SERVICE":
		r.Session.Service = value
	case key == "TTY":
		r.Session.TTY = value
	case key == "REMOTE_HOST":
		r.Session.Address = value
	case key == "CLASS":
		r.class = class(value)
	case err != nil:
	case key == "UID":
		if number < 1<<32-1 {
			r.User.ID = kill.ID{Value: uint32(number), Known: true}
		}
	case key == "LEADER":
		r.leader(number)
	case key == "AUDIT":
		r.audit(number)
	case key == "REALTIME":
		r.begun(number)
	}
}
