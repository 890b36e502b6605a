// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package collector runs the collector that `make otelcol` builds with a test's own configuration,
// and reads its output and metrics.
package collector

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Collector is a running collector.
type Collector struct {
	*harness.Process

	t           *testing.T
	metricsPort int
}

// Start runs the collector until the test ends.
func Start(t *testing.T, c Config, options ...func(*exec.Cmd)) *Collector {
	t.Helper()
	port := harness.FreePort(t)
	return StartCommand(t, port, append([]func(*exec.Cmd){func(command *exec.Cmd) {
		command.Args = append(command.Args, "--config", c.Write(t, port))
	}}, options...)...)
}

// StartCommand runs the collector until the test ends. Options set its command line and its
// environment. It serves its metrics at metricsPort.
func StartCommand(t *testing.T, metricsPort int, options ...func(*exec.Cmd)) *Collector {
	t.Helper()
	path, err := filepath.Abs(harness.Distribution())
	require.NoError(t, err)
	command := exec.Command(path) //nolint:gosec // the program under test
	for _, option := range options {
		option(command)
	}
	c := &Collector{Process: harness.StartProcess(t, command, new(harness.Output)), t: t, metricsPort: metricsPort}
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Logf("output of the collector:\n%s", c.Output.Tail())
		}
	})
	return c
}

// Ready waits until the collector has started.
func (c *Collector) Ready() {
	c.t.Helper()
	c.Says("Everything is ready.")
}

// Says waits until a text is in the collector's output.
func (c *Collector) Says(text string) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool { return c.Output.Contains(text) || c.Gone() }, "the collector says %q", text)
	require.True(c.t, c.Output.Contains(text), "the collector ended without saying %q", text)
}

// Running asserts that the collector has not ended.
func (c *Collector) Running() {
	c.t.Helper()
	assert.False(c.t, c.Gone(), "the collector must still be running")
}

// Stop ends the collector as systemd would. The collector reports that it is ready shortly before
// it handles signals (go.opentelemetry.io/collector/otelcol, Collector.Run), and does not log when
// it does: hence the pause.
func (c *Collector) Stop() {
	c.t.Helper()
	time.Sleep(100 * time.Millisecond)
	require.NoError(c.t, c.Command.Process.Signal(syscall.SIGTERM))
	assert.Equal(c.t, 0, c.Wait(), "exit status")
}

// Wait waits until the collector has ended by itself, and returns its exit status.
func (c *Collector) Wait() int {
	c.t.Helper()
	status, ended := c.Process.Wait()
	require.True(c.t, ended, "the collector ends")
	return status
}

// Run runs the collector to its end, and returns its output and its exit status.
func Run(t *testing.T, options ...func(*exec.Cmd)) (string, int) {
	t.Helper()
	c := StartCommand(t, 0, options...)
	status := c.Wait()
	return c.Output.String(), status
}

// Arguments returns an option that adds arguments to the command line.
func Arguments(arguments ...string) func(*exec.Cmd) {
	return func(command *exec.Cmd) { command.Args = append(command.Args, arguments...) }
}

// Restart starts a collector again that has ended, with the same storage and the same
// addresses.
func (c *Collector) Restart() *Collector {
	c.t.Helper()
	before := c.Command
	again := StartCommand(c.t, c.metricsPort, func(command *exec.Cmd) {
		command.Path, command.Args, command.Env, command.SysProcAttr = before.Path, before.Args, before.Env, before.SysProcAttr
	})
	again.Ready()
	return again
}

// SaysSince waits until texts are in the collector's output after its first begin bytes.
func (c *Collector) SaysSince(t *testing.T, begin int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		harness.Eventually(t, func() bool { return strings.Contains(c.Output.String()[begin:], text) }, "the collector says %q", text)
	}
}

// StopTakes ends the collector as systemd would, and logs how long that took.
func (c *Collector) StopTakes(t *testing.T) {
	t.Helper()
	begin := time.Now()
	c.Stop()
	t.Logf("stopped within %v", time.Since(begin).Round(100*time.Millisecond))
}
