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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// auditRules record kill(2) with the signals of the load and no others: a Go
// program sends itself thousands, and so do the compilers that run beside.
var auditRules = []string{
	"always,exit -F arch=b64 -S kill -F a1=0 -k audit_kill",
	"always,exit -F arch=b64 -S kill -F a1=18 -k audit_kill",
}

// Daemon is a real audit daemon with a log and a configuration of its own.
type Daemon struct {
	t              *testing.T
	Log, directory string
	Command        *exec.Cmd
	ended          chan struct{}
	said           *harness.Output
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

// StartDaemon runs an audit daemon with our rules until the test ends, and then
// leaves everything as it was.
func StartDaemon(t *testing.T, settings string) *Daemon {
	t.Helper()
	Use(t)
	a := NewDaemon(t, settings)
	a.Run()
	a.load()
	return a
}

// NewDaemon prepares an audit daemon that does not run yet.
func NewDaemon(t *testing.T, settings string) *Daemon {
	t.Helper()
	directory := t.TempDir()
	a := &Daemon{t: t, Log: filepath.Join(directory, "log", "audit.log"), directory: directory, said: new(harness.Output)}
	require.NoError(t, os.Mkdir(filepath.Dir(a.Log), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "plugins.d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "auditd.conf"),
		fmt.Appendf(nil, auditdConfig, a.Log, filepath.Join(directory, "plugins.d"), settings), 0o640))
	t.Cleanup(func() {
		a.Stop()
		if t.Failed() {
			t.Logf("auditd said:\n%s", a.said.Tail())
		}
	})
	return a
}

// Run starts the daemon until it is registered with the kernel, and gives the
// kernel room for a burst.
func (a *Daemon) Run() {
	a.t.Helper()
	require.True(a.t, a.Attempt(), "auditd is registered")
	Auditctl(a.t, "-b", "32768")
	Auditctl(a.t, "-f", "1")
}

// Attempt starts the daemon and reports whether it could register.
func (a *Daemon) Attempt() bool {
	a.t.Helper()
	a.Command = exec.Command(Need(a.t), "-n", "-c", a.directory) //nolint:gosec // the path was looked up
	a.Command.Stdout, a.Command.Stderr = a.said, a.said
	a.Command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the test is interrupted
	require.NoError(a.t, a.Command.Start())
	ended := make(chan struct{})
	a.ended = ended
	go func(command *exec.Cmd) {
		defer close(ended)
		_ = command.Wait() // the state tells
	}(a.Command)
	pid, registered := a.Pid(), false
	harness.Eventually(a.t, func() bool {
		registered = Status(a.t)["pid"] == pid
		return registered || a.gone()
	}, "auditd registers or ends")
	return registered
}

func (a *Daemon) Pid() string { return strconv.Itoa(a.Command.Process.Pid) }

func (a *Daemon) gone() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// load installs our rules.
func (a *Daemon) load() {
	for _, rule := range auditRules {
		AddRule(a.t, rule)
	}
}

// Rotate makes the daemon begin a new file, as logrotate and cron do.
func (a *Daemon) Rotate() {
	assert.NoError(a.t, a.Command.Process.Signal(syscall.SIGUSR1))
}

func (a *Daemon) Kill() {
	_ = a.Command.Process.Kill()
	<-a.ended
}

func (a *Daemon) Stop() {
	if a.Command == nil {
		return // it never ran
	}
	_ = a.Command.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.ended:
	case <-time.After(harness.Patience):
		a.t.Errorf("auditd does not end, killing it")
		_ = a.Command.Process.Kill()
		<-a.ended
	}
}
