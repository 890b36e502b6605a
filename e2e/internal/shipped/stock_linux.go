// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/require"
)

// Stock returns an option that runs, instead of our collector, the stand-in for the stock
// otelcol-contrib that `make test` builds.
func Stock(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	path, err := filepath.Abs(harness.Path("_build/fleet/otelcol-fleet"))
	require.NoError(t, err)
	require.FileExists(t, path, "`make test` builds it")
	return func(command *exec.Cmd) { command.Path, command.Err = path, nil }
}
