// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

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

// Collector is a running distribution.
type Collector struct {
	t           *testing.T
	Command     *exec.Cmd
	Output      *harness.Output
	metricsPort int
	// Ended is closed once the process is gone.
	Ended chan struct{}
}

// Start runs the collector until the test ends.
func Start(t *testing.T, c Config, options ...func(*exec.Cmd)) *Collector {
	t.Helper()
	port := harness.FreePort(t)
	return StartCommand(t, port, append([]func(*exec.Cmd){func(command *exec.Cmd) {
		command.Args = append(command.Args, "--config", c.Write(t, port))
	}}, options...)...)
}

func StartCommand(t *testing.T, metricsPort int, options ...func(*exec.Cmd)) *Collector {
	t.Helper()
	path, err := filepath.Abs(harness.Distribution())
	require.NoError(t, err)
	c := &Collector{
		t:           t,
		Command:     exec.Command(path), //nolint:gosec // the program under test
		Output:      new(harness.Output),
		metricsPort: metricsPort,
		Ended:       make(chan struct{}),
	}
	c.Command.Stdout, c.Command.Stderr = c.Output, c.Output
	for _, option := range options {
		option(c.Command)
	}
	require.NoError(t, c.Command.Start())
	go func() {
		defer close(c.Ended)
		_ = c.Command.Wait() // the state tells
	}()
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
	harness.Eventually(c.t, func() bool { return c.Output.Contains(text) || c.gone() }, "the collector never said %q", text)
	require.True(c.t, c.Output.Contains(text), "the collector ended without having said %q", text)
}

func (c *Collector) gone() bool {
	select {
	case <-c.Ended:
		return true
	default:
		return false
	}
}

// Running asserts that the collector has not crashed.
func (c *Collector) Running() {
	c.t.Helper()
	assert.False(c.t, c.gone(), "the collector must still be running")
}

// Stop ends the collector as systemd would. It is ready some moments before it listens
// to signals (go.opentelemetry.io/collector/otelcol, Collector.Run), and says nothing then.
func (c *Collector) Stop() {
	c.t.Helper()
	time.Sleep(100 * time.Millisecond)
	require.NoError(c.t, c.Command.Process.Signal(syscall.SIGTERM))
	assert.Equal(c.t, 0, c.Wait(), "exit code")
}

// Kill ends it without giving it a chance, if it is there at all.
func (c *Collector) Kill() {
	_ = c.Command.Process.Kill()
	<-c.Ended
}

// Wait returns the exit code of a collector that ends by itself.
func (c *Collector) Wait() int {
	c.t.Helper()
	select {
	case <-c.Ended:
		return c.Command.ProcessState.ExitCode()
	case <-time.After(harness.Patience):
		c.t.Fatal("the collector does not end")
		return -1
	}
}

// Run runs the collector to its end and returns what it said and its exit code.
func Run(t *testing.T, options ...func(*exec.Cmd)) (string, int) {
	t.Helper()
	c := StartCommand(t, 0, options...)
	code := c.Wait()
	return c.Output.String(), code
}

// Arguments are those of the command line.
func Arguments(arguments ...string) func(*exec.Cmd) {
	return func(command *exec.Cmd) { command.Args = append(command.Args, arguments...) }
}
