// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// Where a process belongs is told by its control group.

// cgroupMount returns where a hierarchy of control groups is mounted: that of
// version 2, or that of a controller of version 1. It is empty if there is none.
func cgroupMount(t *testing.T, controller string) string {
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

// newCgroup makes a control group of version 2 until the test ends.
func newCgroup(t *testing.T, path string) string {
	t.Helper()
	needRoot(t)
	mount := cgroupMount(t, "")
	if mount == "" {
		skip(t, "no hierarchy of cgroup v2 is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)")
	}
	return newCgroupIn(t, mount, path)
}

func newCgroupIn(t *testing.T, mount, path string) string {
	t.Helper()
	for directory := mount; path != ""; {
		var part string
		part, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		directory = filepath.Join(directory, part)
		if os.Mkdir(directory, 0o755) == nil {
			t.Cleanup(func() {
				eventually(t, func() bool { return os.Remove(directory) == nil }, "%s is empty", directory)
			})
		}
		if path == "" {
			require.DirExists(t, directory)
			return directory
		}
	}
	panic("no path")
}

// inCgroup starts a program in a control group of version 2.
func inCgroup(t *testing.T, directory string) func(*exec.Cmd) {
	t.Helper()
	folder, err := os.Open(directory)
	require.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return func(command *exec.Cmd) {
		attributes(command).UseCgroupFD, attributes(command).CgroupFD = true, int(folder.Fd())
	}
}

// moveTo puts a process into a control group of any version.
func moveTo(t *testing.T, directory string, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
}

// Both ends of a signal are told with their container, pod and unit, also those of
// a target that is gone.
func TestTellsContainersAndUnits(t *testing.T) {
	const (
		container = "e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0e2e0"
		pod       = "6f2c1d3e-8a4b-4c5d-9e6f-0123456789ab"
		podSlice  = "auditkill-e2e-kubepods-pod6f2c1d3e_8a4b_4c5d_9e6f_0123456789ab.slice"
		session   = "/auditkill-e2e.slice/session-3.scope"
	)
	targets := map[string]map[string]any{
		"/auditkill-e2e.slice/docker-" + container + ".scope": {
			"container.id": container, "systemd.unit": "docker-" + container + ".scope",
		},
		"/auditkill-e2e.slice/mysql.service": {"systemd.unit": "mysql.service"},
		"/auditkill-e2e.slice/" + podSlice + "/cri-containerd-" + container + ".scope": {
			"container.id": container, "k8s.pod.uid": pod, "systemd.unit": "cri-containerd-" + container + ".scope",
		},
	}
	for _, source := range []string{"ebpf", "netlink"} {
		t.Run(source, func(t *testing.T) {
			useAudit(t)
			sink, program := newSink(t, "grpc"), nativeSender(t)
			s := newSender(t, program, inCgroup(t, newCgroup(t, session)))
			struck := make(map[int64]string)
			for path := range targets {
				victim := newSender(t, program, inCgroup(t, newCgroup(t, path))).start(1, false)[0]
				struck[int64(victim)] = path
			}
			c := startLive(t, "{"+source+": {}}", sink)
			for victim := range struck {
				s.send(orders.Order{Call: "kill", PID: int(victim), Signal: int(unix.SIGKILL)}, int(victim))
			}
			awaitSent(t, sink, []*sender{s})
			c.stop()
			assertSent(t, sink.records(), []*sender{s})
			for _, r := range delivered(sink.records(), []*sender{s}) {
				target, _ := r.Attributes["kill.target.pid"].(int64)
				path := struck[target]
				assert.Equal(t, path, r.Attributes["kill.target.cgroup"])
				for _, name := range []string{"container.id", "k8s.pod.uid", "systemd.unit"} {
					assert.Equal(t, targets[path][name], r.Attributes["kill.target."+name], "%s of %s", name, path)
				}
				assert.Equal(t, session, r.Attributes["process.linux.cgroup"])
				assert.Equal(t, "session-3.scope", r.Attributes["kill.sender.systemd.unit"])
				assert.NotContains(t, r.Attributes, "container.id")
			}
		})
	}
}
