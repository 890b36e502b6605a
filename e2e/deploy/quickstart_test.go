// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The first minute of a new user: all that `make run` prints of a log with one signal, on a machine without an audit log, is the event.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	// The collector has been built before the test: make takes it as it is.
	command := exec.Command("make", "--no-print-directory", "--old-file=_build/otelcol-auditkill", "run")
	collector.InRoot(command)
	command.Env = append(os.Environ(), "AUDIT_LOG=testdata/seed.log", "MAKEFLAGS=") // the test may be run by make, too
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(func() { _ = syscall.Kill(-p.PID(), syscall.SIGKILL) })
	harness.Eventually(t, func() bool { return p.Output.Contains("\n") || p.Gone() }, "make run prints a line")

	printed := p.Output.String()
	assert.True(t, strings.HasPrefix(printed, "mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936] event.name=kill.signal "), printed)
	assert.Equal(t, 1, strings.Count(printed, "\n"), printed)
	require.NoError(t, syscall.Kill(-p.PID(), syscall.SIGINT)) // as Ctrl-C does
	_, ended := p.Wait()
	assert.True(t, ended, "make run ends")
}

func TestConfigsAreValid(t *testing.T) {
	t.Parallel()
	collector.AssertValid(t, "configs/*.yaml")
}
