// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// AssertValid has the collector validate each configuration in this repository that
// matches a pattern.
func AssertValid(t *testing.T, pattern string, options ...func(*exec.Cmd)) {
	t.Helper()
	paths, err := filepath.Glob(harness.Path(pattern))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inRoot := filepath.Join(filepath.Dir(pattern), name)
			said, status := Run(t, append([]func(*exec.Cmd){Arguments("validate", "--config", inRoot), InRoot}, options...)...)
			assert.Zero(t, status, said)
		})
	}
}

// InRoot runs the collector in the root of this repository, because the paths in configs/
// are relative to it.
func InRoot(command *exec.Cmd) { command.Dir = harness.Path() }
