// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"cmp"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The fields of struct seccomp_data (include/uapi/linux/seccomp.h).
const (
	dataCall = 0
)

// filterCalls refuses all system calls that are not allowed, as systemd's seccomp-util.c does.
func (s *sandbox) filterCalls() {
	if len(s.Calls) == 0 {
		return
	}
	var f filter
	f.load(dataArch)
	f.unless(unix.BPF_JEQ, auditArchitectures[runtime.GOARCH], unix.SECCOMP_RET_KILL_PROCESS)
	f.load(dataCall)
	f.call(unix.SYS_SOCKET, 0, func(g *filter) {
		for _, family := range s.Families {
			g.when(unix.BPF_JEQ, family, unix.SECCOMP_RET_ALLOW)
		}
		g.answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT))
	})
	if s.NoExecutableMemory {
		const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		f.call(unix.SYS_MMAP, 2, func(g *filter) {
			g.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, unix.PROT_WRITE|unix.PROT_EXEC)
			g.when(unix.BPF_JEQ, unix.PROT_WRITE|unix.PROT_EXEC, refused)
		})
		f.call(unix.SYS_MPROTECT, 2, func(g *filter) { g.when(unix.BPF_JSET, unix.PROT_EXEC, refused) })
	}
	if s.NoSetIDFiles {
		f.when(unix.BPF_JEQ, unix.SYS_OPENAT2, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
	}
	for _, call := range s.Calls {
		f.when(unix.BPF_JEQ, call, unix.SECCOMP_RET_ALLOW)
	}
	f.answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	must("filtering system calls", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER,
		uintptr(unsafe.Pointer(&program)), 0, 0)) //nolint:gosec // prctl(2) takes a pointer
}

// filter is a program of classic BPF.
type filter []unix.SockFilter

func (f *filter) add(code uint16, k uint32) { *f = append(*f, unix.SockFilter{Code: code, K: k}) }

func (f *filter) load(offset uint32) { f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }

func (f *filter) answer(k uint32) { f.add(unix.BPF_RET|unix.BPF_K, k) }

// when returns an action if a comparison holds, unless returns it if the comparison does not hold.
func (f *filter) when(comparison uint16, k, answer uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: k, Jf: 1})
	f.answer(answer)
}

func (f *filter) unless(comparison uint16, k, answer uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: k, Jt: 1})
	f.answer(answer)
}

// call runs a check of one argument for a system call. If the check does not return, the filter goes on.
func (f *filter) call(call uint32, argument int, check func(*filter)) {
	var inner filter
	inner.load(uint32(dataArguments + 8*argument)) // the lower half, on little-endian processors
	check(&inner)
	inner.load(dataCall)
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: uint8(len(inner))})
	*f = append(*f, inner...)
}

var auditArchitectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// families returns the numbers of address families.
func families(t *testing.T, names []string) []uint32 {
	t.Helper()
	numbers := map[string]uint32{
		"AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_UNIX": unix.AF_UNIX, "AF_NETLINK": unix.AF_NETLINK,
	}
	var families []uint32
	for _, name := range names {
		require.Contains(t, numbers, name)
		families = append(families, numbers[name])
	}
	return families
}

// systemCalls returns the numbers of the system calls that the values of
// SystemCallFilter= allow.
func systemCalls(t *testing.T, values []string) []uint32 {
	t.Helper()
	numbers := callNumbers(t)
	allowed := callsIn(t, "@default")
	for _, value := range values {
		names, without := strings.CutPrefix(value, "~")
		for name := range strings.FieldsSeq(names) {
			for call := range callsIn(t, name) {
				if without {
					delete(allowed, call)
				} else {
					allowed[call] = true
				}
			}
		}
	}
	var calls []uint32
	for call := range allowed {
		if n, there := numbers[call]; there { // the others exist only on other processors
			calls = append(calls, n)
		}
	}
	slices.Sort(calls)
	return calls
}

// callsIn returns the system calls in one of systemd's groups, or the single system call of that name.
func callsIn(t *testing.T, name string) map[string]bool {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return map[string]bool{name: true}
	}
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", name).Output()
	if err != nil {
		harness.Missing(t, "systemd-analyze cannot list the system calls in "+name+"; on Debian: apt-get install systemd")
	}
	calls := make(map[string]bool)
	for line := range strings.Lines(string(said)) {
		member := strings.TrimSpace(line)
		if member == "" || member[0] == '#' || member == name {
			continue
		}
		for call := range callsIn(t, member) {
			calls[call] = true
		}
	}
	require.NotEmpty(t, calls, name)
	return calls
}

// otherNames maps ausyscall's names of system calls to systemd's.
var otherNames = map[string]string{"pread": "pread64", "pwrite": "pwrite64"}

// callNumbers returns the numbers of the system calls of this processor.
func callNumbers(t *testing.T) map[string]uint32 {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "ausyscall", "--dump").Output()
	if err != nil {
		harness.Missing(t, "ausyscall cannot list the numbers of system calls; on Debian: apt-get install auditd")
	}
	numbers := make(map[string]uint32)
	for line := range strings.Lines(string(said)) {
		if words := strings.Fields(line); len(words) == 2 && words[0][0] >= '0' && words[0][0] <= '9' {
			numbers[cmp.Or(otherNames[words[1]], words[1])] = uint32(harness.Number(words[0]))
		}
	}
	require.Contains(t, numbers, "bpf")
	return numbers
}
