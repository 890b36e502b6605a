// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Daemon is a real auditd with its own log and configuration.
type Daemon struct {
	// Process is its latest process; nil if it never ran.
	*harness.Process

	// Log is the path of its log.
	Log string

	t         *testing.T
	directory string
	output    *harness.Output
}

const auditdConfig = `
local_events = yes
log_file = %s
log_group = root
flush = NONE
max_log_file = 1
max_log_file_action = ROTATE
name_format = NONE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = %s
%s
`

// NewDaemon prepares an auditd that does not run yet. settings are added to its configuration.
func NewDaemon(t *testing.T, settings string) *Daemon {
	t.Helper()
	return NewDaemonIn(t, t.TempDir(), settings)
}

// NewDaemonIn is NewDaemon with a directory that may outlive the test, and the log of
// another daemon that ran there.
func NewDaemonIn(t *testing.T, directory, settings string) *Daemon {
	t.Helper()
	a := &Daemon{t: t, Log: filepath.Join(directory, "log", "audit.log"), directory: directory, output: new(harness.Output)}
	require.NoError(t, os.MkdirAll(filepath.Dir(a.Log), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "plugins.d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "auditd.conf"),
		fmt.Appendf(nil, auditdConfig, a.Log, filepath.Join(directory, "plugins.d"), settings), 0o640))
	t.Cleanup(func() {
		a.Stop()
		if t.Failed() {
			t.Logf("output of auditd:\n%s", a.output.Tail())
		}
	})
	return a
}

const afUnixConfig = `
active = yes
direction = out
path = builtin_af_unix
type = builtin
args = %o %s
format = string
`

// OpenSocket makes the daemon write each record to a Unix socket as well, once it runs.
func (a *Daemon) OpenSocket(path string, mode os.FileMode) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(filepath.Join(a.directory, "plugins.d", "af_unix.conf"),
		fmt.Appendf(nil, afUnixConfig, mode, path), 0o640))
}

// Reload makes the daemon read its configuration again.
func (a *Daemon) Reload() { assert.NoError(a.t, a.Command.Process.Signal(syscall.SIGHUP)) }

// Run starts the daemon, waits until it is registered with the kernel, and makes room in the kernel
// for a burst of records.
func (a *Daemon) Run() {
	a.t.Helper()
	require.True(a.t, a.Attempt(), "auditd is registered")
	Auditctl(a.t, "-b", "32768")
	Auditctl(a.t, "-f", "1")
}

// Attempt starts the daemon, and reports whether it could register with the kernel.
func (a *Daemon) Attempt() bool {
	a.t.Helper()
	command := exec.Command(Need(a.t), "-n", "-c", a.directory) //nolint:gosec // the path was looked up
	harness.EndWithTest(command)
	a.Process = harness.StartProcess(a.t, command, a.output)
	pid, registered := strconv.Itoa(a.PID()), false
	harness.Eventually(a.t, func() bool {
		registered = Status(a.t)["pid"] == pid
		return registered || a.Gone()
	}, "auditd registers or ends")
	return registered
}

// Rotate makes the daemon start a new log file, as logrotate and cron do.
func (a *Daemon) Rotate() {
	assert.NoError(a.t, a.Command.Process.Signal(syscall.SIGUSR1))
}

// Stop ends the daemon, if it ever ran.
func (a *Daemon) Stop() {
	if a.Process != nil && !a.Terminate() {
		a.t.Errorf("auditd did not end when asked to, and was killed")
	}
}
