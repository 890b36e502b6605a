// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

const auditdConfig = `
local_events = yes
log_file = %s
log_group = root
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 8
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = %s
`

// startAuditd runs the real audit daemon until the test ends, and returns its log.
func startAuditd(t *testing.T, kernel auditcontrol.Client) (log string) {
	t.Helper()
	program, err := exec.LookPath("auditd")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/auditd")
	}
	if err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "in CI auditd is installed")
		audittest.Skip(t, "auditd is not installed; on Debian: apt-get install auditd")
	}
	directory := t.TempDir()
	log = filepath.Join(directory, "audit.log")
	require.NoError(t, os.WriteFile(filepath.Join(directory, "auditd.conf"),
		fmt.Appendf(nil, auditdConfig, log, directory), 0o640))
	daemon := exec.Command(program, "-n", "-c", directory)                //nolint:gosec // the path was looked up
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the test is interrupted
	require.NoError(t, daemon.Start())
	t.Cleanup(func() {
		require.NoError(t, daemon.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, daemon.Wait())
	})
	require.Eventually(t, func() bool {
		status, err := kernel.GetStatus()
		return err == nil && int(status.PID) == daemon.Process.Pid
	}, limit, 10*time.Millisecond, "auditd registers")
	require.NoError(t, kernel.SetEnabled(true, libaudit.WaitForReply))
	return log
}
