// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// TestRulesAreLocked locks the rules before there are some, which keeps signals from
// being recorded until the next boot: all that depends on them says so, and ebpf does
// not care.
func TestRulesAreLocked(t *testing.T) {
	harness.NeedMachine(t, 1)
	audit.Need(t)
	audit.Auditctl(t, "-e", "2")
	require.Contains(t, audit.Auditctl(t, append([]string{"-a"}, strings.Fields(auditRules[0])...)...), "immutable")
	const locked = "locked until the next boot"

	t.Run("netlink", func(t *testing.T) {
		sink := otlp.NewSink(t, "grpc")
		c := startLive(t, `{netlink: {}}`, sink)
		c.Says("the audit rules are " + locked)
		s := process.NewSender(t, process.NativeSender(t))
		s.Unreported(orders.Order{Call: "kill", PID: s.Start(1, false)[0], Signal: int(unix.SIGTERM)})
		c.Running()
		c.Stop()
		assert.Empty(t, sink.Records(), "nothing is recorded, and nothing made up")
	})
	t.Run("ebpf", func(t *testing.T) {
		sink := otlp.NewSink(t, "grpc")
		c := startLive(t, `{ebpf: {}}`, sink)
		s := process.NewSender(t, process.NativeSender(t))
		victim := s.Start(1, false)[0]
		s.Send(orders.Order{Call: "kill", PID: victim, Signal: int(unix.SIGTERM)}, victim)
		awaitSent(t, sink, []*process.Sender{s})
		c.Stop()
	})
	for command, code := range map[string]int{"doctor": 0, "rules --check": 1} {
		t.Run(command, func(t *testing.T) {
			program := exec.CommandContext(t.Context(), harness.Path("_build/auditkill"), strings.Fields(command)...) //nolint:gosec // as listed
			said, _ := program.CombinedOutput()
			assert.Equal(t, code, program.ProcessState.ExitCode(), "%s", said)
			assert.Contains(t, strings.Join(strings.Fields(string(said)), " "), locked)
		})
	}
	assert.Equal(t, "2", audit.Status(t)["enabled"])
	assert.Equal(t, "No rules\n", audit.Auditctl(t, "-l"))
}
