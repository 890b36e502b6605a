// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// TestServices lets people, scripts and systemd itself end services, beside a collector of root and one with no more
// rights than the packaged service has.
func TestServices(t *testing.T) {
	t.Run("root", func(t *testing.T) { playServices(t, watch(t, ""), "observed") })
	t.Run("service", func(t *testing.T) {
		rights := func(command *exec.Cmd) {
			harness.Attributes(command).AmbientCaps = []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE}
		}
		// It may not see the calls on the bus, only who has connected.
		playServices(t, watch(t, "", collector.AsNobody(t), rights), "inferred")
	})
}

// playServices plays the stories of services. call is how it is known who has called over the bus.
func playServices(t *testing.T, w *watching, call string) {
	t.Helper()
	const mysqld = host.Mysqld

	t.Run("ssh and sudo", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl restart mysql")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, byAlice(map[string]any{
			"kill.cause": "service_restart", "kill.requester.name": "systemctl", "kill.requester.title": "systemctl restart mysql",
			"kill.initiator.name": "sudo", "kill.initiator.title": "sudo systemctl restart mysql", "kill.requester.user.id": int64(0),
			"process.command": "systemd", "kill.requester.candidates": nil,
		}))
		assert.Contains(t, r.Body, ": restart of mysql.service, ")
		assert.Contains(t, r.Body, "asked for by systemctl[")
		assert.Contains(t, r.Body, " (systemctl restart mysql) of alice from 10.0.0.5")
		o := w.await("kill.outcome", pid, "SIGTERM")
		otlp.AssertAttributes(t, o, map[string]any{"kill.last_cause": "service_restart", "client.address": "10.0.0.5"})
	})
	t.Run("a script of root", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.Write("/root/cleanup.sh", "#!/bin/sh\nsystemctl stop mysql\ntrue\n", 0o755)
		w.Root("systemd-run", "--wait", "--quiet", "/root/cleanup.sh")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), map[string]any{
			"kill.cause": "service_stop", "kill.requester.title": "systemctl stop mysql", "kill.initiator.name": "cleanup.sh",
			"kill.initiator.title": "/bin/sh /root/cleanup.sh", "user.id": nil, "client.address": nil,
		})
	})
	t.Run("a maintainer script", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.Write("/tmp/package/DEBIAN/control", "Package: story\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a story\n", 0o644)
		w.Write("/tmp/package/DEBIAN/preinst", "#!/bin/sh\nsystemctl stop mysql\n", 0o755)
		w.Root("dpkg-deb", "--build", "--root-owner-group", "/tmp/package", "/tmp/story.deb")
		w.SSH("alice", "10.0.0.5", "sudo dpkg --install /tmp/story.deb")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, byAlice(map[string]any{
			"kill.cause": "service_stop", "kill.initiator.title": "sudo dpkg --install /tmp/story.deb",
		}))
		assert.Contains(t, fmt.Sprint(r.Attributes["kill.requester.ancestry_titles"]), "/var/lib/dpkg/tmp.ci/preinst install")
	})
	t.Run("a call of one's own on the bus", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.SSH("alice", "10.0.0.5", "sudo busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "+
			"StopUnit ss mysql.service replace")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "service_stop", "kill.requester.name": "busctl", "kill.evidence": call,
		}))
	})
	t.Run("a unit that is a part of another one", func(t *testing.T) {
		w.start("mysql", mysqld)
		pid := w.start("part", "[Unit]\nPartOf=mysql.service\n"+mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop mysql")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, byAlice(map[string]any{"kill.cause": "dependency", "kill.requester.title": "systemctl stop mysql"}))
		assert.Contains(t, r.Body, ": stop of part.service because of mysql.service, ")
	})
	t.Run("a unit that is bound to another one", func(t *testing.T) {
		w.start("mysql", mysqld)
		pid := w.start("bound", "[Unit]\nBindsTo=mysql.service\nAfter=mysql.service\n"+mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{"kill.cause": "dependency"}))
	})
	t.Run("a unit in conflict with another one", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.Service("foe", "[Unit]\nConflicts=mysql.service\n"+mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl start foe")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "dependency", "kill.requester.title": "systemctl start foe",
		}))
		w.Root("systemctl", "stop", "foe")
	})
	t.Run("systemctl kill", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl kill --signal=KILL mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGKILL"), byAlice(map[string]any{
			"kill.cause": "service_kill", "kill.requester.title": "systemctl kill --signal=KILL mysql",
		}))
	})
	t.Run("systemctl kill in short", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl kill -s9 mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGKILL"), byAlice(map[string]any{
			"kill.cause": "service_kill", "kill.requester.title": "systemctl kill -s9 mysql",
		}))
	})
	t.Run("what a package manager has marked", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.Root("systemctl", "set-property", "mysql.service", "Markers=+needs-restart")
		w.SSH("alice", "10.0.0.5", "sudo systemctl reload-or-restart --marked")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "service_restart", "kill.requester.title": "systemctl reload-or-restart --marked",
		}))
	})
	t.Run("a reload", func(t *testing.T) {
		pid := w.start("mysql", mysqld+"ExecReload=/bin/kill -HUP $MAINPID\n")
		w.SSH("alice", "10.0.0.5", "sudo systemctl reload mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGHUP"), byAlice(map[string]any{
			"kill.cause": "service_reload", "process.command": "kill", "kill.requester.title": "systemctl reload mysql",
		}))
	})
	t.Run("a program of a stop script", func(t *testing.T) {
		pid := w.start("mysql", mysqld+"ExecStop=/bin/sh -c '/bin/kill -TERM $MAINPID; while /bin/kill -0 $MAINPID; do sleep 0.1; done'\n")
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "service_stop", "process.command": "kill", "kill.requester.title": "systemctl stop mysql",
		}))
	})
	t.Run("a stop that times out", func(t *testing.T) {
		pid := w.start("stubborn", host.Stubborn+"TimeoutStopSec=1\n")
		w.SSH("alice", "10.0.0.5", "sudo systemctl stop stubborn")
		r := w.signal(pid, "SIGKILL")
		otlp.AssertAttributes(t, r, byAlice(map[string]any{"kill.cause": "stop_timeout", "kill.requester.title": "systemctl stop stubborn"}))
		assert.Contains(t, r.Body, ": stubborn.service did not stop within 1 s, ")
		otlp.AssertAttributes(t, w.await("kill.outcome", pid, "SIGTERM"), map[string]any{
			"kill.cause": "service_stop", "kill.last_cause": "stop_timeout",
		})
	})
	t.Run("a start that times out", func(t *testing.T) {
		w.Service("slow", strings.Replace(mysqld, "[Service]\n", "[Service]\nType=notify\nTimeoutStartSec=1\n", 1))
		before := len(w.sink.Records())
		_, err := w.Try("systemctl", "start", "slow")
		require.Error(t, err)
		r := w.after(before, "slow.service")
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "start_timeout", "kill.evidence": "observed", "kill.requester.name": nil, "user.id": nil,
		})
		assert.Contains(t, r.Body, ": slow.service did not start within 1 s")
	})
	t.Run("a service that runs for too long", func(t *testing.T) {
		pid := w.start("limited", mysqld+"RuntimeMaxSec=1\n")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, map[string]any{"kill.cause": "runtime_limit", "kill.evidence": "observed", "kill.requester.name": nil})
		assert.Contains(t, r.Body, ": limited.service ran for longer than its limit of 1 s")
	})
	t.Run("a watchdog beside somebody who looks on", func(t *testing.T) {
		pid := w.start("dog", mysqld+"WatchdogSec=1\n")
		for range 8 {
			_, _ = w.Try("systemctl", "status", "dog") // it says by its status that the service has failed
		}
		r := w.signal(pid, "SIGABRT")
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "watchdog", "kill.evidence": "observed", "kill.requester.name": nil, "kill.requester.candidates": nil, "user.id": nil,
		})
		assert.Contains(t, r.Body, ": the watchdog of dog.service was not served for 1 s")
	})
	t.Run("what the main process leaves behind", func(t *testing.T) {
		before := len(w.sink.Records())
		w.Service("main", "[Service]\nExecStart=/bin/sh -c '/usr/local/sbin/mysqld infinity & sleep 0.3'\n")
		w.Root("systemctl", "start", "main")
		otlp.AssertAttributes(t, w.after(before, "main.service"), map[string]any{
			"kill.cause": "main_process_end", "kill.evidence": "observed", "kill.requester.name": nil, "user.id": nil,
		})
	})
	t.Run("a requester that does not wait", func(t *testing.T) {
		pid := w.start("mysql", mysqld)
		w.SSH("alice", "10.0.0.5", "sudo systemctl --no-block stop mysql")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"kill.cause": "service_stop", "kill.requester.title": "systemctl --no-block stop mysql",
		}))
	})
}
