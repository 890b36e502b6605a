// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	// auditLock is held by whoever uses the audit system, of which a kernel has
	// one only.
	auditLock = "/run/lock/auditkill-test.lock"
)

// auditRules record kill(2) with the signals of the load and no others: a Go
// program sends itself thousands, and so do the compilers that run beside.
var auditRules = []string{
	"always,exit -F arch=b64 -S kill -F a1=0 -k audit_kill",
	"always,exit -F arch=b64 -S kill -F a1=18 -k audit_kill",
}

// auditd is a real audit daemon with a log and a configuration of its own.
type auditd struct {
	t              *testing.T
	log, directory string
	command        *exec.Cmd
	ended          chan struct{}
	said           *output
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

// startAuditd runs an audit daemon with our rules until the test ends, and then
// leaves everything as it was.
func startAuditd(t *testing.T, settings string) *auditd {
	t.Helper()
	useAudit(t)
	a := newAuditd(t, settings)
	a.run()
	a.load()
	return a
}

// useAudit takes the audit system, or skips the test, and leaves it as it was.
func useAudit(t *testing.T) {
	t.Helper()
	needAudit(t)
	lockAudit(t)
	before := auditStatus(t)
	switch {
	case before["pid"] != "0":
		skip(t, "an audit daemon is running already (pid %s); stop it to run this test", before["pid"])
	case before["enabled"] == "2":
		skip(t, "the audit configuration is locked until the next boot (auditctl -e 2)")
	case strings.Contains(auditctl(t, "-l"), "never"):
		skip(t, "an audit rule suppresses records (auditctl -l says never)")
	}
	restoreAudit(t, before)
	wakeAudit(t, before)
}

// newAuditd prepares an audit daemon that does not run yet.
func newAuditd(t *testing.T, settings string) *auditd {
	t.Helper()
	directory := t.TempDir()
	a := &auditd{t: t, log: filepath.Join(directory, "log", "audit.log"), directory: directory, said: new(output)}
	require.NoError(t, os.Mkdir(filepath.Dir(a.log), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "plugins.d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "auditd.conf"),
		fmt.Appendf(nil, auditdConfig, a.log, filepath.Join(directory, "plugins.d"), settings), 0o640))
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("auditd said:\n%s", a.said.tail())
		}
	})
	return a
}

// run starts the daemon until it is registered with the kernel, and gives the
// kernel room for a burst.
func (a *auditd) run() {
	a.t.Helper()
	require.True(a.t, a.attempt(), "auditd is registered")
	auditctl(a.t, "-b", "32768")
	auditctl(a.t, "-f", "1")
}

// attempt starts the daemon and reports whether it could register.
func (a *auditd) attempt() bool {
	a.t.Helper()
	a.command = exec.Command(needAudit(a.t), "-n", "-c", a.directory) //nolint:gosec // the path was looked up
	a.command.Stdout, a.command.Stderr = a.said, a.said
	a.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the test is interrupted
	require.NoError(a.t, a.command.Start())
	ended := make(chan struct{})
	a.ended = ended
	go func(command *exec.Cmd) {
		defer close(ended)
		_ = command.Wait() // the state tells
	}(a.command)
	pid, registered := a.pid(), false
	eventually(a.t, func() bool {
		registered = auditStatus(a.t)["pid"] == pid
		return registered || a.gone()
	}, "auditd registers or ends")
	return registered
}

func (a *auditd) pid() string { return strconv.Itoa(a.command.Process.Pid) }

func (a *auditd) gone() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// load installs our rules.
func (a *auditd) load() {
	for _, rule := range auditRules {
		addRule(a.t, rule)
	}
}

// addRule installs a rule until the test ends.
func addRule(t *testing.T, rule string) {
	t.Helper()
	auditctl(t, append([]string{"-a"}, strings.Fields(rule)...)...)
	t.Cleanup(func() { auditctl(t, append([]string{"-d"}, strings.Fields(rule)...)...) })
}

// rotate makes the daemon begin a new file, as logrotate and cron do.
func (a *auditd) rotate() {
	assert.NoError(a.t, a.command.Process.Signal(syscall.SIGUSR1))
}

func (a *auditd) kill() {
	_ = a.command.Process.Kill()
	<-a.ended
}

func (a *auditd) stop() {
	if a.command == nil {
		return // it never ran
	}
	_ = a.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Errorf("auditd does not end, killing it")
		_ = a.command.Process.Kill()
		<-a.ended
	}
}

// needAudit returns the path of auditd, or skips the test.
func needAudit(t *testing.T) string {
	t.Helper()
	needRoot(t)
	var paths []string
	for _, name := range []string{"auditd", "auditctl"} {
		path, err := exec.LookPath(name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			missing(t, name+" is not installed; on Debian: apt-get install auditd")
		}
		paths = append(paths, path)
	}
	said, err := exec.CommandContext(t.Context(), paths[1], "-s").CombinedOutput() //nolint:gosec // the path was looked up
	if err != nil {
		missing(t, fmt.Sprintf("the kernel's audit system is out of reach (is CAP_AUDIT_CONTROL missing, "+
			"or is this a container?): %v: %s", err, said))
	}
	return paths[0]
}

// missing skips a test for the lack of a package or a right, which is no excuse in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	skip(t, "%s", what)
}

func lockAudit(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(auditLock), 0o750))
	lock, err := os.OpenFile(auditLock, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, lock.Close()) })
	require.Eventually(t, func() bool { return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil },
		10*patience, 20*time.Millisecond, "nobody else uses the audit system (%s)", auditLock)
}

// restoreAudit puts the kernel's settings and rules back at the end, and checks
// that nothing else has stayed.
func restoreAudit(t *testing.T, before map[string]string) {
	t.Helper()
	rules := auditctl(t, "-l")
	t.Cleanup(func() {
		if now := auditctl(t, "-l"); now != rules {
			if !t.Failed() { // a collector that was killed for it leaves its rules
				assert.Equal(t, rules, now, "the audit rules are as they were")
			}
			auditctl(t, "-D")
			for rule := range strings.Lines(strings.TrimPrefix(rules, "No rules\n")) {
				auditctl(t, strings.Fields(rule)...)
			}
		}
		auditctl(t, "-b", before["backlog_limit"])
		auditctl(t, "--backlog_wait_time", before["backlog_wait_time"])
		auditctl(t, "-f", before["failure"])
		auditctl(t, "-e", before["enabled"])
		eventually(t, func() bool { return auditStatus(t)["pid"] == "0" }, "no daemon is left")
		assert.Equal(t, before, auditStatus(t), "the audit system is as it was")
	})
}

var statusPattern = regexp.MustCompile(`(?m)^(\w+) (\d+)$`)

// auditStatus returns the kernel's settings.
func auditStatus(t *testing.T) map[string]string {
	t.Helper()
	status := make(map[string]string)
	for _, match := range statusPattern.FindAllStringSubmatch(auditctl(t, "-s"), -1) {
		status[match[1]] = match[2]
	}
	maps.DeleteFunc(status, func(name, _ string) bool {
		return name == "lost" || name == "backlog" || name == "backlog_wait_time_actual" // what happened
	})
	return status
}

func auditctl(t *testing.T, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath("auditctl")
	if err != nil {
		path = "/usr/sbin/auditctl"
	}
	said, err := exec.Command(path, arguments...).CombinedOutput() //nolint:gosec // the path was looked up
	if err != nil {
		t.Errorf("auditctl %s: %v: %s", strings.Join(arguments, " "), err, said)
	}
	return string(said)
}
