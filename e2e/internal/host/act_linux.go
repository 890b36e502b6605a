// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Mysqld is a service that runs until it is told to end. Settings of its section may follow.
const Mysqld = "[Service]\nExecStart=/usr/local/sbin/mysqld infinity\n"

// Stubborn is a service that does not end when it is told to. It has started once it ignores that.
const Stubborn = "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; exec /usr/local/sbin/mysqld infinity'\n" +
	"ExecStartPost=/bin/sh -c 'until grep -q mysqld /proc/${MAINPID}/comm; do sleep 0.01; done'\n"

// File returns the path, on this machine, of a file of the host.
func (h *Host) File(path string) string {
	return filepath.Join("/proc", strconv.Itoa(h.PID), "root", path)
}

// Write writes a file of the host. Its folder is made if necessary.
func (h *Host) Write(path, content string, mode os.FileMode) {
	h.t.Helper()
	require.NoError(h.t, os.MkdirAll(filepath.Dir(h.File(path)), 0o755))
	require.NoError(h.t, os.WriteFile(h.File(path), []byte(content), mode))
	require.NoError(h.t, os.Chmod(h.File(path), mode))
}

// Install copies a program of this machine to the host, for everybody there to run.
func (h *Host) Install(from, to string) {
	h.t.Helper()
	harness.CopyProgram(h.t, from, h.File(to))
}

// Service defines a service, or defines it anew. It is not started.
func (h *Host) Service(name, unit string) {
	h.t.Helper()
	h.Write("/etc/systemd/system/"+name+".service", unit, 0o644)
	h.Root("systemctl", "daemon-reload")
}

// Root runs a program as root does without a login, such as another daemon, and returns its output. The program
// must succeed.
func (h *Host) Root(program string, arguments ...string) string {
	h.t.Helper()
	return h.succeed(h.Command(program, arguments...))
}

// Try is like Root, but the program may fail.
func (h *Host) Try(program string, arguments ...string) (string, error) {
	said, err := h.Command(program, arguments...).CombinedOutput()
	return string(said), err
}

// Background runs a program beside the test, as Root does, until it ends or Terminate is called.
func (h *Host) Background(program string, arguments ...string) *harness.Process {
	h.t.Helper()
	return h.beside(h.Command(program, arguments...))
}

func (h *Host) beside(command *exec.Cmd) *harness.Process {
	h.t.Helper()
	harness.EndWithTest(command)
	process := harness.StartProcess(h.t, command, new(harness.Output))
	h.t.Cleanup(func() { process.Terminate() })
	return process
}

func (h *Host) succeed(command *exec.Cmd) string {
	h.t.Helper()
	said, err := command.CombinedOutput()
	require.NoError(h.t, err, "%s\n%s", command, said)
	return strings.TrimSpace(string(said))
}

// enter runs a program in a process of its own, and ends with it. nsenter would do so, too, but stops for good when
// systemd stops all processes in order to end them; and systemd waits until somebody has taken note of their ends.
const enter = `"$@" & trap 'kill $!; wait $!; exit' TERM; wait $!`

// AllowContainers lets the host run containers of its own. systemd-nspawn forbids it the hierarchies of control groups
// version 1, of which runc needs one.
func (h *Host) AllowContainers() {
	h.t.Helper()
	h.Root("sh", "-ec", `test -e /sys/fs/cgroup/devices || exit 0
mount -o remount,bind,rw /sys/fs/cgroup/devices
for group in /sys/fs/cgroup/*/cgroup.procs; do
	folder=${group%/cgroup.procs}
	case $folder in */devices | */unified | */systemd) ;; *) umount "$folder" ;; esac
done`)
}

// Command returns a command in the namespaces of the host. Its control group is that of this process.
func (h *Host) Command(program string, arguments ...string) *exec.Cmd {
	words := []string{
		"--target", strconv.Itoa(h.PID), "--all", "--no-fork", "--", "/bin/sh", "-c", enter, "sh", "/usr/bin/env", "-i",
		"HOME=/root", "LANG=C", "SHELL=/bin/sh", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"setpriv", "--pdeathsig", "TERM", program,
	}
	command := exec.CommandContext(h.t.Context(), "nsenter", append(words, arguments...)...) //nolint:gosec // a test's own
	command.Cancel, command.WaitDelay = func() error { return command.Process.Signal(syscall.SIGTERM) }, harness.Patience
	return command
}

// SSH logs in as a user from an address of the host, 10.0.0.5 or 127.0.0.1, runs a command line, and logs out. The
// command must succeed.
func (h *Host) SSH(user, from, line string) string {
	h.t.Helper()
	return h.succeed(h.ssh(user, from, line))
}

// Start logs in, and runs a command line beside the test, until that ends or Terminate is called.
func (h *Host) Start(user, from, line string) *harness.Process {
	h.t.Helper()
	return h.beside(h.ssh(user, from, line))
}

// ssh is given a terminal, so that a login ends with the connection.
func (h *Host) ssh(user, from, line string) *exec.Cmd {
	return h.Command("ssh", "-tt", "-b", from, user+"@127.0.0.1", line)
}

// MainPID returns the pid, on this machine, of the main process of a service, and waits until it has one.
func (h *Host) MainPID(service string) (pid int) {
	h.t.Helper()
	harness.Until(h.t, func() bool { return pid > 0 }, func() {
		pid = h.Outer(harness.Number(h.Root("systemctl", "show", "--property=MainPID", "--value", service)))
	}, service+" runs")
	return pid
}

// Outer returns the pid, on this machine, of a process with a pid in the host, which may be in a container of the host;
// 0 if there is none.
func (h *Host) Outer(inner int) int {
	level := len(pids(h.PID)) - 1
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid := harness.Number(filepath.Base(path))
		if all := pids(pid); len(all) > level && level >= 0 && all[level] == strconv.Itoa(inner) && h.has(pid) {
			return pid
		}
	}
	return 0
}

// pids returns the pids of a process in its namespaces, the outermost first; none if it has ended.
func pids(pid int) []string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "NSpid:" {
			return fields[1:]
		}
	}
	return nil
}

// has reports whether a process is in the host's namespace of pids, or in one below: it descends from one that is.
func (h *Host) has(pid int) bool {
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", h.PID))
	for pid > 1 {
		if namespace, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); namespace == own {
			return true
		}
		stat := harness.Stat(pid)
		if len(stat) < 2 { // it has ended
			return false
		}
		pid = harness.Number(stat[1])
	}
	return false
}
