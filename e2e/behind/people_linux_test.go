// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// TestPeople lets people end what they and others have started.
func TestPeople(t *testing.T) {
	w := watch(t, "")
	t.Run("pkill by sudo", func(t *testing.T) {
		pid := w.start("mysql", host.Mysqld)
		w.SSH("alice", "10.0.0.5", "sudo pkill -TERM -x mysqld")
		r := w.signal(pid, "SIGTERM")
		otlp.AssertAttributes(t, r, map[string]any{
			"process.command": "pkill", "kill.initiator.title": "sudo pkill -TERM -x mysqld", "user.id": "1000", "client.address": "10.0.0.5",
			"kill.sender.audit.user.id": int64(1000), "kill.requester.name": nil, "kill.cause": nil, "kill.evidence": nil,
		})
	})
	t.Run("a service of a user's own", func(t *testing.T) {
		w.Root("loginctl", "enable-linger", "alice")
		before := len(w.sink.Records())
		w.SSH("alice", "10.0.0.5", "export XDG_RUNTIME_DIR=/run/user/1000; systemd-run --user --quiet --unit=job /usr/local/sbin/mysqld infinity; "+
			"sleep 3; systemctl --user stop job")
		otlp.AssertAttributes(t, w.after(before, "job.service"), byAlice(map[string]any{
			"kill.cause": "service_stop", "kill.requester.title": "systemctl --user stop job", "kill.sender.audit.user.id": int64(1000),
		}))
	})
	t.Run("a service of a user's, by root", func(t *testing.T) {
		before := len(w.sink.Records())
		w.SSH("alice", "10.0.0.5", "export XDG_RUNTIME_DIR=/run/user/1000; systemd-run --user --quiet --unit=upgraded /usr/local/sbin/mysqld infinity")
		w.Root("systemctl", "--user", "--machine=alice@", "stop", "upgraded")
		r := w.after(before, "upgraded.service")
		// Nobody from outside is let into the systemd of a user in there, so that its job is not known.
		otlp.AssertAttributes(t, r, map[string]any{"kill.requester.name": nil, "user.id": nil, "client.address": nil})
		assert.NotContains(t, r.Body, "alice")
	})
	t.Run("services of a user who has logged out", func(t *testing.T) {
		before := len(w.sink.Records())
		w.SSH("bob", "10.0.0.5", "export XDG_RUNTIME_DIR=/run/user/1001; systemd-run --user --quiet --unit=left /usr/local/sbin/mysqld infinity")
		// Ten seconds later (logind.conf(5), UserStopDelaySec=). A user's systemd in there may be any program, so that no more is said.
		otlp.AssertAttributes(t, w.after(before, "left.service"), map[string]any{"kill.cause": nil, "kill.requester.name": nil})
	})
	t.Run("a session that root ends", func(t *testing.T) {
		login := w.Start("bob", "10.0.0.5", "exec /usr/local/sbin/mysqld infinity")
		before := len(w.sink.Records())
		harness.Eventually(t, func() bool {
			_, err := w.Try("pgrep", "-u", "bob", "-x", "mysqld")
			return err == nil
		}, "bob has started his program")
		w.Root("loginctl", "terminate-user", "bob")
		login.Wait()
		otlp.AssertAttributes(t, w.within(before, "/session-", "SIGTERM", "mysqld"), map[string]any{
			"kill.cause": "session_kill", "kill.requester.title": "loginctl terminate-user bob",
		})
	})
	t.Run("what a login leaves behind", func(t *testing.T) {
		w.Write("/etc/systemd/logind.conf.d/kill.conf", "[Login]\nKillUserProcesses=yes\n", 0o644)
		w.Root("systemctl", "restart", "systemd-logind")
		before := len(w.sink.Records())
		w.SSH("bob", "10.0.0.5", "setsid /usr/local/sbin/mysqld infinity >/dev/null 2>&1 </dev/null & sleep 0.5")
		r := w.within(before, "/session-", "SIGTERM", "mysqld")
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "session_end", "user.id": "1001", "client.address": "10.0.0.5", "kill.session.user.name": "bob",
			"kill.requester.name": nil,
		})
		assert.Contains(t, r.Body, " of bob from 10.0.0.5")
	})
	t.Run("timeout", func(t *testing.T) {
		before := len(w.sink.Records())
		_, _ = w.Try("timeout", "0.5", "/usr/local/sbin/mysqld", "infinity")
		var found otlp.Record
		harness.Eventually(t, func() bool {
			for _, r := range w.sink.Records()[before:] {
				if r.Event == "kill.signal" && r.Text("process.command") == "timeout" && r.Text("kill.target.name") == "mysqld" {
					found = r
				}
			}
			return found.Event != ""
		}, "the signal of timeout")
		otlp.AssertAttributes(t, found, map[string]any{
			"kill.requester.name": nil, "kill.cause": nil, "process.title": "timeout 0.5 /usr/local/sbin/mysqld infinity",
		})
	})
}

// TestShutdown lets somebody turn the host off, or start it again.
func TestShutdown(t *testing.T) {
	for _, verb := range []string{"poweroff", "reboot"} {
		t.Run(verb, func(t *testing.T) {
			w := watch(t, "")
			pid := w.start("mysql", host.Mysqld)
			login := w.Start("alice", "10.0.0.5", "sudo systemctl "+verb)
			w.AwaitOff()
			login.Wait()
			r := w.signal(pid, "SIGTERM")
			otlp.AssertAttributes(t, r, byAlice(map[string]any{
				"kill.cause": "shutdown", "kill.requester.title": "systemctl " + verb,
			}))
			assert.Contains(t, r.Body, ": shutdown, ")
		})
	}
}

// TestCron lets cron run a script.
func TestCron(t *testing.T) {
	w := watch(t, "")
	pid := w.start("mysql", host.Mysqld)
	w.Write("/root/cleanup.sh", "#!/bin/sh\npkill -x mysqld\nsleep 0.1\n", 0o755)
	w.Write("/etc/cron.d/cleanup", "* * * * * root /root/cleanup.sh\n", 0o644)
	var r otlp.Record
	require.Eventually(t, func() bool {
		for _, r = range w.sink.Records() {
			if r.Event == "kill.signal" && r.Number("kill.target.pid") == int64(pid) {
				return true
			}
		}
		return false
	}, 90*time.Second, time.Second, "cron runs its scripts once a minute")
	otlp.AssertAttributes(t, r, map[string]any{
		"process.command": "pkill", "kill.initiator.name": "cleanup.sh", "kill.initiator.title": "/bin/sh /root/cleanup.sh",
		"kill.session.service": "cron", "client.address": nil,
	})
	assert.Contains(t, r.Attributes["kill.sender.ancestry_titles"], "/bin/sh /root/cleanup.sh")
}
