// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// row is a line of `auditkill watch -o json`.
type row struct {
	Event  string `json:"event"`
	Result string `json:"kill.result"`
	Signal int    `json:"kill.signal.number"`
	Target int    `json:"kill.target.pid"`
	Sender int    `json:"process.pid"`
}

// Any user can have a process die of a signal without a known sender, and then send it the same signal,
// which the kernel refuses. auditkill watch prints both, and goes on.
func TestWatchOfARefusedSignal(t *testing.T) {
	for _, source := range []string{"ebpf", "unicast"} {
		t.Run(source, func(t *testing.T) {
			audit.Use(t)
			require.FileExists(t, companion, "`make auditkill` builds it")
			command := exec.Command(companion, "watch", "--source", source, "-o", "json") //nolint:gosec // the command under test
			harness.EndWithTest(command)
			watch := harness.StartProcess(t, command, new(harness.Output))
			defer watch.Kill()
			harness.Eventually(t, func() bool { return watch.Output.Contains("watching with ") || watch.Gone() }, "auditkill is watching")
			for range 2 {
				pid, sender := process.DieRefused(t)
				harness.Eventually(t, func() bool {
					rows := rowsOf(watch.Output.String())
					return slices.ContainsFunc(rows, func(r row) bool {
						return r.Event == "kill.abend" && r.Target == pid && r.Sender == 0
					}) && slices.ContainsFunc(rows, func(r row) bool { // the audit system does not record the target
						return r.Event == "kill.signal" && r.Signal == 6 && r.Result == "failure" && r.Sender == sender
					})
				}, "the death of process %d and the refused signal are printed", pid)
			}
			assert.False(t, watch.Gone(), "auditkill goes on")
			assert.True(t, watch.Terminate())
			assert.Zero(t, command.ProcessState.ExitCode(), watch.Output.String())
			assert.NotContains(t, watch.Output.String(), "this program panicked")
		})
	}
}

// rowsOf parses the printed lines, without those that are not JSON.
func rowsOf(printed string) []row {
	var rows []row
	for line := range strings.Lines(printed) {
		var r row
		if json.Unmarshal(bytes.TrimSpace([]byte(line)), &r) == nil {
			rows = append(rows, r)
		}
	}
	return rows
}
