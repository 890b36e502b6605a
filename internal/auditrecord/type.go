// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"strconv"
)

// Type is the number of a record type (include/uapi/linux/audit.h).
type Type uint16

const (
	// TypeNone is the type of anything that is not a record.
	TypeNone Type = 0
	// TypeOther is any record that neither is about a signal nor helps to explain one.
	TypeOther Type = 1

	TypeLogin          Type = 1006
	TypeUserStart      Type = 1105
	TypeUserEnd        Type = 1106
	TypeUserLogin      Type = 1112
	TypeUserLogout     Type = 1113
	TypeUserCmd        Type = 1123
	TypeSystemBoot     Type = 1127
	TypeSystemShutdown Type = 1128
	TypeServiceStart   Type = 1130
	TypeServiceStop    Type = 1131
	TypeDaemonEnd      Type = 1201
	TypeSyscall        Type = 1300
	TypeConfigChange   Type = 1305
	TypeExecve         Type = 1309
	TypeObjPID         Type = 1318
	TypeEOE            Type = 1320
	TypeSeccomp        Type = 1326
	TypeProctitle      Type = 1327
	TypeAVC            Type = 1400
	TypeLandlockAccess Type = 1423
	TypeAnomAbend      Type = 1701
)

// Explains reports whether records of this type are not about signals, but may help to explain them.
func (t Type) Explains() bool { return t == TypeLogin || t >= firstStatement && t <= lastStatement }

// Between these are the types of what processes say that may write audit records (include/uapi/linux/audit.h,
// AUDIT_FIRST_USER_MSG).
const firstStatement, lastStatement = 1100, 1199

// IsOther reports, by the first letters of its type, that a line is of TypeOther, or of
// TypeExecve: that matters only beside certain records of TypeSyscall. It decides about most
// lines of a log; if it returns false, Split has to find out.
func IsOther(line []byte) bool {
	const first = len("type=")
	if len(line) < first+2 || string(line[:first]) != "type=" { // faster than a call of HasPrefix
		return false
	}
	second := line[first+1]
	switch line[first] {
	case 'S': // SYSCALL, SECCOMP, SYSTEM_BOOT, SERVICE_START ...
		return second != 'Y' && second != 'E'
	case 'P': // PROCTITLE
		return second != 'R'
	case 'O': // OBJ_PID
		return second != 'B'
	case 'E', 'C': // EOE, CONFIG_CHANGE
		return second != 'O'
	case 'D': // DAEMON_END
		return second != 'A'
	case 'A': // ANOM_ABEND, AVC
		return second != 'N' && second != 'V'
	case 'U': // UNKNOWN, USER_...
		return second != 'N' && (second != 'S' || otherOfUser(line[first+2:]))
	case 'L': // LANDLOCK_ACCESS, LOGIN
		return second != 'A' && second != 'O'
	case '1': // a number, as the kernel itself writes it
		return false
	case ' ':
		return false // no type at all
	}
	return true
}

// IsExecve reports whether a line is of TypeExecve.
func IsExecve(line []byte) bool {
	const prefix = "type=EXECVE "
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// otherOfUser is IsOther for what follows type=US.
func otherOfUser(rest []byte) bool {
	const first = len("ER_")
	if len(rest) <= first {
		return true
	}
	switch rest[first] {
	case 'S', 'E', 'L', 'C': // USER_START, USER_END, USER_LOGIN, USER_LOGOUT, USER_CMD
		return false
	}
	return true
}

func typeByName(name []byte) Type {
	switch string(name) {
	case "SYSCALL":
		return TypeSyscall
	case "PROCTITLE":
		return TypeProctitle
	case "OBJ_PID":
		return TypeObjPID
	case "EOE":
		return TypeEOE
	case "ANOM_ABEND":
		return TypeAnomAbend
	case "SECCOMP":
		return TypeSeccomp
	case "CONFIG_CHANGE":
		return TypeConfigChange
	case "DAEMON_END":
		return TypeDaemonEnd
	case "AVC":
		return TypeAVC
	case "EXECVE":
		return TypeExecve
	case "LANDLOCK_ACCESS":
		return TypeLandlockAccess
	case "LOGIN":
		return TypeLogin
	case "USER_START":
		return TypeUserStart
	case "USER_END":
		return TypeUserEnd
	case "USER_LOGIN":
		return TypeUserLogin
	case "USER_LOGOUT":
		return TypeUserLogout
	case "USER_CMD":
		return TypeUserCmd
	case "SYSTEM_BOOT":
		return TypeSystemBoot
	case "SYSTEM_SHUTDOWN":
		return TypeSystemShutdown
	case "SERVICE_START":
		return TypeServiceStart
	case "SERVICE_STOP":
		return TypeServiceStop
	}
	// An audit daemon older than the kernel writes UNKNOWN[1327], the kernel's own log 1327.
	number := name
	if inner, ok := bytes.CutPrefix(name, []byte("UNKNOWN[")); ok {
		number = bytes.TrimSuffix(inner, []byte("]"))
	} else if name[0] != '1' {
		return TypeOther
	}
	if n, ok := parseUint(number); ok && n > uint64(TypeOther) && n < 1<<16 {
		return Type(n)
	}
	return TypeOther
}

// String returns the name by which typeByName knows the type.
func (t Type) String() string {
	switch t {
	case TypeSyscall:
		return "SYSCALL"
	case TypeProctitle:
		return "PROCTITLE"
	case TypeObjPID:
		return "OBJ_PID"
	case TypeEOE:
		return "EOE"
	case TypeAnomAbend:
		return "ANOM_ABEND"
	case TypeSeccomp:
		return "SECCOMP"
	case TypeConfigChange:
		return "CONFIG_CHANGE"
	case TypeDaemonEnd:
		return "DAEMON_END"
	case TypeAVC:
		return "AVC"
	case TypeExecve:
		return "EXECVE"
	case TypeLandlockAccess:
		return "LANDLOCK_ACCESS"
	case TypeLogin:
		return "LOGIN"
	case TypeUserStart:
		return "USER_START"
	case TypeUserEnd:
		return "USER_END"
	case TypeUserLogin:
		return "USER_LOGIN"
	case TypeUserLogout:
		return "USER_LOGOUT"
	case TypeUserCmd:
		return "USER_CMD"
	case TypeSystemBoot:
		return "SYSTEM_BOOT"
	case TypeSystemShutdown:
		return "SYSTEM_SHUTDOWN"
	case TypeServiceStart:
		return "SERVICE_START"
	case TypeServiceStop:
		return "SERVICE_STOP"
	}
	return "UNKNOWN[" + strconv.Itoa(int(t)) + "]"
}
