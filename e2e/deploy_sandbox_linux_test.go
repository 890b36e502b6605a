// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What systemd does to a process before it becomes a service, and a container runtime
// before it becomes a container, done by this program.

const sandboxVariable = "AUDITKILL_E2E_SANDBOX"

func init() { roles["sandbox"] = enterSandbox }

// sandbox is what remains to a process.
type sandbox struct {
	Command, Environment []string
	UID, GID             int
	Groups               []uint32 // beside the GID
	Ambient, Bounding    uint64
	NoNewPrivileges      bool

	// Root is the root directory of a container; empty for a service.
	Root string
	// Binds are folders and files by where they are seen, in this order. What is not
	// Writable is read-only.
	Binds    []bind
	Writable []string
	// Temporary are folders that are empty at first, among them /tmp.
	Temporary []string
	// Inaccessible are folders and files that cannot be opened, if they exist.
	Inaccessible []string

	// Calls are the numbers of the system calls that are permitted.
	Calls              []uint32
	Families           []uint32
	NoExecutableMemory bool
}

// bind has something of the host be seen somewhere else.
type bind struct{ From, To string }

// start starts the collector in new namespaces.
func (s *sandbox) start(t *testing.T, namespaces uintptr) *collector {
	t.Helper()
	wish, err := json.Marshal(s)
	require.NoError(t, err)
	return startCommand(t, 0, func(command *exec.Cmd) {
		command.Path, command.Args = os.Args[0], os.Args[:1]
		command.Env = []string{roleVariable + "=sandbox", sandboxVariable + "=" + string(wish)}
		attributes(command).Cloneflags = namespaces
		attributes(command).Pdeathsig = unix.SIGTERM // if the test is interrupted
	})
}

// assertRights asserts that a process is who it should be and may do no more.
func (s *sandbox) assertRights(t *testing.T, pid int) {
	t.Helper()
	got := processStatus(t, pid)
	four := func(id int) string { return strings.Join(slices.Repeat([]string{strconv.Itoa(id)}, 4), " ") }
	groups := strings.Trim(fmt.Sprint(s.Groups), "[]")
	for name, want := range map[string]string{"Uid": four(s.UID), "Gid": four(s.GID), "Groups": groups, "NoNewPrivs": "1"} {
		assert.Equal(t, want, got[name], name)
	}
	for name, want := range map[string]uint64{
		"CapEff": s.Ambient, "CapPrm": s.Ambient, "CapInh": s.Ambient, "CapAmb": s.Ambient, "CapBnd": s.Bounding,
	} {
		set, err := strconv.ParseUint(got[name], 16, 64)
		require.NoError(t, err)
		assert.Equal(t, want, set, name)
	}
}

// processStatus returns what /proc/PID/status says.
func processStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	status := make(map[string]string)
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	return status
}

