// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package collector runs the collector that `make otelcol` builds, with a configuration of the
// test's own, and reads its output and its metrics.
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

// Collector is a running distribution.
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

// StartCommand runs the collector until the test ends, with the command line and the
// environment that options make. Its metrics are at a port of this machine.
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
			t.Logf("the collector said:\n%s", c.Output.Tail())
		}
	})
	return c
}

// Ready waits until everything has started.
func (c *Collector) Ready() {
	c.t.Helper()
	c.Says("Everything is ready.")
}

// Says waits for a text in the collector's output.
func (c *Collector) Says(text string) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool { return c.Output.Contains(text) || c.Gone() }, "the collector never said %q", text)
	require.True(c.t, c.Output.Contains(text), "the collector ended without having said %q", text)
}

// Running asserts that the collector has not crashed.
func (c *Collector) Running() {
	c.t.Helper()
	assert.False(c.t, c.Gone(), "the collector must still be running")
}

// Stop ends the collector as systemd would. It is ready some moments before it listens
// to signals (go.opentelemetry.io/collector/otelcol, Collector.Run), and says nothing then.
func (c *Collector) Stop() {
	c.t.Helper()
	time.Sleep(100 * time.Millisecond)
	require.NoError(c.t, c.Command.Process.Signal(syscall.SIGTERM))
	assert.Equal(c.t, 0, c.Wait(), "exit status")
}

// Wait returns the exit status of a collector that ends by itself.
func (c *Collector) Wait() int {
	c.t.Helper()
	status, ended := c.Process.Wait()
	require.True(c.t, ended, "the collector ends")
	return status
}

// Run runs the collector to its end and returns what it said and its exit status.
func Run(t *testing.T, options ...func(*exec.Cmd)) (string, int) {
	t.Helper()
	c := StartCommand(t, 0, options...)
	status := c.Wait()
	return c.Output.String(), status
}

// Arguments are those of the command line.
func Arguments(arguments ...string) func(*exec.Cmd) {
	return func(command *exec.Cmd) { command.Args = append(command.Args, arguments...) }
}

// Restart runs a collector that has ended once more, with the same storage and at the
// same addresses.
func (c *Collector) Restart() *Collector {
	c.t.Helper()
	before := c.Command
	again := StartCommand(c.t, c.metricsPort, func(command *exec.Cmd) {
		command.Path, command.Args, command.Env, command.SysProcAttr = before.Path, before.Args, before.Env, before.SysProcAttr
	})
	again.Ready()
	return again
}

// SaysSince waits for a text in what the collector says after the first bytes of it.
func (c *Collector) SaysSince(t *testing.T, begin int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		harness.Eventually(t, func() bool { return strings.Contains(c.Output.String()[begin:], text) }, "the collector says %q", text)
	}
}

// StopTakes ends the collector as systemd would, and tells how long that took.
func (c *Collector) StopTakes(t *testing.T) {
	t.Helper()
	begin := time.Now()
	c.Stop()
	t.Logf("stopped within %v", time.Since(begin).Round(100*time.Millisecond))
}
