// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// CgroupMount returns where a hierarchy of control groups is mounted, or "". Without a
// controller it is the hierarchy of version 2, otherwise the one of that controller of version 1.
func CgroupMount(t *testing.T, controller string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		mount, filesystem, _ := strings.Cut(line, " - ")
		kind := strings.Fields(filesystem)
		controllers := strings.Split(kind[len(kind)-1], ",")
		if controller == "" && kind[0] == "cgroup2" ||
			controller != "" && kind[0] == "cgroup" && slices.Contains(controllers, controller) {
			return strings.Fields(mount)[4]
		}
	}
	return ""
}

// NewCgroup makes a control group of version 2, and removes it when the test ends.
func NewCgroup(t *testing.T, path string) string {
	t.Helper()
	harness.NeedRoot(t)
	mount := CgroupMount(t, "")
	if mount == "" {
		harness.Skip(t, "no hierarchy of cgroup v2 is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)")
	}
	return NewCgroupIn(t, mount, path)
}

// NewCgroupIn makes a control group below a mounted hierarchy, and removes it when the test ends.
func NewCgroupIn(t *testing.T, mount, path string) string {
	t.Helper()
	for directory := mount; path != ""; {
		var part string
		part, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		directory = filepath.Join(directory, part)
		if os.Mkdir(directory, 0o755) == nil {
			t.Cleanup(func() {
				harness.Eventually(t, func() bool { return os.Remove(directory) == nil }, "%s is empty", directory)
			})
		}
		if path == "" {
			require.DirExists(t, directory)
			return directory
		}
	}
	panic("no path")
}

// NewKillableCgroup is like NewCgroup, and skips the test if the kernel cannot kill a control group.
func NewKillableCgroup(t *testing.T, path string) string {
	t.Helper()
	group := NewCgroup(t, path)
	if !harness.Exists(filepath.Join(group, "cgroup.kill")) {
		harness.Skip(t, "the kernel cannot kill a control group: that needs 5.14 or later")
	}
	return group
}

// KillCgroup has a shell make the kernel kill a control group, and returns the pid of the shell.
func KillCgroup(t *testing.T, group string) int {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-c", `echo 1 >"$0"/cgroup.kill`, group)
	require.NoError(t, shell.Run())
	return shell.Process.Pid
}

// InCgroup returns an option that starts a program in a control group of version 2.
func InCgroup(t *testing.T, directory string) func(*exec.Cmd) {
	t.Helper()
	folder, err := os.Open(directory)
	require.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return func(command *exec.Cmd) {
		harness.Attributes(command).UseCgroupFD, harness.Attributes(command).CgroupFD = true, int(folder.Fd())
	}
}

// MoveTo moves a process into a control group of either version.
func MoveTo(t *testing.T, directory string, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
}
