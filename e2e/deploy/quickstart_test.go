// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
)

// The first minute of a newcomer: what `make run` runs where there is no audit
// log.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	c := collector.StartCommand(t, 0, collector.Arguments("--config", "configs/quickstart.yaml"), inRoot, func(command *exec.Cmd) {
		command.Env = append(os.Environ(), "AUDIT_LOG=testdata/seed.log")
	})
	c.Says("\nmykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936] ")
	c.Stop()
}

func TestConfigsAreValid(t *testing.T) {
	t.Parallel()
	configs, err := filepath.Glob(harness.Path("configs/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, configs)
	for _, path := range configs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			said, code := collector.Run(t, collector.Arguments("validate", "--config", "configs/"+filepath.Base(path)), inRoot)
			assert.Zero(t, code, said)
		})
	}
}

// inRoot runs the collector in the repository, which is what the paths in
// configs/ refer to.
func inRoot(command *exec.Cmd) { command.Dir = harness.Path() }
