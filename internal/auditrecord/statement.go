// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// Login is a LOGIN record: a process belongs to a login user and to a session from now on
// (kernel/audit.c, audit_log_set_loginuid). Older kernels write the second form:
//
//	pid=7 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=17 res=1
//	pid=7 uid=0 old auid=4294967295 new auid=1000 old ses=4294967295 new ses=17 res=1
type Login struct {
	PID                int
	UID, AUID, Session uint32
}

// ParseLogin parses the fields of a LOGIN record. It returns false if nobody has logged in.
func ParseLogin(record []byte) (Login, bool) {
	l := Login{UID: unset, AUID: unset, Session: unset}
	pidKnown, done, whole := false, true, true
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		ok := true
		switch string(key) {
		case "pid":
			l.PID, ok = parsePID(value)
			pidKnown = ok
		case "uid":
			l.UID, ok = parseID(value)
		case "auid": // the last one is the new one
			l.AUID, ok = parseID(value)
		case "ses":
			l.Session, ok = parseID(value)
		case "res":
			done = string(value) == "1"
		}
		whole = whole && ok
	}
	return l, whole && done && pidKnown && l.AUID != unset && l.Session != unset
}

// Statement is a record that a process with the right to write audit records has sent, such as sshd, sudo
// or systemd (lib/audit_logging.c of audit, kernel/audit.c, audit_receive_msg):
//
//	pid=7 uid=0 auid=1000 ses=17 msg='op=login acct="alice" exe="/usr/sbin/sshd" hostname=h addr=a terminal=ssh res=success'
//
// Root of a container may have that right, too.
type Statement struct {
	// These are added by the kernel, and tell which process has sent the record.
	PID                int
	UID, AUID, Session uint32
	// The rest is what the process says. Account, Exe, Comm and Command are for Decode, the others plain;
	// they are empty if they are not known.
	Account, Exe, Comm, Command       []byte
	Op, Unit, Host, Address, Terminal []byte
	Succeeded                         bool

	pidKnown, resultKnown bool
}

// ParseStatement parses the fields of a record of one of the types from 1100 to 1199. It returns false if it
// cannot be read, or not whole. What auditd has appended to it under log_format=ENRICHED is left out: where
// that begins could be the choice of whoever has written the text before.
func ParseStatement(record []byte) (Statement, bool) {
	s := Statement{UID: unset, AUID: unset, Session: unset}
	added, said, whole := cutStatement(record)
	if !whole {
		return s, false
	}
	f := fields{rest: added}
	for key, value, more := f.next(); more; key, value, more = f.next() {
		whole = s.setAdded(key, value) && whole
	}
	f = fields{rest: said}
	for key, value, more := f.next(); more; key, value, more = f.next() {
		s.setSaid(key, value)
	}
	for _, value := range []*[]byte{&s.Account, &s.Exe, &s.Comm, &s.Command, &s.Op, &s.Unit, &s.Host, &s.Address, &s.Terminal} {
		if text := Unquote(*value); len(text) == 0 || string(text) == "?" || string(text) == "(null)" {
			*value = nil
		}
	}
	return s, whole && !f.unclosed && s.pidKnown && s.resultKnown
}

// cutStatement separates what the kernel has added from what the process says. That is in single quotes, and
// may have such quotes in it.
func cutStatement(record []byte) (added, said []byte, ok bool) {
	added, said, ok = bytes.Cut(record, []byte(" msg='"))
	said = bytes.TrimRight(said, " ")
	switch end := len(said) - 1; {
	case !ok || end < 0:
		return nil, nil, false
	case said[end] == '\'': // what auditd appends ends with another quote
		return added, said[:end], true
	}
	end := bytes.LastIndexByte(said, interpretationSeparator) - 1
	if end < 0 {
		// Some forwarders lose the separator.
		end = max(bytes.LastIndex(said, []byte(`'UID="`)), bytes.LastIndex(said, []byte(`'AUID="`)))
	}
	if end < 0 || said[end] != '\'' {
		return nil, nil, false
	}
	return added, said[:end], true
}

func (s *Statement) setAdded(key, value []byte) (ok bool) {
	ok = true
	switch string(key) {
	case "pid":
		s.PID, ok = parsePID(value)
		s.pidKnown = ok
	case "uid":
		s.UID, ok = parseID(value)
	case "auid":
		s.AUID, ok = parseID(value)
	case "ses":
		s.Session, ok = parseID(value)
	}
	return ok
}

// setSaid takes a field. The name of a host is written as it is: whoever may choose that may put further fields
// into it. So of the fields that come before it the first counts, and of those after it the last.
func (s *Statement) setSaid(key, value []byte) {
	var first *[]byte
	switch string(key) {
	case "acct":
		first = &s.Account
	case "exe":
		first = &s.Exe
	case "comm":
		first = &s.Comm
	case "cmd":
		first = &s.Command
	case "op":
		first = &s.Op
	case "unit":
		first = &s.Unit
	case "hostname":
		first = &s.Host
	case "addr":
		s.Address = value
	case "terminal":
		s.Terminal = value
	case "res":
		s.Succeeded = string(value) == "success" || string(value) == "1"
		s.resultKnown = s.Succeeded || string(value) == "failed" || string(value) == "0"
	}
	if first != nil && *first == nil {
		*first = value
	}
}
