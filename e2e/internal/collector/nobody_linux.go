// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// AsNobody returns an option that runs the collector as an unprivileged user, also if the
// test runs as root.
func AsNobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return func(*exec.Cmd) {}
	}
	// Other users may not be able to enter the folders above the original.
	directory := harness.PublicDir(t)
	path := filepath.Join(directory, "otelcol-auditkill")
	harness.CopyProgram(t, harness.Distribution(), path)
	return func(command *exec.Cmd) {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: harness.NobodyID, Gid: harness.NobodyID}}
		command.Path, command.Dir = path, directory
		configuration := filepath.Join(directory, "config.yaml")
		at := slices.Index(command.Args, "--config") + 1
		data, err := os.ReadFile(command.Args[at])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(configuration, data, 0o644))
		command.Args[at] = configuration
	}
}
