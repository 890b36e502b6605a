// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

const (
	// rebootDirectory is on the disk of the machine. It is not there at the first boot.
	rebootDirectory = "/var/lib/auditkill-reboot"
	// rebootPID is far above what a machine that has just been turned on has given out.
	rebootPID = 20_000
)

// TestOutcomeOverAReboot is run at two boots of the same machine. The first leaves a
// process alive that was struck. At the second, another one has its pid, and is struck
// in its turn.
func TestOutcomeOverAReboot(t *testing.T) {
	harness.NeedMachine(t, 2)
	s := &stage{t: t, sink: otlp.NewSink(t, "grpc"), program: process.NativeSender(t)}
	s.config = collector.Config{
		Receiver: "{ebpf: {}, storage: file_storage}", Exporter: s.sink.Exporter,
		Extensions: collector.FileStorage(filepath.Join(rebootDirectory, "storage")),
	}
	if _, err := os.Stat(rebootDirectory); errors.Is(err, os.ErrNotExist) {
		s.begin()
		s.soft = process.NewSender(t, s.program)
		s.startForReboot("resists", resists)
		s.soft.Order(orders.Order{Call: "kill", PID: rebootPID, Signal: int(unix.SIGTERM)})
		harness.Eventually(t, func() bool { return len(s.records(rebootPID, "kill.signal")) == 1 }, "the signal before the reboot")
		s.c.Stop()
		return
	}
	s.startForReboot("another", dies)
	s.begin()
	outcomes := func() []otlp.Record { return s.outcomes(rebootPID) }
	harness.Eventually(t, func() bool { return len(outcomes()) == 1 }, "the outcome of the process before the reboot")
	otlp.AssertAttributes(t, outcomes()[0], map[string]any{"kill.outcome": "ended", "kill.target.name": "resists"})
	s.soft = process.NewSender(t, s.program)
	s.soft.Order(orders.Order{Call: "kill", PID: rebootPID, Signal: int(unix.SIGKILL)})
	harness.Eventually(t, func() bool { return len(outcomes()) == 2 }, "the outcome of the process after the reboot")
	s.c.Stop()
	otlp.AssertAttributes(t, outcomes()[1], map[string]any{"kill.outcome": "killed", "kill.target.name": "another"})
}

// startForReboot starts a script that has rebootPID. A shell forks it, as threads of
// this program take pids at any time, and keep them.
func (s *stage) startForReboot(name, script string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	require.NoError(s.t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	reader, writer, err := os.Pipe() // from which it reads until the end
	require.NoError(s.t, err)
	s.t.Cleanup(func() { assert.NoError(s.t, errors.Join(reader.Close(), writer.Close())) })
	for range 100 {
		shell := exec.Command("sh", "-c", `echo $1 >/proc/sys/kernel/ns_last_pid; "$0" <&3 & echo $!; wait`, path, strconv.Itoa(rebootPID-1)) //nolint:gosec // the test's own
		shell.ExtraFiles = []*os.File{reader}
		output, err := shell.StdoutPipe()
		require.NoError(s.t, err)
		require.NoError(s.t, shell.Start())
		pid, lines := 0, bufio.NewScanner(output)
		for range 2 { // its pid, and that it is ready, in any order
			require.True(s.t, lines.Scan())
			pid = max(pid, harness.Number(lines.Text()))
		}
		s.t.Cleanup(func() {
			_ = unix.Kill(pid, unix.SIGKILL) // unless it has ended
			_ = shell.Wait()
		})
		if pid == rebootPID {
			return
		}
	}
	require.FailNow(s.t, "other processes took the pid every time")
}
