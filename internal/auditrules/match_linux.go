// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"maps"
	"runtime"
	"slices"

	"github.com/elastic/go-libaudit/v2/auparse"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// call is a system call, as far as it is known.
type call struct {
	number int
	caller
}

// caller is what is known about the process that makes a call, and about the arguments.
type caller struct {
	// values holds the values by the number of the field.
	values map[uint32]uint32
	// executable is the program; empty if it is not known.
	executable string
}

// mayCover reports whether the rule may apply to a call: only known values can rule that out.
func (l loaded) mayCover(c call) bool {
	return l.names(c) && !slices.ContainsFunc(l.fields, func(f field) bool {
		holds, known := f.holds(c)
		return known && !holds
	})
}

// mustCover reports whether the rule certainly applies to a call.
func (l loaded) mustCover(c call) bool {
	return l.names(c) && !slices.ContainsFunc(l.fields, func(f field) bool {
		holds, _ := f.holds(c)
		return !holds
	})
}

func (l loaded) names(c call) bool {
	return l.syscalls[c.number/32]&(1<<(c.number%32)) != 0
}

// holds reports whether a condition holds for a call, if that is known.
func (f field) holds(c call) (holds, known bool) {
	value, hasValue := c.values[f.kind]
	switch {
	case f.kind == unix.AUDIT_FILTERKEY:
		return true, true
	case hasValue:
		return compare(value, f.operator, f.value), true
	case f.kind == unix.AUDIT_EXE && c.executable != "":
		return (f.text == c.executable) == (f.operator == unix.AUDIT_EQUAL), true
	case aboutFiles(f.kind):
		return false, f.operator == unix.AUDIT_EQUAL
	}
	return false, false
}

// compare does what the kernel does (kernel/auditfilter.c, audit_comparator).
func compare(left, operator, right uint32) bool {
	switch operator {
	case unix.AUDIT_EQUAL:
		return left == right
	case unix.AUDIT_NOT_EQUAL:
		return left != right
	case unix.AUDIT_LESS_THAN:
		return left < right
	case unix.AUDIT_LESS_THAN_OR_EQUAL:
		return left <= right
	case unix.AUDIT_GREATER_THAN:
		return left > right
	case unix.AUDIT_GREATER_THAN_OR_EQUAL:
		return left >= right
	case unix.AUDIT_BIT_MASK:
		return left&right != 0
	case unix.AUDIT_BIT_TEST:
		return left&right == right
	}
	return false
}

// aboutFiles reports whether a field tests something that only calls with a path or an
// internet address have. Neither sending a signal nor reading the socket has one.
func aboutFiles(kind uint32) bool {
	switch kind {
	case unix.AUDIT_DEVMAJOR, unix.AUDIT_DEVMINOR, unix.AUDIT_INODE, unix.AUDIT_WATCH, unix.AUDIT_PERM, unix.AUDIT_DIR,
		unix.AUDIT_FILETYPE, unix.AUDIT_OBJ_UID, unix.AUDIT_OBJ_GID, unix.AUDIT_OBJ_USER, unix.AUDIT_OBJ_ROLE,
		unix.AUDIT_OBJ_TYPE, unix.AUDIT_OBJ_LEV_LOW, unix.AUDIT_OBJ_LEV_HIGH, unix.AUDIT_SADDR_FAM:
		return true
	}
	return false
}

// argumentFields are the fields of the arguments that hold a signal.
var argumentFields = map[string]uint32{"a1": unix.AUDIT_ARG1, "a2": unix.AUDIT_ARG2}

// calls returns what the rule should record: each of its system calls with each of the signals.
func (r Rule) calls(signals []kill.Signal) []call {
	var calls []call
	for _, name := range r.syscalls {
		for _, signal := range signals {
			calls = append(calls, newCall(r.arch.name, name, caller{values: map[uint32]uint32{
				argumentFields[r.argument]: uint32(signal),
			}})...)
		}
	}
	return calls
}

// busy are the system calls that a Go program makes all the time when it reads a socket and
// hands on what it has read.
var busy = []string{
	"read", "write", "writev", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg",
	"poll", "ppoll", "epoll_wait", "epoll_pwait", "futex", "nanosleep", "clock_nanosleep", "sched_yield",
	"madvise", "rt_sigreturn", "getpid",
}

// ownCalls returns the calls that the collector itself makes all the time. They include
// signals: the Go runtime interrupts its own threads with SIGURG.
func ownCalls(self caller) []call {
	name, known := map[string]string{"amd64": "x86_64", "386": "i386", "arm64": "aarch64"}[runtime.GOARCH]
	if !known {
		name = runtime.GOARCH
	}
	var calls []call
	for _, syscall := range busy {
		calls = append(calls, newCall(name, syscall, self)...)
	}
	self.values = maps.Clone(self.values)
	self.values[unix.AUDIT_ARG2] = uint32(unix.SIGURG)
	return append(calls, newCall(name, "tgkill", self)...)
}

// newCall returns a call by the given kind of callers; none if they do not have it.
func newCall(arch, name string, by caller) []call {
	by.values = maps.Clone(by.values)
	for id, known := range auparse.AuditArchNames {
		if known == arch {
			by.values[unix.AUDIT_ARCH] = uint32(id)
		}
	}
	for number, known := range auparse.AuditSyscalls[arch] {
		if known == name {
			return []call{{number: number, caller: by}}
		}
	}
	return nil
}
