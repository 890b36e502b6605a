// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit gives one test at a time the kernel's audit system, and runs auditd.
package audit

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// lockPath is locked by the test that uses the audit system: a kernel has only one. The receiver's
// own tests take the same lock (internal/audittest).
const lockPath = "/run/lock/auditkill-test.lock"

// Use takes the audit system until the test ends, and then restores it. It skips the test if the
// audit system cannot be used.
func Use(t *testing.T) {
	t.Helper()
	Need(t)
	lock(t)
	before := Status(t)
	switch {
	case before["pid"] != "0":
		harness.Skip(t, "an audit daemon is running already (pid %s); stop it to run this test", before["pid"])
	case before["enabled"] == "2":
		harness.Skip(t, "the audit configuration is locked until the next boot (auditctl -e 2)")
	case strings.Contains(Auditctl(t, "-l"), "never"):
		harness.Skip(t, "an audit rule suppresses records (auditctl -l says never)")
	}
	removeLeftovers(t)
	restore(t, before)
	if before["backlog_wait_time"] == "0" { // a collector that was killed in the daemon's place leaves that
		Auditctl(t, "--backlog_wait_time", "15000")
	}
	wake(t, before)
}

var leftoverPattern = regexp.MustCompile(`-F pid!=(\d+) .*-F key=audit_kill(?:_watch)?\b`)

// removeLeftovers removes the rules of a collector or command that was killed on this host: the next one removes
// them, too, and so leaves the rules otherwise than it has found them.
func removeLeftovers(t *testing.T) {
	t.Helper()
	for rule := range strings.Lines(Auditctl(t, "-l")) {
		match := leftoverPattern.FindStringSubmatch(rule)
		if len(match) == 0 || !errors.Is(unix.Kill(harness.Number(match[1]), 0), unix.ESRCH) {
			continue
		}
		t.Logf("removing an audit rule of process %s, which no longer runs", match[1])
		arguments := strings.Fields(rule)
		arguments[0] = "-d"
		Auditctl(t, arguments...)
	}
}

// Need returns the path of auditd. It skips the test without root, auditd, auditctl or an audit system.
func Need(t *testing.T) string {
	t.Helper()
	harness.NeedRoot(t)
	var paths []string
	for _, name := range []string{"auditd", "auditctl"} {
		path, err := exec.LookPath(name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			harness.Missing(t, name+" is not installed; on Debian: apt-get install auditd")
		}
		paths = append(paths, path)
	}
	said, err := exec.CommandContext(t.Context(), paths[1], "-s").CombinedOutput() //nolint:gosec // the path was looked up
	if err != nil {
		harness.Missing(t, fmt.Sprintf("the kernel's audit system is out of reach (is CAP_AUDIT_CONTROL missing, "+
			"or is this a container?): %v: %s", err, said))
	}
	return paths[0]
}

func lock(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(lockPath), 0o750))
	file, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	require.Eventually(t, func() bool { return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil },
		10*harness.Patience, 20*time.Millisecond, "the audit system is free (%s)", lockPath)
}

// restore restores the kernel's settings and rules when the test ends, and checks that the test
// has left nothing behind.
func restore(t *testing.T, before map[string]string) {
	t.Helper()
	rules := Auditctl(t, "-l")
	t.Cleanup(func() {
		if now := Auditctl(t, "-l"); now != rules {
			if !t.Failed() { // a test that fails kills the collector, which then leaves its rules
				assert.Equal(t, rules, now, "the audit rules are as they were")
			}
			Auditctl(t, "-D")
			for rule := range strings.Lines(strings.TrimPrefix(rules, "No rules\n")) {
				Auditctl(t, strings.Fields(rule)...)
			}
		}
		Auditctl(t, "-b", before["backlog_limit"])
		Auditctl(t, "--backlog_wait_time", before["backlog_wait_time"])
		Auditctl(t, "-r", before["rate_limit"])
		Auditctl(t, "-f", before["failure"])
		Auditctl(t, "-e", before["enabled"])
		harness.Eventually(t, func() bool { return Status(t)["pid"] == "0" }, "no audit daemon is left")
		assert.Equal(t, before, Status(t), "the audit system is as it was")
	})
}

var statusPattern = regexp.MustCompile(`(?m)^(\w+) (\d+)$`)

// Status returns the kernel's settings.
func Status(t *testing.T) map[string]string {
	t.Helper()
	status := make(map[string]string)
	for _, match := range statusPattern.FindAllStringSubmatch(Auditctl(t, "-s"), -1) {
		status[match[1]] = match[2]
	}
	maps.DeleteFunc(status, func(name, _ string) bool {
		return name == "lost" || name == "backlog" || name == "backlog_wait_time_actual" // counters, not settings
	})
	return status
}

// Auditctl runs auditctl, and returns its output.
func Auditctl(t *testing.T, arguments ...string) string {
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
