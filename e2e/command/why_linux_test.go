// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// remembering runs the collector with the configuration of the packages, but its files in a folder of the test.
func remembering(t *testing.T, state string, options ...func(*exec.Cmd)) *collector.Collector {
	t.Helper()
	return shipped.Start(t, "deploy/packaging/config.yaml", nil, append([]func(*exec.Cmd){shipped.Overlay(t, `
receivers: {audit_kill: {ebpf: {}, targets: ["why*"]}}
extensions: {file_storage: {directory: %[1]q}}
exporters: {file/history: {path: %[2]q, rotation: {max_megabytes: 1}}}
`, state, filepath.Join(state, "history", "events.json"))}, options...)...)
}

// why asks auditkill, and returns what it says on standard output and standard error, and its exit status.
func why(t *testing.T, arguments ...string) (out, errs string, code int) {
	t.Helper()
	require.FileExists(t, companion, "`make auditkill` builds it")
	command := exec.CommandContext(t.Context(), companion, append([]string{"why", "--kernel-log", "none"}, arguments...)...) //nolint:gosec // the command under test
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return stdout.String(), stderr.String(), command.ProcessState.ExitCode()
}

// awaitAnswer asks until the answer has a text.
func awaitAnswer(t *testing.T, text string, arguments ...string) (answer string) {
	t.Helper()
	harness.Eventually(t, func() bool {
		answer, _, _ = why(t, arguments...)
		return strings.Contains(answer, text)
	}, "auditkill why %v says %q", arguments, text)
	return answer
}

// A collector has seen a kill that auditd has recorded as well. The host knows it afterwards, once, also if the collector
// was killed.
func TestWhyAfterAKill(t *testing.T) {
	audit.Use(t)
	daemon := audit.NewDaemon(t, "log_format = RAW")
	daemon.Run()
	audit.LoadRules(t, harness.Path("deploy/audit_kill.rules"))
	state := t.TempDir()
	c := remembering(t, state)
	victim := process.StartScript(t, "whyvictim", "trap 'exit 143' TERM; echo; while :; do sleep 0.01; done", true)
	shell := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("kill -TERM %d", victim.PID)) //nolint:gosec // a test's own
	require.NoError(t, shell.Run())
	asked := []string{"whyvictim", "--history", filepath.Join(state, "history"), "--audit-log", daemon.Log}
	answer := awaitAnswer(t, "exited with code 143 (128 + SIGTERM)", asked...)
	assert.Contains(t, answer, fmt.Sprintf("whyvictim[%d] exited", victim.PID))
	assert.Contains(t, answer, fmt.Sprintf("sh[%d] (", shell.Process.Pid))
	assert.Contains(t, answer, "Exit code 143 is 128 + 15: so shells and runtimes report that SIGTERM ended")
	assert.NotContains(t, answer, "Not looked at")
	assert.Equal(t, 1, strings.Count(answer, "sent SIGTERM"), "once: %s", answer)
	c.Kill()
	after, _, code := why(t, asked...)
	assert.Zero(t, code)
	assert.Contains(t, after, strings.Join(strings.Split(answer, "\n")[1:4], "\n"), "a collector that was killed has written it")

	events := filepath.Join(state, "history", "events.json")
	for _, arguments := range [][]string{{daemon.Log, events}, {events, daemon.Log}} {
		report := auditkill(t, nil, append([]string{"report", "-t", "whyvictim", "-o", "json"}, arguments...)...)
		var told []string
		for line := range strings.Lines(report) {
			var r struct {
				Event  string
				Target string `json:"kill.target.name"`
			}
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			if r.Target != "" { // others may be incomplete
				told = append(told, r.Event)
			}
		}
		assert.Equal(t, []string{"kill.signal", "kill.outcome"}, told, report)
	}

	// What is not whole is no reason to lose what comes after it.
	file, err := os.OpenFile(events, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"resourceLogs":[{"resource":{"attr`)
	require.NoError(t, errors.Join(err, file.Close()))
	c = c.Restart()
	second := startVictim(t)
	kill(t, second)
	awaitAnswer(t, fmt.Sprintf("whyvictim[%d] was killed by SIGKILL", second.PID), asked...)
	_, errs, code := why(t, "whyvictin", "--history", state+"/history", "--audit-log", "/nonexistent/audit.log")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "did you mean whyvictim?")
	assert.Contains(t, errs, "a damaged line")
	c.Stop()
}

// startVictim starts a process with a name that no other test's has.
func startVictim(t *testing.T) *process.Target {
	t.Helper()
	return process.StartScript(t, "whyvictim", "echo; while :; do sleep 1; done", true)
}

func kill(t *testing.T, target *process.Target) {
	t.Helper()
	require.NoError(t, syscall.Kill(target.PID, syscall.SIGKILL))
}

// The history is rotated, and what is in a rotated file is still known.
func TestWhyOfARotatedHistory(t *testing.T) {
	harness.NeedRoot(t)
	state := t.TempDir()
	c := remembering(t, state)
	victim := startVictim(t)
	kill(t, victim)
	program := filepath.Join(t.TempDir(), "whyflood")
	harness.CopyProgram(t, "/bin/sleep", program)
	flood := "i=0; while [ $i -lt 300 ]; do " + program + " 600 & sleep 0.01; kill -KILL $! 2>/dev/null; wait; i=$((i+1)); done"
	require.NoError(t, exec.CommandContext(t.Context(), "sh", "-c", flood).Run()) //nolint:gosec // a test's own
	harness.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(state, "history", "events-*.json"))
		return len(files) > 0
	}, "the history was rotated")
	awaitAnswer(t, "was killed by SIGKILL", fmt.Sprintf("whyvictim[%d]", victim.PID), "--history", state+"/history", "--audit-log", "/nonexistent/audit.log")
	info, err := os.Stat(filepath.Join(state, "history"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "command lines are nobody else's business")
	c.Stop()
}

// A full disk takes nothing from the other exporters, and nothing twice.
func TestHistoryOnAFullDisk(t *testing.T) {
	harness.NeedRoot(t)
	state := t.TempDir()
	small := filepath.Join(state, "history")
	require.NoError(t, os.Mkdir(small, 0o700))
	require.NoError(t, unix.Mount("none", small, "tmpfs", 0, "size=16k"))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(small, unix.MNT_DETACH)) })
	c := remembering(t, state)
	var last *process.Target
	for range 40 {
		last = startVictim(t)
		kill(t, last)
	}
	c.Says("no space left on device")
	sent := fmt.Sprintf("sent SIGKILL to whyvictim[%d]", last.PID)
	c.Says(sent)
	assert.Equal(t, 1, strings.Count(c.Output.String(), sent))
	require.NoError(t, unix.Mount("none", small, "tmpfs", unix.MS_REMOUNT, "size=4m"))
	last = startVictim(t)
	kill(t, last)
	awaitAnswer(t, "was killed by SIGKILL", strconv.Itoa(last.PID), "--history", small, "--audit-log", "/nonexistent/audit.log")
	c.Stop()
}
