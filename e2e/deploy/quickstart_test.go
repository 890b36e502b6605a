// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
)

// The first minute of a new user: what `make run` runs on a machine without an audit
// log.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	c := collector.StartCommand(t, 0, collector.Arguments("--config", "configs/quickstart.yaml"), collector.InRoot, func(command *exec.Cmd) {
		command.Env = append(os.Environ(), "AUDIT_LOG=testdata/seed.log")
	})
	c.Says("\nmykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936] ")
	c.Stop()
}

func TestConfigsAreValid(t *testing.T) {
	t.Parallel()
	collector.AssertValid(t, "configs/*.yaml")
}