// enterSandbox becomes the service. It starts in a mount namespace of its own.
func enterSandbox() {
	runtime.LockOSThread() // what follows is about this thread, which execve makes the process
	var s sandbox
	must("reading the sandbox", json.Unmarshal([]byte(os.Getenv(sandboxVariable)), &s))
	s.mount()
	s.dropRights()
	s.filterCalls()
	must("starting "+s.Command[0], unix.Exec(s.Command[0], s.Command, s.Environment))
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// mount takes files away.
func (s *sandbox) mount() {
	must("making mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	writable := s.Writable
	if s.Root != "" { // a mount of its own, so that it can be read-only
		must("binding "+s.Root, unix.Mount(s.Root, s.Root, "", unix.MS_BIND, ""))
	}
	for _, b := range s.Binds {
		must("binding "+b.To, unix.Mount(b.From, s.Root+b.To, "", unix.MS_BIND|unix.MS_REC, ""))
	}
	if s.Root != "" {
		must("mounting /proc", unix.Mount("proc", s.Root+"/proc", "proc", 0, ""))
		must("entering "+s.Root, unix.Chroot(s.Root))
		must("entering "+s.Root, unix.Chdir("/"))
	}
	for _, path := range s.Temporary {
		must("emptying "+path, unix.Mount("none", path, "tmpfs", 0, "mode=1777"))
		writable = append(writable, path)
	}
	s.hide()
	// Also /proc and /sys, which ProtectSystem=strict leaves to other settings.
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	must("making all read-only", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, attr))
	for _, path := range writable {
		attr := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
		must("making "+path+" writable", unix.MountSetattr(unix.AT_FDCWD, path, 0, attr))
	}
}

// hide makes files inaccessible.
func (s *sandbox) hide() {
	if len(s.Inaccessible) == 0 {
		return
	}
	// What systemd has in /run/systemd/inaccessible for this.
	folder, file := "/tmp/.no-folder", "/tmp/.no-file"
	must("making something empty", os.Mkdir(folder, 0))
	must("making something empty", os.WriteFile(file, nil, 0))
	for _, path := range s.Inaccessible {
		info, err := os.Stat(path)
		if err != nil {
			continue // not there on this host
		}
		nothing := file
		if info.IsDir() {
			nothing = folder
		}
		must("hiding "+path, unix.Mount(nothing, path, "", unix.MS_BIND, ""))
	}
}

// dropRights makes of root a user with the capabilities of a service.
func (s *sandbox) dropRights() {
	last := unix.CAP_LAST_CAP
	for c := range last + 1 {
		if s.Bounding&(1<<c) == 0 {
			must("dropping a capability", unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0))
		}
	}
	must("keeping capabilities", unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
	for call, arguments := range map[uintptr][3]uintptr{
		unix.SYS_SETGROUPS: {uintptr(len(s.Groups)), uintptr(unsafe.Pointer(unsafe.SliceData(s.Groups))), 0}, //nolint:gosec // setgroups(2) takes a pointer
		unix.SYS_SETRESGID: {uintptr(s.GID), uintptr(s.GID), uintptr(s.GID)},
	} {
		must("changing the group", raw(call, arguments))
	}
	must("changing the user", raw(unix.SYS_SETRESUID, [3]uintptr{uintptr(s.UID), uintptr(s.UID), uintptr(s.UID)}))
	low, high := uint32(s.Ambient), uint32(s.Ambient>>32)
	data := [2]unix.CapUserData{
		{Effective: low, Permitted: low, Inheritable: low}, {Effective: high, Permitted: high, Inheritable: high},
	}
	must("setting capabilities", unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]))
	for c := range last + 1 {
		if s.Ambient&(1<<c) != 0 {
			must("raising a capability", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0))
		}
	}
	if s.NoNewPrivileges {
		must("setting no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	}
}

// raw makes a system call for this thread only, where package syscall would make it for
// all of them.
func raw(call uintptr, a [3]uintptr) error {
	if _, _, errno := unix.RawSyscall(call, a[0], a[1], a[2]); errno != 0 {
		return errno
	}
	return nil
}

// The fields of struct seccomp_data (include/uapi/linux/seccomp.h).
const (
	dataCall      = 0
	dataArch      = 4
	dataArguments = 16
)

// filterCalls refuses all other system calls, as systemd's seccomp-util.c does.
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

// when answers if a comparison holds, unless if it does not.
func (f *filter) when(comparison uint16, k, answer uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: k, Jf: 1})
	f.answer(answer)
}

func (f *filter) unless(comparison uint16, k, answer uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: k, Jt: 1})
	f.answer(answer)
}

// call looks at an argument of a system call. What it does not answer goes on.
func (f *filter) call(call uint32, argument int, look func(*filter)) {
	var inner filter
	inner.load(uint32(dataArguments + 8*argument)) // the lower half, on little-endian processors
	look(&inner)
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
// SystemCallFilter= let through.
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
		if n, there := numbers[call]; there { // others are those of other processors
			calls = append(calls, n)
		}
	}
	slices.Sort(calls)
	return calls
}

// callsIn returns the system calls of one of systemd's groups, or the one that is named.
func callsIn(t *testing.T, name string) map[string]bool {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return map[string]bool{name: true}
	}
	said, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", name).Output()
	if err != nil {
		missing(t, "systemd-analyze does not tell which system calls are in "+name+"; on Debian: apt-get install systemd")
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

// otherNames are what systemd calls what ausyscall knows by its old name.
var otherNames = map[string]string{"pread": "pread64", "pwrite": "pwrite64"}

// callNumbers returns the numbers of the system calls of this processor.
func callNumbers(t *testing.T) map[string]uint32 {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "ausyscall", "--dump").Output()
	if err != nil {
		missing(t, "ausyscall does not tell the numbers of system calls; on Debian: apt-get install auditd")
	}
	numbers := make(map[string]uint32)
	for line := range strings.Lines(string(said)) {
		if words := strings.Fields(line); len(words) == 2 && words[0][0] >= '0' && words[0][0] <= '9' {
			numbers[cmp.Or(otherNames[words[1]], words[1])] = uint32(number(words[0]))
		}
	}
	require.Contains(t, numbers, "bpf")
	return numbers
}
