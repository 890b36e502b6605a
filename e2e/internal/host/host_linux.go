// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package host boots a Debian with a real systemd, in a container of this machine that has a network of its own.
//
// A test boots a host, changes it, and acts in it:
//
//	h := host.Boot(t)
//	h.Service("mysql", host.Mysqld)                       // a unit file; its program is a sleep with the name mysqld
//	h.Root("systemctl", "start", "mysql")                 // a script or a tool of root without a login
//	target := h.MainPID("mysql")                          // the pid on this machine, as events have it
//	h.SSH("alice", "10.0.0.5", "sudo systemctl stop mysql") // logs in from that address, and runs a command
//	h.Start("alice", "10.0.0.5", "sleep 600")             // the same beside the test: its login lasts
//	h.PowerOff()
//
// host.Boot(t, "docker.io") has a Docker as well, which runs as Debian starts it.
//
// h.PID is the pid of the host's systemd on this machine, and /proc/<h.PID>/root (h.File) its file system. alice
// may do everything by sudo, bob nothing. When the test ends, nothing is left of the host.
package host

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// tools are the programs that it takes, by their Debian packages.
var tools = map[string]string{"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "ip": "iproute2"}

// prefix is how the names of the control groups begin.
const prefix = "auditkill-e2e-"

// booted numbers the hosts of a test process.
var booted atomic.Int32

// Host is a Debian that runs in a container.
type Host struct {
	// Name is its host name, and Address that in its Network, if it is in one.
	Name, Address string
	// PID is the pid of its systemd on this machine.
	PID int

	t *testing.T
	// container is systemd-nspawn.
	container *harness.Process
	// cgroups are those that the container was put into, one for each hierarchy that systemd uses.
	cgroups []string
}

// start makes a file system that forgets all changes, in mount and control groups of its own, and boots it. It is
// one process, so that the end of the test process ends everything.
const start = `set -eu
root=$1 name=$2
shift 2
for group; do echo $$ >"$group/cgroup.procs"; done
mount -t tmpfs -o size=512M,mode=755 none "$root"
mkdir "$root/upper" "$root/work" "$root/root"
mount -t overlay -o "lowerdir=$IMAGE,upperdir=$root/upper,workdir=$root/work" none "$root/root"
tr -d - </proc/sys/kernel/random/uuid >"$root/root/etc/machine-id" # no two hosts have the same
exec systemd-nspawn --quiet --directory="$root/root" --boot --machine="host-$name" --hostname="$HOST" "$NETWORK" --private-users=no \
	--register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off --console=pipe --capability="$CAPABILITIES"
`

// Boot boots a host, on which packages of Debian are installed besides, and waits until it is up. If this machine
// cannot, or a package cannot be had, the test is skipped; the former fails in CI.
func Boot(t *testing.T, packages ...string) *Host {
	t.Helper()
	return BootWith(t, "", packages...)
}

// BootWith does the same, and grants the host capabilities that containers do not have, such as CAP_SYSLOG.
func BootWith(t *testing.T, capabilities string, packages ...string) *Host {
	t.Helper()
	h := boot(t, "db1", nil, "--private-network", capabilities, packages)
	h.Root("ip", "address", "add", "10.0.0.5/8", "dev", "lo")
	return h
}

// boot boots a host by a command line to which it is appended; network is systemd-nspawn's flag for it.
func boot(t *testing.T, name string, by []string, network, capabilities string, packages []string) *Host {
	t.Helper()
	needTools(t)
	lower := image(t, packages)
	h := &Host{t: t, Name: name}
	unique := fmt.Sprintf("%d-%d", os.Getpid(), booted.Add(1))
	h.makeCgroups(unique)
	arguments := slices.Concat(by, []string{
		"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", start, "sh", t.TempDir(), unique,
	}, h.cgroups)
	command := exec.Command(arguments[0], arguments[1:]...) //nolint:gosec // a test's own
	// Otherwise systemd-nspawn forbids audit sockets.
	command.Env = append(os.Environ(), "IMAGE="+lower, "SYSTEMD_SECCOMP=0", "CAPABILITIES="+capabilities, "HOST="+name, "NETWORK="+network)
	harness.EndWithTest(command)
	h.container = harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(h.end)
	harness.Until(t, func() bool { h.PID = h.init(); return h.PID > 0 }, func() {
		if h.container.Gone() {
			harness.Missing(t, "systemd-nspawn cannot boot a container here:\n"+h.container.Output.Tail())
		}
	}, "the container has an init")
	harness.Until(t, func() bool {
		text, _ := h.Command("systemctl", "is-system-running").Output() // says so by its exit status, too
		state := strings.TrimSpace(string(text))
		return state == "running" || state == "degraded" && len(packages) > 0 // not every service works in a container
	}, func() {
		require.False(t, h.container.Gone(), "%s", h.container.Output.Tail())
	}, "the host is up")
	return h
}

// needTools skips a test where a tool is missing; in CI it fails.
func needTools(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	for program, debian := range tools {
		if _, err := exec.LookPath(program); err != nil {
			harness.Missing(t, fmt.Sprintf("%s is missing (apt-get install %s)", program, debian))
		}
	}
}

// init returns the pid of the first process in the container; 0 if it is not there yet.
func (h *Host) init() int {
	for _, path := range children(h.container.PID()) {
		status, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(path), "status"))
		for line := range strings.Lines(string(status)) {
			if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "NSpid:" && fields[len(fields)-1] == "1" {
				return path
			}
		}
	}
	return 0
}

