// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// unset is what the kernel writes for a missing id.
const unset = ^uint32(0)

// ObjPID is an OBJ_PID record: one process that a call was aimed at (kernel/auditsc.c,
// audit_log_pid_context). A missing id is unset.
type ObjPID struct {
	PID                int
	AUID, UID, Session uint32
	Label, Comm        []byte
	AUIDName, UIDName  []byte
}

// ParseObjPID parses the fields of an OBJ_PID record. It returns false if a field that
// every such record has is missing or unreadable; the others are filled in nevertheless.
func ParseObjPID(record []byte) (ObjPID, bool) {
	o := ObjPID{AUID: unset, UID: unset, Session: unset}
	pidKnown, uidKnown, commKnown, whole := false, false, false, true
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		ok := true
		switch string(key) {
		case "opid":
			o.PID, ok = parsePID(value)
			pidKnown = ok
		case "oauid":
			o.AUID, ok = parseID(value)
		case "ouid":
			o.UID, ok = parseID(value)
			uidKnown = ok
		case "oses":
			o.Session, ok = parseID(value)
		case "obj":
			o.Label = value
		case "ocomm":
			o.Comm, commKnown = value, true
		case "OAUID":
			o.AUIDName = value
		case "OUID":
			o.UIDName = value
		}
		whole = whole && ok
	}
	return o, whole && !f.unclosed && pidKnown && uidKnown && commKnown
}

// Proctitle returns the value of a PROCTITLE record: the sender's command
// line, at most 128 bytes of it (kernel/audit.h, MAX_PROCTITLE_AUDIT_LEN).
func Proctitle(record []byte) (title []byte, whole bool) {
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			return nil, false
		}
		if string(key) == "proctitle" {
			if string(value) == `"(null)"` {
				value = nil // the kernel writes it for a process that is ending (kernel/auditsc.c, audit_log_proctitle)
			}
			return value, !f.unclosed
		}
	}
}

// Victim is an ANOM_ABEND or a SECCOMP record: a process that the kernel itself signaled
// (kernel/auditsc.c, audit_core_dumps, audit_seccomp). A missing id is unset.
type Victim struct {
	// Signal is 0 if seccomp only logged or refused the call.
	Signal             int
	PID                int
	AUID, UID, Session uint32
	Subject, Comm, Exe []byte
	AUIDName, UIDName  []byte
	// Arch is the instruction set in a SECCOMP record, otherwise 0.
	Arch uint32
	// OneThread is true if seccomp ended only the thread, which ends the process if that has no
	// other (kernel/seccomp.c, SECCOMP_RET_KILL_THREAD).
	OneThread bool
}

// seccompAction are the bits of a filter's result that say what to do (include/uapi/linux/seccomp.h).
const seccompAction = 0xffff0000

// ParseVictim parses the fields of an ANOM_ABEND or SECCOMP record. It returns false if a
// field that every such record has is missing or unreadable; the others are filled in
// nevertheless.
func ParseVictim(record []byte) (Victim, bool) {
	v := Victim{AUID: unset, UID: unset, Session: unset}
	signalKnown, pidKnown, commKnown, whole := false, false, false, true
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		ok := true
		switch string(key) {
		case "sig":
			v.Signal, ok = parsePID(value)
			signalKnown = ok
		case "pid":
			v.PID, ok = parsePID(value)
			pidKnown = ok
		case "auid":
			v.AUID, ok = parseID(value)
		case "uid":
			v.UID, ok = parseID(value)
		case "ses":
			v.Session, ok = parseID(value)
		case "subj":
			v.Subject = value
		case "comm":
			v.Comm, commKnown = value, true
		case "exe":
			v.Exe = value
		case "AUID":
			v.AUIDName = value
		case "UID":
			v.UIDName = value
		case "arch":
			var n uint64
			n, ok = parseHex(value)
			v.Arch = uint32(n)
		case "code":
			var n uint64
			n, ok = parseHex(bytes.TrimPrefix(value, []byte("0x")))
			v.OneThread = ok && n&seccompAction == 0
		}
		whole = whole && ok
	}
	return v, whole && !f.unclosed && signalKnown && pidKnown && commKnown
}
