// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// engines is a host on which container runtimes keep their files in their usual folders, below another root.
type engines struct {
	*watching
	// root is the host's, files the file system of all containers.
	root, files string
}

const (
	podUID  = "6f2c1d3e-8a4b-4c5d-9e6f-0123456789ab"
	podName = "web-5d8f7c9b6-x2x4z"
)

func needPrograms(t *testing.T, packages map[string]string) {
	t.Helper()
	for program, debian := range packages {
		if _, err := exec.LookPath(program); err != nil {
			harness.Missing(t, fmt.Sprintf("%s is missing (apt-get install %s)", program, debian))
		}
	}
}

func watchEngines(t *testing.T) *engines {
	t.Helper()
	harness.NeedRoot(t)
	root, err := os.MkdirTemp("", "names") //nolint:usetesting // Podman's folders and Docker's sockets must have short paths
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(root)) })
	e := &engines{watching: &watching{t: t, sink: otlp.NewSink(t, "grpc")}, root: root}
	for _, name := range []string{"proc", "sys", "etc"} {
		require.NoError(t, os.Symlink("/"+name, filepath.Join(e.root, name)))
	}
	c := &containers{watching: e.watching, folder: filepath.Join(e.root, "srv")}
	c.makeRoot()
	e.files = filepath.Join(c.folder, "files")
	collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf("{ebpf: {}, root_path: %s, attribution: {sockets: [%s]}}", e.root, e.socket()),
		Exporter: e.sink.Exporter, Pipelines: []string{"logs", "traces"},
	}).Ready()
	return e
}

func (e *engines) socket() string { return filepath.Join(e.root, "run/containerd/containerd.sock") }

// daemon starts a daemon, and waits until a client reaches it.
func (e *engines) daemon(t *testing.T, command, client *exec.Cmd) {
	t.Helper()
	harness.EndWithTest(command)
	daemon := harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(func() { assert.True(t, daemon.Terminate(), "%s does not end", command.Path) })
	harness.Until(t, func() bool {
		again := exec.Command(client.Path, client.Args[1:]...) //nolint:gosec // a test's own
		return again.Run() == nil
	}, func() { require.False(t, daemon.Gone(), "%s", daemon.Output.Tail()) }, "the daemon is up")
}

// run runs a client, and returns the last line of what it says.
func run(t *testing.T, input []byte, words ...string) string {
	t.Helper()
	command := exec.Command(words[0], words[1:]...) //nolint:gosec // a test's own
	var said, complaint bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &said, &complaint
	require.NoError(t, command.Run(), "%s\n%s%s", words, &said, &complaint)
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	return lines[len(lines)-1]
}

// image returns the file system of containers, packed.
func (e *engines) image(t *testing.T) []byte {
	t.Helper()
	packed, err := exec.Command("tar", "-C", e.files, "-c", ".").Output() //nolint:gosec // a test's own
	require.NoError(t, err)
	return packed
}

// ends kills a container's process, and asserts what its records and its span say.
func (e *engines) ends(t *testing.T, pid int, want map[string]any) {
	t.Helper()
	e.t = t
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	otlp.AssertAttributes(t, e.signal(pid, "SIGKILL"), want)
	otlp.AssertAttributes(t, e.await("kill.outcome", pid, "SIGKILL"), want)
	harness.Eventually(t, func() bool {
		for _, span := range e.sink.Spans() {
			if target, ok := span.Attributes().Get("kill.target.pid"); !ok || target.Int() != int64(pid) {
				continue
			}
			name, ok := span.Attributes().Get("kill.target.container.name")
			return ok == (want["kill.target.container.name"] != nil) && (!ok || name.Str() == want["kill.target.container.name"])
		}
		return false
	}, "the span has the name of the container")
}