// children returns the pids of the processes that a process has started.
func children(pid int) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	var all []int
	for _, path := range paths {
		child := harness.Number(filepath.Base(filepath.Dir(path)))
		if stat := harness.Stat(child); len(stat) > 1 && stat[1] == strconv.Itoa(pid) {
			all = append(all, child)
		}
	}
	return all
}

// Group returns the name of its control group, below which all of its processes are.
func (h *Host) Group() string { return filepath.Base(h.cgroups[0]) }

// makeCgroups makes a control group for the container in each hierarchy that systemd and container runtimes use. Two
// containers would share those of this process otherwise.
func (h *Host) makeCgroups(name string) {
	h.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(h.t, err)
	for line := range strings.Lines(string(mounts)) {
		mount, filesystem, _ := strings.Cut(strings.TrimSpace(line), " - ")
		kind := strings.Fields(filesystem)
		options := kind[len(kind)-1]
		if kind[0] != "cgroup2" && !strings.Contains(options, "name=systemd") && !strings.HasSuffix(options, ",devices") {
			continue
		}
		group := filepath.Join(strings.Fields(mount)[4], prefix+name)
		removeLeft(filepath.Dir(group))
		require.NoError(h.t, os.Mkdir(group, 0o755))
		h.cgroups = append(h.cgroups, group)
	}
}

// slowEnd is after how long end reports what keeps the host from powering off: less than its systemd waits for a service.
const slowEnd = 15 * time.Second

// end ends the host, in good order if possible, and takes away what it leaves behind.
func (h *Host) end() {
	terminated := make(chan bool)
	go func() { terminated <- h.container.Terminate() }() // systemd-nspawn has systemd power off
	late := time.AfterFunc(slowEnd, func() { h.t.Logf("the host still runs:\n%s", h.running()) })
	assert.True(h.t, <-terminated, "the host did not power off")
	late.Stop()
	if h.t.Failed() {
		h.t.Logf("what the host has said:\n%s", h.container.Output.Tail())
	}
	for _, group := range h.cgroups {
		harness.Eventually(h.t, func() bool { return removeTree(group) == nil }, "%s is empty", group)
	}
}

// running describes the processes of the host.
func (h *Host) running() string {
	var all strings.Builder
	for _, group := range h.cgroups {
		_ = filepath.WalkDir(group, func(path string, _ fs.DirEntry, _ error) error {
			pids, _ := os.ReadFile(filepath.Join(path, "cgroup.procs")) // no folder of a group, or one that is gone
			for pid := range strings.FieldsSeq(string(pids)) {
				title, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
				fmt.Fprintf(&all, "%s\t%s\t%s\n", strings.TrimPrefix(path, group), pid, strings.ReplaceAll(string(title), "\x00", " "))
			}
			return nil
		})
	}
	return all.String()
}

// removeLeft removes the control groups of tests that were interrupted. Those of a test that still runs are named
// after its process.
func removeLeft(mount string) {
	left, _ := filepath.Glob(filepath.Join(mount, prefix+"*"))
	for _, group := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(group), prefix), "-")
		if !harness.Exists("/proc/" + pid) {
			_ = removeTree(group) // which fails while it is in use
		}
	}
}

// removeTree removes a control group with those below it.
func removeTree(group string) error {
	entries, _ := os.ReadDir(group)
	for _, entry := range entries {
		if entry.IsDir() {
			_ = removeTree(filepath.Join(group, entry.Name())) // shows when its parent is removed
		}
	}
	err := syscall.Rmdir(group)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// PowerOff shuts the host down, as root without a login does, and waits until it is off. Nothing can be done
// with it afterwards.
func (h *Host) PowerOff() {
	h.t.Helper()
	_ = h.Command("systemctl", "poweroff").Run() // it may end before it can report
	h.AwaitOff()
}

// AwaitOff waits until the host is off.
func (h *Host) AwaitOff() {
	h.t.Helper()
	_, ended := h.container.Wait()
	require.True(h.t, ended, "the host is still on:\n%s", h.container.Output.Tail())
}
