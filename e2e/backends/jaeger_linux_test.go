// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/jaeger"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// What a real Jaeger, which receives the traces over OTLP, finds in them.

const toJaegerTemplate = `
receivers: {%s}
exporters: {otlp_http: {endpoint: %q}}
service:
  pipelines: {traces: {receivers: [%s], exporters: [otlp_http]}}
  telemetry:
    logs: {disable_stacktrace: true}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}
`

// startTo runs a collector that sends the traces of a receiver to Jaeger, without any processor.
func startTo(t *testing.T, j *jaeger.Jaeger, receiver string) *collector.Collector {
	t.Helper()
	port := harness.FreePort(t)
	name, _, _ := strings.Cut(receiver, ":")
	text := fmt.Sprintf(toJaegerTemplate, receiver, j.OTLP, name, port)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	c := collector.StartCommand(t, port, collector.Arguments("--config", path))
	c.Ready()
	return c
}

// mysqlds are shell scripts that differ in what they do on SIGTERM. Each prints a line when it is
// ready, and the one that survives SIGTERM prints another line then.
var mysqlds = map[string]string{
	"dies":    "echo ready; read -r line",
	"exits":   "trap 'exit 0' TERM; echo ready; read -r line",
	"resists": "trap 'echo busy' TERM; echo ready; while :; do read -r line; done",
}

// startMysqld runs such a script, and returns its output.
func startMysqld(t *testing.T, manner string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mysqld")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+mysqlds[manner]+"\n"), 0o755))
	command := exec.Command(path) //nolint:gosec // was just written
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err := command.StdinPipe() // keeps it waiting
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // fails unless the test has failed
		_ = command.Wait()
	})
	says := bufio.NewScanner(stdout)
	awaitLine(t, says, "ready")
	return command, says
}

func awaitLine(t *testing.T, says *bufio.Scanner, line string) {
	t.Helper()
	require.True(t, says.Scan(), "mysqld has ended")
	require.Equal(t, line, says.Text())
}

// Jaeger finds the terminations of mysqld that were escalated.
func TestJaegerAnswers(t *testing.T) {
	harness.NeedRoot(t)
	j := jaeger.Start(t)
	c := startTo(t, j, "audit_kill: {ebpf: {}, targets: [mysqld], outcome: {timeout: 30s}}")

	pids, manners := make(map[string]string), make(map[string]string)
	for manner := range mysqlds {
		command, says := startMysqld(t, manner)
		pid := command.Process.Pid
		pids[manner], manners[strconv.Itoa(pid)] = strconv.Itoa(pid), manner
		require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
		if manner == "resists" {
			awaitLine(t, says, "busy")
			time.Sleep(time.Second) // as a service manager waits between SIGTERM and SIGKILL
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		_ = command.Wait() // Jaeger must know how it ended
	}

	const operation = "terminate mysqld"
	reported, traces := make(map[string]jaeger.Span), make(map[string]bool)
	for _, span := range j.Await(len(mysqlds), "auditkill", operation, nil) {
		assert.Equal(t, operation, span.OperationName)
		assert.Empty(t, span.References, "a parent")
		reported[manners[span.Tags["kill.target.pid"]]] = span
		traces[span.TraceID] = true
	}
	assert.Len(t, traces, len(mysqlds), "each was signaled by a call of its own")
	escalated := j.Find("auditkill", operation, jaeger.Tags{"kill.escalated": "true"})
	c.Stop()

	require.Len(t, escalated, 1)
	assert.Equal(t, pids["resists"], escalated[0].Tags["kill.target.pid"])
	assert.Regexp(t, `^was killed by SIGKILL [1-9]\d*\.\d+ s after SIGTERM$`, escalated[0].Tags["otel.status_description"])
	for manner, want := range map[string]struct {
		tags    jaeger.Tags // a tag with an empty value must be absent
		signals []string
	}{
		"dies": {
			jaeger.Tags{"kill.outcome": "killed", "kill.exit.signal.name": "SIGTERM", "otel.status_code": ""},
			[]string{"SIGTERM"},
		},
		"exits": {
			jaeger.Tags{"kill.outcome": "exited", "process.exit.code": "0", "otel.status_code": ""},
			[]string{"SIGTERM"},
		},
		"resists": {
			jaeger.Tags{"kill.outcome": "killed", "kill.exit.signal.name": "SIGKILL", "otel.status_code": "ERROR"},
			[]string{"SIGTERM", "SIGKILL"},
		},
	} {
		span := reported[manner]
		for name, value := range want.tags {
			assert.Equal(t, value, span.Tags[name], "%s of the mysqld that %s", name, manner)
		}
		var signals []string
		for _, event := range span.Logs {
			assert.Equal(t, "signal", event.Fields["event"])
			signals = append(signals, event.Fields["kill.signal.name"])
		}
		assert.Equal(t, want.signals, signals, "signals to the mysqld that %s", manner)
	}
}
