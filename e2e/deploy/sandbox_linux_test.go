// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
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

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// This program does to a process what systemd does before it runs a service, and a container runtime
// before it runs a container.

const sandboxVariable = "AUDITKILL_E2E_SANDBOX"

func init() { harness.Roles["sandbox"] = enterSandbox }

// sandbox describes the restrictions of a process.
type sandbox struct {
	Command, Environment []string
	UID, GID             int
	Groups               []uint32 // in addition to GID
	Ambient, Bounding    uint64
	NoNewPrivileges      bool

	// Root is the root directory of a container; empty for a service.
	Root string
	// Binds are bind mounts, made in this order. Everything that is not Writable is
	// read-only.
	Binds    []bind
	Writable []string
	// Temporary are folders that get an empty file system, among them /tmp.
	Temporary []string
	// Inaccessible are folders and files that cannot be opened, if they exist.
	Inaccessible []string

	// Calls are the numbers of the allowed system calls.
	Calls              []uint32
	Families           []uint32
	NoExecutableMemory bool
	// NoSetIDFiles takes openat2(2) away, whose arguments cannot be checked. The rest of that needs no test.
	NoSetIDFiles bool
}

// bind makes a file or folder of the host visible at another path.
type bind struct{ From, To string }

// start starts the collector in new namespaces.
func (s *sandbox) start(t *testing.T, namespaces uintptr) *collector.Collector {
	t.Helper()
	settings, err := json.Marshal(s)
	require.NoError(t, err)
	return collector.StartCommand(t, 0, func(command *exec.Cmd) {
		command.Path, command.Args = os.Args[0], os.Args[:1]
		command.Env = []string{harness.RoleVariable + "=sandbox", sandboxVariable + "=" + string(settings)}
		harness.Attributes(command).Cloneflags = namespaces
		harness.EndWithTest(command)
	})
}

// assertRights asserts that a process has exactly the user, groups and capabilities of the sandbox.
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

// processStatus returns the fields of /proc/PID/status.
func processStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	status := make(map[string]string)
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	return status
}

// enterSandbox applies the restrictions, and executes the command. It must run in its own mount namespace.
func enterSandbox() {
	runtime.LockOSThread() // rights belong to a thread, and execve keeps only this one
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

// mount sets up the file system.
func (s *sandbox) mount() {
	must("making mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	writable := s.Writable
	if s.Root != "" { // only a mount can be made read-only
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
	// This includes /proc and /sys, which ProtectSystem=strict leaves to other settings.
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	must("making everything read-only", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, attr))
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
	// systemd has such a folder and file in /run/systemd/inaccessible.
	folder, file := "/tmp/.no-folder", "/tmp/.no-file"
	must("making "+folder, os.Mkdir(folder, 0))
	must("making "+file, os.WriteFile(file, nil, 0))
	for _, path := range s.Inaccessible {
		info, err := os.Stat(path)
		if err != nil {
			continue // does not exist on this host
		}
		nothing := file
		if info.IsDir() {
			nothing = folder
		}
		must("hiding "+path, unix.Mount(nothing, path, "", unix.MS_BIND, ""))
	}
}

// dropRights turns root into a user with the capabilities of the sandbox.
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

// raw makes a system call for this thread only. Package syscall would make it for all
// threads.
func raw(call uintptr, a [3]uintptr) error {
	if _, _, errno := unix.RawSyscall(call, a[0], a[1], a[2]); errno != 0 {
		return errno
	}
	return nil
}

const (
	dataArch      = 4
	dataArguments = 16
)
