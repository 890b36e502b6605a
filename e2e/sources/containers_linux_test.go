// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The control group of a process tells which container, pod and unit it belongs to.

// Sender and target are reported with their container, pod and unit, even if the target is gone.
func TestReportsContainersAndUnits(t *testing.T) {
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
			audit.Use(t)
			sink, program := otlp.NewSink(t, "grpc"), process.NativeSender(t)
			s := process.NewSender(t, program, process.InCgroup(t, process.NewCgroup(t, session)))
			pathOf := make(map[int64]string)
			for path := range targets {
				victim := process.NewSender(t, program, process.InCgroup(t, process.NewCgroup(t, path))).Start(1, false)[0]
				pathOf[int64(victim)] = path
			}
			c := startLive(t, "{"+source+": {}}", sink)
			for victim := range pathOf {
				s.Send(orders.Order{Call: "kill", PID: int(victim), Signal: int(unix.SIGKILL)}, int(victim))
			}
			awaitSent(t, sink, []*process.Sender{s})
			c.Stop()
			assertSent(t, sink.Records(), []*process.Sender{s})
			for _, r := range delivered(sink.Records(), []*process.Sender{s}) {
				path := pathOf[r.Number("kill.target.pid")]
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

// A process with a root, users and pids of its own is not taken for one of the host.
func TestTellsContainersFromTheHost(t *testing.T) {
	const nobodys = 4<<20 - 7
	for _, source := range []string{"ebpf", "netlink"} {
		t.Run(source, func(t *testing.T) {
			audit.Use(t)
			sink, program := otlp.NewSink(t, "grpc"), process.NativeSender(t)
			root := t.TempDir()
			require.NoError(t, os.MkdirAll(root+"/etc", 0o755))
			require.NoError(t, os.WriteFile(root+"/etc/passwd", []byte("captain:x:0:0::/:/\n"), 0o644))
			require.NoError(t, os.Mkdir(root+"/proc", 0o755))
			require.NoError(t, os.Mkdir(root+"/dev", 0o755))
			require.NoError(t, os.WriteFile(root+"/dev/null", nil, 0o600))
			require.NoError(t, unix.Mount("/proc", root+"/proc", "", unix.MS_BIND, ""))
			t.Cleanup(func() { assert.NoError(t, unix.Unmount(root+"/proc", unix.MNT_DETACH)) })
			content, err := os.ReadFile(program)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(root+"/sender", content, 0o755))
			c := startLive(t, "{"+source+": {}, senders: [sender]}", sink)
			boxed := process.NewSender(t, program, process.InPIDNamespace, func(command *exec.Cmd) {
				command.SysProcAttr.Chroot, command.Path, command.Dir = root, "/sender", "/"
			})
			victim, born := boxed.Start(1, false)[0], time.Now()
			// The times in audit records are those of the last tick, when a younger process may have been another's.
			harness.Eventually(t, func() bool { return time.Since(born) > 100*time.Millisecond }, "both are old enough")
			boxed.Order(orders.Order{Call: "kill", PID: nobodys, Signal: int(unix.SIGTERM)})
			boxed.Order(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)})
			var own []otlp.Record
			harness.Eventually(t, func() bool {
				own = delivered(sink.Records(), []*process.Sender{boxed})
				return len(own) >= 2
			}, "both signals")
			c.Stop()
			require.Len(t, own, 2)
			for _, r := range own {
				assert.Equal(t, int64(0), r.Attributes["process.user.id"])
				assert.NotContains(t, r.Attributes, "process.user.name", "root of the host")
				assert.Equal(t, "captain", r.Attributes["kill.sender.container.user.name"])
				assert.Equal(t, "/sender", r.Attributes["process.executable.path"])
				assert.Equal(t, "other", r.Attributes["kill.sender.mount_namespace"])
			}
			assert.NotContains(t, own[0].Attributes, "kill.target.pid", "a process of the host may have it")
			assert.Equal(t, int64(nobodys), own[0].Attributes["kill.target.vpid"])
			assert.Equal(t, int64(boxed.Victims[victim]), own[1].Attributes["kill.target.pid"])
			assert.Equal(t, int64(victim), own[1].Attributes["kill.target.vpid"])
			assert.NotContains(t, own[1].Attributes, "kill.target.user.name")
			assert.Equal(t, "captain", own[1].Attributes["kill.target.container.user.name"])
		})
	}
}
