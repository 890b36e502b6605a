// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// namespace is containerd's name for all containers of these tests, and that of their control group.
const namespace = "auditkill-e2e"

// Programs that run in containers. The first is a container's init, which the kernel spares if it ignores a signal.
const (
	obedient = `trap "exit 0" TERM; sleep infinity & wait`
	stubborn = `trap "" TERM; sleep infinity & wait`
)

// containers is a containerd that a collector watches, whose socket the people of a host reach.
type containers struct {
	*watching
	// folder is where it keeps everything, socket its socket on this machine.
	folder, socket string
}

const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = %q
`

// watchContainers starts a containerd on this machine, with its socket in the file system of a host.
func watchContainers(t *testing.T) *containers {
	t.Helper()
	harness.NeedRoot(t)
	for program, debian := range map[string]string{"containerd": "containerd", "ctr": "containerd", "runc": "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			harness.Missing(t, fmt.Sprintf("%s is missing (apt-get install %s)", program, debian))
		}
	}
	folder := t.TempDir()
	// The path has to be known before the host is.
	c := &containers{folder: folder, socket: filepath.Join(folder, "host", "run/containerd/containerd.sock")}
	c.watching = watch(t, ", attribution: {sockets: ["+c.socket+"]}")
	require.NoError(t, os.Symlink(c.File("/"), filepath.Join(folder, "host")))
	ctr, err := exec.LookPath("ctr")
	require.NoError(t, err)
	c.Install(ctr, "/usr/local/bin/ctr")
	c.makeRoot()
	config := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf(containerdConfig, filepath.Join(folder, "root"), filepath.Join(folder, "state"), c.socket)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	command := exec.Command("containerd", "--config", config) //nolint:gosec // a test's own
	harness.EndWithTest(command)
	daemon := harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of containerd:\n%s", daemon.Output.Tail())
		}
		assert.True(t, daemon.Terminate(), "containerd does not end")
		for _, group := range cgroups(namespace) {
			_ = os.Remove(group) // it is in use if a container is
		}
	})
	harness.Until(t, func() bool { _, err := c.Try("ctr", "version"); return err == nil }, func() {
		require.False(t, daemon.Gone(), "%s", daemon.Output.Tail())
	}, "containerd is up")
	return c
}

// makeRoot makes the file system of all containers, which has the programs of this machine.
func (c *containers) makeRoot() {
	c.t.Helper()
	for _, name := range []string{"usr", "proc", "dev", "sys", "etc", "tmp"} {
		require.NoError(c.t, os.MkdirAll(filepath.Join(c.folder, "files", name), 0o755))
	}
	for _, name := range []string{"bin", "lib", "lib64"} {
		require.NoError(c.t, os.Symlink("usr/"+name, filepath.Join(c.folder, "files", name)))
	}
}

// cgroups returns the folders of a control group in all hierarchies.
func cgroups(name string) []string {
	all, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", name))
	more, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", name))
	return append(all, more...)
}

// ctr runs a client of containerd on this machine, which must succeed.
func (c *containers) ctr(arguments ...string) string {
	c.t.Helper()
	arguments = append([]string{"--address", c.socket, "--namespace", namespace}, arguments...)
	said, err := exec.CommandContext(c.t.Context(), "ctr", arguments...).CombinedOutput()
	require.NoError(c.t, err, "%s", said)
	return string(said)
}

// run starts a container that runs a script, and returns the pid of its init. The container is gone when the test ends.
func (c *containers) run(t *testing.T, id, script string, options ...string) int {
	t.Helper()
	arguments := append([]string{"run", "--detach", "--rootfs", "--mount", "type=bind,src=/usr,dst=/usr,options=rbind:ro"}, options...)
	c.ctr(append(arguments, filepath.Join(c.folder, "files"), id, "/bin/sh", "-c", script)...)
	t.Cleanup(func() {
		for _, remove := range [][]string{{"task", "delete", "--force", id}, {"container", "delete", id}} {
			arguments := append([]string{"--address", c.socket, "--namespace", namespace}, remove...)
			_ = exec.Command("ctr", arguments...).Run() //nolint:gosec // the test may have done that
		}
	})
	for line := range strings.Lines(c.ctr("task", "ls")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == id {
			return harness.Number(fields[1])
		}
	}
	require.Fail(t, "the container does not run", id)
	return 0
}

// byCtr is what a record says of alice, who has run a client of containerd by sudo.
func byCtr(command string) map[string]any {
	return byAlice(map[string]any{
		"kill.cause": "container_stop", "kill.evidence": "inferred", "kill.requester.name": "ctr",
		"kill.requester.title": command, "kill.requester.user.id": int64(0), "kill.initiator.title": "sudo " + command,
		"process.command": "runc", "kill.requester.candidates": nil,
	})
}

// TestContainers lets people end containers, and containers end by themselves.
func TestContainers(t *testing.T) {
	c := watchContainers(t)
	const of = "ctr --namespace " + namespace

	t.Run("a stop", func(t *testing.T) {
		pid := c.run(t, "web", obedient)
		c.SSH("alice", "10.0.0.5", "sudo "+of+" task kill web")
		r := c.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, byCtr(of+" task kill web"))
		assert.Contains(t, r.Body, ": stop of ")
		assert.Contains(t, r.Body, "asked for by ctr[")
		otlp.AssertAttributes(t, c.await("kill.outcome", pid, "SIGTERM"), map[string]any{
			"kill.last_cause": "container_stop", "client.address": "10.0.0.5",
		})
	})
	t.Run("a kill of a container with a long id", func(t *testing.T) {
		id := strings.Repeat("0e2e", 16)
		pid := c.run(t, id, stubborn)
		c.SSH("alice", "10.0.0.5", "sudo "+of+" task kill --signal SIGKILL "+id)
		want := byCtr(of + " task kill --signal SIGKILL " + id)
		want["kill.target.container.id"] = id
		otlp.AssertAttributes(t, c.signal(pid, "SIGKILL"), want)
	})
	t.Run("all processes of a container", func(t *testing.T) {
		before := len(c.sink.Records())
		pid := c.run(t, "web", obedient)
		c.SSH("alice", "10.0.0.5", "sudo "+of+" task kill -a -s KILL web")
		otlp.AssertAttributes(t, c.signal(pid, "SIGKILL"), byCtr(of+" task kill -a -s KILL web"))
		otlp.AssertAttributes(t, c.within(before, "/"+namespace+"/web", "SIGKILL", "sleep"), byCtr(of+" task kill -a -s KILL web"))
	})
	t.Run("a removal", func(t *testing.T) {
		pid := c.run(t, "web", stubborn)
		c.SSH("alice", "10.0.0.5", "sudo "+of+" task delete --force web")
		otlp.AssertAttributes(t, c.signal(pid, "SIGKILL"), byCtr(of+" task delete --force web"))
	})
	t.Run("one person after the other", func(t *testing.T) {
		pid := c.run(t, "web", stubborn)
		c.SSH("alice", "10.0.0.5", "sudo "+of+" task kill web")
		otlp.AssertAttributes(t, c.signal(pid, "SIGTERM"), byCtr(of+" task kill web"))
		c.Root("ctr", "--namespace", namespace, "task", "kill", "-s", "KILL", "web")
		otlp.AssertAttributes(t, c.signal(pid, "SIGKILL"), map[string]any{
			"kill.requester.title": of + " task kill -s KILL web", "user.id": nil, "client.address": nil,
		})
	})
	t.Run("a script of root", func(t *testing.T) {
		pid := c.run(t, "web", obedient)
		c.Write("/root/deploy.sh", "#!/bin/sh\n"+of+" task kill web\ntrue\n", 0o755)
		c.Root("systemd-run", "--wait", "--quiet", "/root/deploy.sh")
		otlp.AssertAttributes(t, c.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "container_stop", "kill.requester.title": of + " task kill web",
			"kill.initiator.title": "/bin/sh /root/deploy.sh", "user.id": nil, "client.address": nil,
		})
	})
	t.Run("an end that nobody has asked for", func(t *testing.T) {
		c.run(t, "web-2", obedient)
		before := len(c.sink.Records())
		looks := c.Start("alice", "10.0.0.5", "while :; do sudo "+of+" task ls; sudo "+of+" container ls; done >/dev/null")
		// In the pid namespace of others, nothing ends with its init. runc kills what is left.
		c.run(t, "web", "sleep infinity & sleep 2", "--with-ns", "pid:/proc/"+strconv.Itoa(os.Getpid())+"/ns/pid")
		c.SSH("alice", "10.0.0.5", "sleep 1; sudo "+of+" task kill --signal WINCH web-2")
		r := c.within(before, "/"+namespace+"/web", "SIGKILL", "sleep")
		looks.Kill()
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "container_stop", "kill.evidence": "observed", "process.command": "runc",
			"kill.requester.name": nil, "kill.requester.candidates": nil, "user.id": nil, "client.address": nil,
		})
	})
}

// TestContainersSideBySide has two people stop many containers at the same moments.
func TestContainersSideBySide(t *testing.T) {
	c := watchContainers(t)
	c.Write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	const many = 10
	by := map[int]string{}
	lines := map[string]string{}
	names := map[int]string{}
	for i := range 2 * many {
		user := []string{"alice", "bob"}[i%2]
		id := fmt.Sprintf("web-%d", i)
		pid := c.run(t, id, obedient)
		by[pid], names[pid] = user, id
		lines[user] += "sudo ctr --namespace " + namespace + " task kill " + id + "; "
	}
	alice, bob := c.Start("alice", "10.0.0.5", lines["alice"]), c.Start("bob", "10.0.0.5", lines["bob"])
	for pid, user := range by {
		otlp.AssertAttributes(t, c.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "container_stop", "kill.requester.title": "ctr --namespace " + namespace + " task kill " + names[pid],
			"user.id": map[string]string{"alice": "1000", "bob": "1001"}[user], "kill.session.user.name": user,
		})
	}
	alice.Wait()
	bob.Wait()
}
