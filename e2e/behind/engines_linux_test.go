// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// makeTiny makes an image of containers that has a shell, and starts nothing. The storage of both engines is one that works
// in a container.
const makeTiny = `
mkdir -p /tmp/tiny/bin /etc/containers
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' >/etc/containers/storage.conf
cp /bin/busybox /tmp/tiny/bin/
ln -s busybox /tmp/tiny/bin/sh
ln -s busybox /tmp/tiny/bin/sleep
tar --create --directory=/tmp/tiny --file=/tmp/tiny.tar .
docker import /tmp/tiny.tar tiny
podman import /tmp/tiny.tar tiny
usermod --append --groups docker alice
`

// connectedForLong is a client that connects to a socket at once, and posts something once it is told to: by then nobody
// knows any more that it has connected.
const connectedForLong = `import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while not os.path.exists("/run/now"):
    time.sleep(0.05)
head = "POST %s HTTP/1.1\r\nHost: host\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
s.send((head % (sys.argv[2], len(sys.argv[3])) + sys.argv[3]).encode())
s.recv(1000)
`

// TestEngines ends containers of a Docker and of a Podman as Debian has them: systemd listens for Docker, Docker keeps a
// connection to containerd, and Podman runs no daemon.
func TestEngines(t *testing.T) {
	w := watchOn(t, []string{"docker.io", "podman", "crun", "conmon", "busybox-static", "uidmap"}, ", targets: [sh, mysqld]")
	w.AllowContainers()
	w.Root("sh", "-ec", makeTiny)
	tests := map[string]struct {
		// run starts the container web, end ends it.
		run, script, end string
		signals          []string
		want             map[string]any
	}{
		"docker stop, by a member of its group": {
			"docker run --detach --network=none", obedient, "docker stop web",
			[]string{"SIGTERM"},
			map[string]any{"kill.requester.title": "docker stop web", "kill.requester.user.id": int64(1000), "process.command": "runc"},
		},
		"docker stop, with patience": {
			"docker run --detach --network=none", stubborn, "docker stop -t 1 web",
			[]string{"SIGTERM", "SIGKILL"},
			map[string]any{"kill.requester.title": "docker stop -t 1 web"},
		},
		"docker restart": {
			"docker run --detach --network=none", obedient, "sudo docker restart web",
			[]string{"SIGTERM"},
			map[string]any{"kill.requester.user.id": int64(0), "kill.initiator.title": "sudo docker restart web"},
		},
		"docker kill": {
			"docker run --detach --network=none", obedient, "docker kill web",
			[]string{"SIGKILL"},
			map[string]any{"kill.requester.title": "docker kill web"},
		},
		"docker rm": {
			"docker run --detach --network=none", obedient, "docker rm --force web",
			[]string{"SIGKILL"},
			map[string]any{"kill.requester.title": "docker rm --force web"},
		},
		"podman stop": {
			"podman run --cgroups=disabled --detach --network=none", obedient, "sudo podman stop web",
			[]string{"SIGTERM"},
			map[string]any{
				"kill.requester.title": "podman stop web", "kill.initiator.title": "sudo podman stop web",
				"kill.evidence": "observed", "process.command": "crun", "kill.sender.audit.user.id": int64(1000),
			},
		},
		"podman stop, with patience": {
			"podman run --cgroups=disabled --detach --network=none", stubborn, "sudo podman stop -t 1 web",
			[]string{"SIGTERM", "SIGKILL"},
			map[string]any{
				"kill.requester.title": "podman stop -t 1 web", "kill.evidence": "observed", "kill.sender.audit.user.id": int64(1000),
			},
		},
		"podman kill": {
			"podman run --cgroups=disabled --detach --network=none", obedient, "sudo podman kill web",
			[]string{"SIGKILL"},
			map[string]any{
				"kill.requester.title": "podman kill web", "kill.evidence": "observed", "kill.sender.audit.user.id": int64(1000),
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			engine := tt.run[:len("docker")] // podman has as many letters
			// What has no group of its own is in one of the host's.
			w.Root("systemd-run", "--quiet", "--scope", "sh", "-ec", tt.run+` --name=web tiny /bin/sh -c "$1"`, "sh", tt.script)
			pid := w.Outer(harness.Number(w.Root(engine, "inspect", "--format={{.State.Pid}}", "web")))
			require.Positive(t, pid)
			w.SSH("alice", "10.0.0.5", tt.end)
			for _, signal := range tt.signals {
				want := byAlice(map[string]any{"kill.cause": "container_stop", "kill.requester.candidates": nil})
				maps.Copy(want, tt.want)
				r := w.signal(pid, signal)
				otlp.AssertAttributes(t, r, want)
				assert.Contains(t, r.Body, ": stop of container ")
			}
			_, _ = w.Try(engine, "rm", "--force", "web") // it may be gone
		})
	}
	t.Run("an end by somebody who is not seen, after a stop of a container that has ended", func(t *testing.T) {
		w.Write("/opt/late.py", connectedForLong, 0o644)
		for _, name := range []string{"web", "db"} {
			w.Root("docker", "run", "--detach", "--network=none", "--name="+name, "tiny", "/bin/sh", "-c", obedient)
		}
		pid := w.Outer(harness.Number(w.Root("docker", "inspect", "--format={{.State.Pid}}", "db")))
		late := w.Background("python3", "/opt/late.py", "/run/docker.sock", "/containers/db/kill", "")
		w.Root("docker", "kill", "web")
		w.Root("sleep", "4") // which is forgotten by then
		w.SSH("alice", "10.0.0.5", "docker stop web; sudo touch /run/now")
		otlp.AssertAttributes(t, w.signal(pid, "SIGKILL"), map[string]any{
			"kill.cause": "container_stop", "kill.requester.name": nil, "kill.requester.candidates": nil, "user.id": nil,
			"client.address": nil,
		})
		late.Wait()
		w.Root("docker", "rm", "--force", "web", "db")
	})
	t.Run("podman of a user", func(t *testing.T) {
		w.Root("loginctl", "enable-linger", "alice")
		w.SSH("alice", "10.0.0.5", "podman import /tmp/tiny.tar tiny; podman run --cgroups=disabled --detach --network=none --name=mine tiny /bin/sh -c '"+
			obedient+"'")
		pid := w.Outer(harness.Number(w.SSH("alice", "10.0.0.5", "podman inspect --format='{{.State.Pid}}' mine")))
		require.Positive(t, pid)
		w.SSH("alice", "10.0.0.5", "podman stop mine")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "container_stop", "kill.evidence": "inferred", "kill.requester.title": "podman stop mine",
			"process.command": "crun", "user.id": "1000", "client.address": "10.0.0.5", "kill.requester.user.id": int64(1000),
		})
	})
	t.Run("systemd stops Docker", func(t *testing.T) {
		w.Root("docker", "run", "--detach", "--network=none", "--name=web", "tiny", "/bin/sh", "-c", obedient)
		pid := w.Outer(harness.Number(w.Root("docker", "inspect", "--format={{.State.Pid}}", "web")))
		w.Root("sleep", "3") // no client is connected any more
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop docker.socket docker")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "container_stop", "kill.evidence": "observed", "kill.requester.name": nil, "user.id": nil,
		})
	})
}
