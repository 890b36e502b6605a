// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
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
