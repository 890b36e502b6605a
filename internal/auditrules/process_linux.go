// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procfs is where the processes are, usually /proc.
type procfs string

func (p procfs) read(pid int, file string) []byte {
	content, _ := os.ReadFile(filepath.Join(string(p), strconv.Itoa(pid), file)) // missing is as good as empty
	return content
}

// name returns the name of a process that runs; empty if it does not, or waits
// for its parent to notice that it has ended.
func (p procfs) name(pid int) string {
	// pid (name) state ..., and the name may hold brackets and spaces
	stat := p.read(pid, "stat")
	begin, end := bytes.IndexByte(stat, '('), bytes.LastIndex(stat, []byte(") "))
	if begin < 0 || end < begin || bytes.ContainsAny(stat[end+2:end+3], "ZXx") {
		return ""
	}
	return string(stat[begin+1 : end])
}

// sameProgram reports whether two processes run and have the same name.
func (p procfs) sameProgram(pid, other int) bool {
	name := p.name(pid)
	return name != "" && name == p.name(other)
}

// caller returns what rules can ask about a process with our user.
func (p procfs) caller(pid int) caller {
	self := caller{values: map[uint32]uint32{
		unix.AUDIT_PID: uint32(pid),
		unix.AUDIT_UID: uint32(os.Getuid()), unix.AUDIT_EUID: uint32(os.Geteuid()),
		unix.AUDIT_GID: uint32(os.Getgid()), unix.AUDIT_EGID: uint32(os.Getegid()),
	}}
	self.executable, _ = os.Executable() // then rules that ask for it may apply
	login, err := strconv.ParseUint(strings.TrimSpace(string(p.read(pid, "loginuid"))), 10, 32)
	if err == nil {
		self.values[unix.AUDIT_LOGINUID] = uint32(login)
		self.values[unix.AUDIT_LOGINUID_SET] = 0
		if login != math.MaxUint32 {
			self.values[unix.AUDIT_LOGINUID_SET] = 1
		}
	}
	return self
}

// bootParameter reports whether the kernel was started with a parameter such as
// audit=1.
func (p procfs) bootParameter(parameter string) bool {
	line, err := os.ReadFile(filepath.Join(string(p), "cmdline"))
	return err == nil && slices.Contains(strings.Fields(string(line)), parameter)
}
