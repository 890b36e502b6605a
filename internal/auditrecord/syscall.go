// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// Syscall is a SYSCALL record (kernel/auditsc.c, audit_log_exit).
type Syscall struct {
	Arch   uint32
	Number int
	// Succeeded and Exit are both absent if the process did not return from the call.
	Succeeded                             bool
	Exit                                  int64
	Args                                  [4]uint64
	PPID, PID                             int
	AUID, UID, EUID, SUID                 uint32
	Session                               uint32
	TTY, Comm, Exe, Subject, Key          []byte
	AUIDName, UIDName, EUIDName, SUIDName []byte

	present Field
}

// Field names a field of a SYSCALL record, to ask whether it was present.
type Field uint32

const (
	FieldArg0 Field = 1 << iota
	FieldArg1
	FieldArg2
	FieldArg3
	FieldSuccess
	FieldExit
	FieldPPID
	FieldPID
	FieldAUID
	FieldUID
	FieldEUID
	FieldSUID
	FieldSession
	FieldComm
	FieldExe
)

// alwaysPresent are the fields that every kernel writes: if one is missing, the record was
// cut or damaged.
const alwaysPresent = FieldArg0 | FieldArg1 | FieldArg2 | FieldArg3 | FieldPPID | FieldPID |
	FieldAUID | FieldUID | FieldEUID | FieldSUID | FieldComm | FieldExe

// Has reports whether all of the given fields were present and readable.
func (s *Syscall) Has(wanted Field) bool { return s.present&wanted == wanted }

// ParseSyscall parses the fields of a SYSCALL record. It returns false if a field that
// every such record has is missing or unreadable; the others are filled in nevertheless.
func ParseSyscall(record []byte) (Syscall, bool) {
	var s Syscall
	whole := true
	f := fields{rest: record}
	for {
		key, value, ok := f.next()
		if !ok {
			break
		}
		if field, readable := s.set(key, value); readable {
			s.present |= field
		} else {
			whole = false
		}
	}
	return s, whole && !f.unclosed && s.Has(alwaysPresent)
}

func (s *Syscall) set(key, value []byte) (field Field, ok bool) {
	switch string(key) {
	case "arch":
		var n uint64
		n, ok = parseHex(value)
		s.Arch = uint32(n)
	case "syscall":
		var n uint64
		n, ok = parseUint(value)
		s.Number = int(n)
	case "success":
		s.Succeeded = string(value) == "yes"
		if string(value) == "(none)" {
			return 0, true
		}
		field, ok = FieldSuccess, s.Succeeded || string(value) == "no"
	case "exit":
		field = FieldExit
		s.Exit, ok = parseInt(value)
	case "a0", "a1", "a2", "a3":
		i := key[1] - '0'
		field = FieldArg0 << i
		s.Args[i], ok = parseHex(value)
	case "ppid":
		field = FieldPPID
		s.PPID, ok = parsePID(value)
	case "pid":
		field = FieldPID
		s.PID, ok = parsePID(value)
	case "auid":
		field = FieldAUID
		s.AUID, ok = parseID(value)
	case "uid":
		field = FieldUID
		s.UID, ok = parseID(value)
	case "euid":
		field = FieldEUID
		s.EUID, ok = parseID(value)
	case "suid":
		field = FieldSUID
		s.SUID, ok = parseID(value)
	case "ses":
		field = FieldSession
		s.Session, ok = parseID(value)
	default:
		return s.setText(key, value), true
	}
	return field, ok
}

func (s *Syscall) setText(key, value []byte) Field {
	switch string(key) {
	case "comm":
		s.Comm = value
		return FieldComm
	case "exe":
		s.Exe = value
		return FieldExe
	case "tty":
		s.TTY = value
	case "subj":
		s.Subject = value
	case "key":
		s.Key = value
	case "AUID":
		s.AUIDName = value
	case "UID":
		s.UIDName = value
	case "EUID":
		s.EUIDName = value
	case "SUID":
		s.SUIDName = value
	}
	return 0
}

// CallOf parses only what identifies a call. It is called for every SYSCALL record of the
// host, few of which are signals.
func CallOf(record []byte) (arch uint32, number int, ok bool) {
	// The kernel begins every record with these two.
	if text, found := bytes.CutPrefix(record, []byte(" arch=")); found {
		archEnd := bytes.IndexByte(text, ' ')
		if archEnd > 0 && bytes.HasPrefix(text[archEnd:], []byte(" syscall=")) {
			rest := text[archEnd+len(" syscall="):]
			numberEnd := bytes.IndexByte(rest, ' ')
			// Before a parenthesis the blank belongs to the value (fields.value).
			if numberEnd > 0 && !bytes.HasPrefix(rest[numberEnd:], []byte(" (")) {
				return callOf(text[:archEnd], rest[:numberEnd])
			}
		}
	}
	return findCall(record)
}

func callOf(archText, numberText []byte) (arch uint32, number int, ok bool) {
	a, archOK := parseHex(archText)
	n, numberOK := parseUint(numberText)
	if !archOK || !numberOK || a > 1<<32-1 || n >= 1<<31 {
		return 0, 0, false
	}
	return uint32(a), int(n), true
}

// findCall finds the two fields anywhere in the record.
func findCall(record []byte) (arch uint32, number int, ok bool) {
	var archText, numberText []byte
	f := fields{rest: record}
	for archText == nil || numberText == nil {
		key, value, more := f.next()
		if !more {
			return 0, 0, false
		}
		switch string(key) {
		case "arch":
			archText = value
		case "syscall":
			numberText = value
		}
	}
	return callOf(archText, numberText)
}
