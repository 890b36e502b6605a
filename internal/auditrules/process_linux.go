// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procfs is the folder of the processes, usually /proc.
type procfs string

func (p procfs) read(pid int, file string) []byte {
	content, _ := os.ReadFile(filepath.Join(string(p), strconv.Itoa(pid), file)) // a missing file counts as empty
	return content
}

// name returns the name of a running process; empty if it does not run, or is a zombie.
func (p procfs) name(pid int) string {
	// pid (name) state ..., where the name may contain parentheses and spaces
	stat := p.read(pid, "stat")
	begin, end := bytes.IndexByte(stat, '('), bytes.LastIndex(stat, []byte(") "))
	if begin < 0 || end < begin || bytes.ContainsAny(stat[end+2:end+3], "ZXx") {
		return ""
	}
	return string(stat[begin+1 : end])
}

// mayManage reports whether a process may be one that manages rules, as self does. Only
// certainty speaks against it. Removing the rules of a running process would blind it,
// while leaving those of one that has ended costs little.
func (p procfs) mayManage(pid, self int) bool {
	const first = 1 // always exists: if it cannot be seen (hidepid), many others cannot either
	name := p.name(pid)
	if name == "" {
		return p.name(first) == ""
	}
	return name == p.name(self) || p.mayContainUs(pid)
}

// mayContainUs reports whether the program that a process runs may contain this package:
// that is the companion, or a collector, which anyone may have built under any name.
func (p procfs) mayContainUs(pid int) bool {
	program, err := os.Open(filepath.Join(string(p), strconv.Itoa(pid), "exe"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // a kernel thread runs no program
	}
	defer program.Close()
	info, err := buildinfo.Read(program)
	return err == nil && mayContainUs(info) // otherwise it was not built by Go
}

// module is the module of this package.
const module = "github.com/auditkill/auditkillreceiver"

// mayContainUs reports whether a program contains this module. Not every build lists its
// modules (Bazel).
func mayContainUs(info *buildinfo.BuildInfo) bool {
	unknown := info.Main.Path == "" && len(info.Deps) == 0
	return unknown || info.Main.Path == module ||
		slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module })
}

// caller returns what rules can test about a process that runs as the current user.
func (p procfs) caller(pid int) caller {
	self := caller{values: map[uint32]uint32{
		unix.AUDIT_PID: uint32(pid),
		unix.AUDIT_UID: uint32(os.Getuid()), unix.AUDIT_EUID: uint32(os.Geteuid()),
		unix.AUDIT_GID: uint32(os.Getgid()), unix.AUDIT_EGID: uint32(os.Getegid()),
	}}
	self.executable, _ = os.Executable() // if unknown, rules that test it may apply
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

// bootParameter reports whether the kernel was booted with a parameter such as audit=1.
func (p procfs) bootParameter(parameter string) bool {
	line, err := os.ReadFile(filepath.Join(string(p), "cmdline"))
	return err == nil && slices.Contains(strings.Fields(string(line)), parameter)
}