// TestNamesOfContainers has real runtimes tell the names of their containers.
func TestNamesOfContainers(t *testing.T) {
	needPrograms(t, map[string]string{"containerd": "containerd", "ctr": "containerd", "runc": "runc"})
	t.Cleanup(func() {
		for _, folder := range []string{"/kubepods/burstable/pod" + podUID, "/kubepods/burstable", "/kubepods", ""} {
			for _, group := range cgroups(namespace + folder) {
				_ = os.Remove(group) // it is in use if a container is
			}
		}
	})
	e := watchEngines(t)
	config := filepath.Join(e.root, "config.toml")
	text := fmt.Sprintf(containerdConfig, filepath.Join(e.root, "var/lib/containerd"), filepath.Join(e.root, "run/containerd"), e.socket())
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	e.daemon(t, exec.Command("containerd", "--config", config), exec.Command("ctr", "--address", e.socket(), "version")) //nolint:gosec // files of this test
	c := &containers{watching: e.watching, folder: filepath.Dir(e.files), socket: e.socket()}

	pod := func(t *testing.T, digits, script string) (id string, pid int) {
		t.Helper()
		c.t = t
		id = strings.Repeat(digits, 32)
		return id, c.run(t, id, script,
			"--cgroup", "/"+namespace+"/kubepods/burstable/pod"+podUID+"/"+id,
			"--annotation", "io.kubernetes.cri.container-type=container", "--annotation", "io.kubernetes.cri.container-name=nginx",
			"--annotation", "io.kubernetes.cri.image-name=registry.example.com:5000/shop/nginx:1.27",
			"--annotation", "io.kubernetes.cri.sandbox-name="+podName, "--annotation", "io.kubernetes.cri.sandbox-namespace=shop",
			"--annotation", "io.kubernetes.cri.sandbox-uid="+podUID)
	}
	named := map[string]any{
		"kill.target.k8s.pod.uid": podUID, "kill.target.k8s.pod.name": podName, "kill.target.k8s.namespace.name": "shop",
		"kill.target.k8s.container.name": "nginx", "kill.target.container.name": "nginx",
		"kill.target.container.image.name": "registry.example.com:5000/shop/nginx",
	}
	t.Run("a pod", func(t *testing.T) {
		_, pid := pod(t, "c0", stubborn)
		e.ends(t, pid, named)
	})
	t.Run("a pod that somebody stops", func(t *testing.T) {
		id, pid := pod(t, "c1", obedient)
		c.ctr("task", "kill", id)
		r := e.signal(pid, "SIGTERM")
		assert.Contains(t, r.Body, ": stop of container nginx of pod shop/"+podName)
	})
	t.Run("a container that kills itself", func(t *testing.T) {
		pod(t, "c2", "sleep infinity & sleep 1; kill -KILL $!; wait; sleep infinity")
		r := e.within(0, "/"+namespace+"/kubepods/burstable/pod"+podUID+"/"+strings.Repeat("c2", 32), "SIGKILL", "sleep")
		otlp.AssertAttributes(t, r, map[string]any{
			"container.name": "nginx", "k8s.pod.name": podName, "k8s.namespace.name": "shop", "k8s.container.name": "nginx",
			"container.image.name": "registry.example.com:5000/shop/nginx",
		})
	})
	t.Run("no names", func(t *testing.T) {
		c.t = t
		id := strings.Repeat("0e2e", 16)
		pid := c.run(t, id, stubborn)
		e.ends(t, pid, map[string]any{
			"kill.target.container.id": id, "kill.target.container.name": nil, "kill.target.k8s.pod.name": nil,
		})
	})
	t.Run("Docker", e.docker)
	t.Run("Podman", e.podman)
}

func (e *engines) docker(t *testing.T) {
	needPrograms(t, map[string]string{"dockerd": "docker.io", "docker": "docker.io"})
	folder := filepath.Join(e.root, "run/docker")
	address := "unix://" + folder + "/docker.sock"
	e.daemon(t, exec.Command("dockerd", "--data-root", filepath.Join(e.root, "var/lib/docker"), "--exec-root", folder, //nolint:gosec // a test's own
		"--host", address, "--pidfile", folder+"/pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
		"--storage-driver=vfs"), exec.Command("docker", "--host", address, "version")) //nolint:gosec // a test's own
	docker := func(words ...string) string {
		return run(t, nil, append([]string{"docker", "--host", address}, words...)...)
	}
	run(t, e.image(t), "docker", "--host", address, "import", "-", "shop/web:1.2")
	docker("run", "--detach", "--name", "web", "--network", "none", "--volume", "/usr:/usr:ro", "--label", "io.kubernetes.pod.name=forged",
		"shop/web:1.2", "/bin/sh", "-c", stubborn)
	t.Cleanup(func() { docker("rm", "--force", "web") })
	e.ends(t, harness.Number(docker("inspect", "--format", "{{.State.Pid}}", "web")), map[string]any{
		"kill.target.container.id": docker("inspect", "--format", "{{.Id}}", "web"), "kill.target.container.name": "web",
		"kill.target.container.image.name": "shop/web", "kill.target.k8s.pod.name": nil,
	})
}

func (e *engines) podman(t *testing.T) {
	needPrograms(t, map[string]string{"podman": "podman", "conmon": "conmon"})
	flags := []string{
		"podman", "--root", filepath.Join(e.root, "var/lib/containers/storage"), "--runroot", filepath.Join(e.root, "run/containers/storage"),
		"--runtime", "runc", "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs",
	}
	podman := func(words ...string) string { return run(t, nil, append(flags, words...)...) }
	run(t, e.image(t), append(flags, "import", "-", "localhost/shop/db:3")...)
	id := podman("run", "--detach", "--name", "db", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
		"--volume", "/usr:/usr:ro", "localhost/shop/db:3", "/bin/sh", "-c", stubborn)
	t.Cleanup(func() { podman("rm", "--force", "db") })
	_, err := hex.DecodeString(id)
	require.NoError(t, err, id)
	e.ends(t, harness.Number(podman("inspect", "--format", "{{.State.Pid}}", "db")), map[string]any{
		"kill.target.container.id": id, "kill.target.container.name": "db", "kill.target.container.image.name": "localhost/shop/db",
	})
}
