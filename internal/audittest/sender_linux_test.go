// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sender is recorded even if audit is off when it is started, and was never on.
func TestSender(t *testing.T) {
	for name, on := range map[string]bool{"audit is off": false, "audit is on": true} {
		t.Run(name, func(t *testing.T) {
			kernel := Kernel(t)
			require.NoError(t, kernel.SetEnabled(on, libaudit.WaitForReply))
			sender := StartSender(t)
			status, err := kernel.GetStatus()
			require.NoError(t, err)
			assert.Equal(t, on, status.Enabled == 1, "audit is as it was")

			target := exec.CommandContext(t.Context(), "sleep", "1000")
			require.NoError(t, target.Start())
			require.NoError(t, sender.Kill(target.Process.Pid, syscall.SIGTERM))
			require.EqualError(t, target.Wait(), "signal: terminated")
			require.ErrorIs(t, sender.Kill(target.Process.Pid, syscall.SIGTERM), syscall.ESRCH)
		})
	}
}

// A process without an audit context is detected. A rule makes the kernel give it none on any
// machine, as it does on its own for processes that are older than audit.
func TestSenderThatIsNotRecorded(t *testing.T) {
	kernel := Kernel(t)
	require.NoError(t, kernel.SetEnabled(true, libaudit.WaitForReply))
	rule, err := ruleOf("-a never,task")
	require.NoError(t, err)
	require.NoError(t, kernel.AddRule(rule))
	sender := start(t)
	require.NoError(t, kernel.DeleteRule(rule))
	assert.ErrorContains(t, sender.recorded(time.Second), "the kernel does not record what process")
}
