// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// cgroupFolder is a control group of a test.
type cgroupFolder struct {
	// folder is where it is mounted, path its name in the kernel.
	folder, path string
}

// newCgroup makes a control group of cgroup v2, until the test ends.
func newCgroup(t *testing.T, name string) cgroupFolder {
	t.Helper()
	needRoot(t)
	mount := mountOf("cgroup2", "")
	if mount == "" {
		audittest.Skip(t, "cgroup v2 is not mounted")
	}
	return makeCgroup(t, mount, "/"+name)
}

// newMemoryGroup makes a control group that may not use much memory.
func newMemoryGroup(t *testing.T, bytes int) cgroupFolder {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("/ebpfsource-test-%d", os.Getpid())
	if mount := mountOf("cgroup", "memory"); mount != "" {
		g := makeCgroup(t, mount, strings.TrimSuffix(ownGroup(t, "memory"), "/")+name)
		g.write(t, "memory.limit_in_bytes", bytes)
		if _, err := os.Stat(g.folder + "/memory.memsw.limit_in_bytes"); err == nil {
			g.write(t, "memory.memsw.limit_in_bytes", bytes)
		}
		return g
	}
	g := newCgroup(t, name[1:])
	if _, err := os.Stat(g.folder + "/memory.max"); err != nil {
		audittest.Skip(t, "no memory controller can be used: %v", err)
	}
	g.write(t, "memory.max", bytes)
	if _, err := os.Stat(g.folder + "/memory.swap.max"); err == nil {
		g.write(t, "memory.swap.max", 0)
	}
	return g
}

func makeCgroup(t *testing.T, mount, path string) cgroupFolder {
	t.Helper()
	g := cgroupFolder{folder: filepath.Join(mount, path), path: path}
	require.NoError(t, os.MkdirAll(g.folder, 0o755))
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return unix.Rmdir(g.folder) == nil }, limit, time.Millisecond)
	})
	return g
}

func (g cgroupFolder) write(t *testing.T, file string, value any) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(g.folder, file), fmt.Appendln(nil, value), 0))
}

// start starts a program in the group.
func (g cgroupFolder) start(t *testing.T, command *exec.Cmd) int {
	t.Helper()
	folder, err := os.Open(g.folder)
	require.NoError(t, err)
	defer folder.Close()
	command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
	return run(t, command)
}

// mountOf returns where a file system is mounted, with an option.
func mountOf(kind, option string) string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == kind && strings.Contains(","+f[3]+",", option) {
			return f[1]
		}
	}
	return ""
}

// ownGroup returns the control group that the tests run in.
func ownGroup(t *testing.T, controller string) string {
	t.Helper()
	groups, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	for line := range strings.Lines(string(groups)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":"+controller+":"); ok {
			return path
		}
	}
	return "/"
}
