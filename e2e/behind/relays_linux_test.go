// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// TestRelays sends signals to programs that pass them on.
func TestRelays(t *testing.T) {
	w := watch(t, "")
	tests := map[string]struct{ run, name, signal string }{
		"timeout":            {"timeout 1000 /usr/local/sbin/mysqld infinity", "timeout", "SIGTERM"},
		"tini":               {"tini -s -- /usr/local/sbin/mysqld infinity", "tini", "SIGUSR1"},
		"sudo in a terminal": {"exec sudo /usr/local/sbin/mysqld infinity", "sudo", "SIGTERM"},
		"sudo":               {"exec sudo /usr/local/sbin/mysqld infinity </dev/null >/dev/null 2>&1", "sudo", "SIGTERM"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			login := w.Start("alice", "10.0.0.5", tt.run)
			pid := w.running("mysqld")
			relay := strings.TrimSpace(w.Root("pgrep", "-o", "-x", tt.name))
			w.Root("/bin/kill", "-s", strings.TrimPrefix(tt.signal, "SIG"), relay)
			r := w.signal(pid, tt.signal)
			otlp.AssertAttributes(t, r, map[string]any{
				"process.command": tt.name, "kill.requester.name": "kill", "kill.requester.title": "/bin/kill -s " + strings.TrimPrefix(tt.signal, "SIG") + " " + relay,
				"kill.evidence": "inferred", "user.id": nil, "client.address": nil,
			})
			login.Wait()
		})
	}
	t.Run("a person", func(t *testing.T) {
		run := w.Background("systemd-run", "--quiet", "--scope", "timeout", "1000", "/usr/local/sbin/mysqld", "infinity") // in the host's groups
		pid := w.running("mysqld")
		w.SSH("alice", "10.0.0.5", "sudo pkill -x timeout")
		otlp.AssertAttributes(t, w.signal(pid, "SIGTERM"), byAlice(map[string]any{
			"process.command":      "timeout",
			"kill.requester.title": "pkill -x timeout", "kill.initiator.title": "sudo pkill -x timeout",
		}))
		_, ended := run.Wait()
		require.True(t, ended)
	})
	t.Run("its own time", func(t *testing.T) {
		run := w.Background("timeout", "2", "/usr/local/sbin/mysqld", "infinity")
		otlp.AssertAttributes(t, w.signal(w.running("mysqld"), "SIGTERM"), map[string]any{
			"process.command": "timeout", "kill.requester.name": nil, "kill.evidence": nil,
		})
		run.Wait()
	})
}

// running waits until one program of the host has a name, and returns its pid.
func (w *watching) running(name string) int {
	w.t.Helper()
	pid := 0
	harness.Eventually(w.t, func() bool {
		inner, err := w.Try("pgrep", "-x", name)
		pid = w.Outer(harness.Number(strings.TrimSpace(inner)))
		return err == nil && pid > 0
	}, "%s runs", name)
	return pid
}
