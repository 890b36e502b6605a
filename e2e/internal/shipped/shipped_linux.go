// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package shipped runs collectors with the configurations in configs/, several of them side by side
// on one machine.
package shipped

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Start runs the collector with a file in configs/ until the test ends. Ports and folders that
// environment does not set are chosen so that several collectors can run side by side. Options may
// add files that change the configuration (see Overlay).
func Start(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *collector.Collector {
	t.Helper()
	port := harness.FreePort(t)
	all := map[string]string{
		"METRICS_HOST": "127.0.0.1", "METRICS_PORT": strconv.Itoa(port),
		"HEALTH_ENDPOINT": harness.FreeAddress(t), "LISTEN_ENDPOINT": harness.FreeAddress(t),
	}
	maps.Copy(all, environment)
	if all["STORAGE_DIRECTORY"] == "" {
		all["STORAGE_DIRECTORY"] = t.TempDir()
	}
	c := collector.StartCommand(t, port, append([]func(*exec.Cmd){func(command *exec.Cmd) {
		command.Args = append(command.Args, "--config", harness.Path(path))
		command.Env = os.Environ()
		for name, value := range all {
			command.Env = append(command.Env, name+"="+value)
		}
		harness.EndWithTest(command)
	}}, options...)...)
	c.Ready()
	return c
}

// Overlay returns an option that adds a configuration file, which changes some keys of the others.
func Overlay(t *testing.T, format string, values ...any) func(*exec.Cmd) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "overlay.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, format, values...), 0o600))
	return collector.Arguments("--config", path)
}
