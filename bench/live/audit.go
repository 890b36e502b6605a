// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// auditLock is locked by whatever test or measurement uses the audit system.
const auditLock = "/run/lock/auditkill-test.lock"

// prepare takes the audit system, and returns a function that restores and releases
// it.
func prepare() (func() error, error) {
	for _, name := range []string{"auditd", "auditctl"} {
		if _, err := exec.LookPath(tool(name)); err != nil {
			return nil, fmt.Errorf("%s is not installed; on Debian: apt-get install auditd", name)
		}
	}
	if err := os.MkdirAll(filepath.Dir(auditLock), 0o750); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(auditLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil; time.Sleep(time.Second) {
		if time.Since(start) > 20*time.Minute {
			return nil, errors.New("another test or measurement is using the audit system: " + auditLock)
		}
	}
	before := status()
	if before["pid"] != "0" || before["enabled"] == "2" || !strings.Contains(rules(), "No rules") {
		return nil, errors.New("the audit system is in use or locked; see auditctl -s and auditctl -l")
	}
	// Processes that start after audit was first on enter system calls on a slower path, even if it is off again
	// (kernel/auditsc.c, audit_alloc). This makes the rows called "nothing" comparable on a machine where audit was
	// never on before.
	if err := errors.Join(auditctl("-e", "1"), auditctl("-e", before["enabled"])); err != nil {
		return nil, err
	}
	return func() error {
		return errors.Join(auditctl("-b", before["backlog_limit"]), auditctl("-e", before["enabled"]),
			auditctl("--backlog_wait_time", before["backlog_wait_time"]), lock.Close())
	}, nil
}

// tool returns the path of a program, which may be in a folder for root.
func tool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}

func auditctl(args ...string) error {
	said, err := exec.Command(tool("auditctl"), args...).CombinedOutput() //nolint:gosec // the path was looked up
	if err != nil {
		return fmt.Errorf("auditctl %s: %w: %s", strings.Join(args, " "), err, said)
	}
	return nil
}

func rules() string {
	said, _ := exec.Command(tool("auditctl"), "-l").Output() //nolint:gosec // the path was looked up
	return string(said)
}

var statusPattern = regexp.MustCompile(`(?m)^(\w+) (\d+)$`)

// status returns the kernel's settings.
func status() map[string]string {
	said, _ := exec.Command(tool("auditctl"), "-s").Output() //nolint:gosec // the path was looked up
	settings := make(map[string]string)
	for _, match := range statusPattern.FindAllStringSubmatch(string(said), -1) {
		settings[match[1]] = match[2]
	}
	return settings
}

func kernelLost() int {
	lost, _ := strconv.Atoi(status()["lost"])
	return lost
}
