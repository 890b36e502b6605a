// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// TestPressureOnTheHost has systemd-oomd kill a service whose slice is short of memory, and one that has filled the swap space.
func TestPressureOnTheHost(t *testing.T) {
	harness.NeedMachine(t, 1)
	require.DirExists(t, "/run/systemd/system", "systemd manages the machine: correct the scenes in e2e/kernels/suite.go")
	addSwap(t)
	write(t, "/run/systemd/system/pressed.slice", "[Slice]\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=1%\n")
	systemctl(t, "daemon-reload")
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	tests := []struct{ cause, slice, oomd string }{
		{"memory", "pressed", "DefaultMemoryPressureDurationSec=2s"},
		{"swap", "system", "SwapUsedLimit=5%"}, // Debian has it watch all slices for that
	}
	for _, tt := range tests {
		t.Run(tt.cause, func(t *testing.T) {
			write(t, "/run/systemd/oomd.conf.d/soon.conf", "[OOM]\n"+tt.oomd+"\n")
			systemctl(t, "restart", "systemd-oomd.service")
			unit := tt.slice + "-hog.service"
			command := exec.CommandContext(t.Context(), "systemd-run", "--unit="+unit, "--slice="+tt.slice+".slice", //nolint:gosec // ours
				"--property=MemoryHigh=48M", "tail", "/dev/zero")
			said, err := command.CombinedOutput()
			require.NoError(t, err, "%s", said)
			r := awaitRecord(t, sink, unit+" is killed", func(r otlp.Record) bool {
				return r.Event == "kill.signal" && r.Text("kill.target.systemd.unit") == unit && r.Text("kill.signal.name") == "SIGKILL"
			})
			assert.Regexp(t, `^systemd-oomd\[\d+\] \(/lib/systemd/systemd-oomd, uid 998\) sent SIGKILL to tail\[\d+\]: `+tt.cause+` pressure in `+unit+`$`, r.Body)
			otlp.AssertAttributes(t, r, map[string]any{
				"kill.cause": tt.cause + "_pressure", "kill.evidence": "observed", "process.command": "systemd-oomd",
				"kill.requester.name": nil, "user.id": nil, "kill.requester.candidates": nil,
			})
		})
	}
	c.Stop()
}

// addSwap gives the machine swap space.
func addSwap(t *testing.T) {
	t.Helper()
	const path = "/swap" // until the machine is turned off
	for _, command := range [][]string{
		{"fallocate", "--length=512M", path}, {"chmod", "600", path}, {"mkswap", path}, {"swapon", path},
	} {
		said, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput() //nolint:gosec // ours
		require.NoError(t, err, "%s: %s", command, said)
	}
}

func systemctl(t *testing.T, arguments ...string) {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "systemctl", arguments...).CombinedOutput()
	require.NoError(t, err, "%s", said)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
