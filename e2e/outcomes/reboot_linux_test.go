// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// rebootDirectory is on the disk of the machine. It is not there at the first boot.
const rebootDirectory = "/var/lib/auditkill-reboot"

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
	path := filepath.Join(rebootDirectory, "target")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		s.begin()
		s.soft = process.NewSender(t, s.program)
		target := process.StartScript(t, "resists", resists, true)
		s.term(target)
		s.awaitSignals(target)
		s.c.Stop()
		require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(target.PID)), 0o600))
		return
	}
	require.NoError(t, err)
	pid := harness.Number(string(text))
	other := s.startAs(pid, "another", dies)
	s.begin()
	outcomes := func() []otlp.Record { return s.outcomes(pid) }
	harness.Eventually(t, func() bool { return len(outcomes()) == 1 }, "the outcome of the process before the reboot")
	otlp.AssertAttributes(t, outcomes()[0], map[string]any{"kill.outcome": "ended", "kill.target.name": "resists"})
	s.soft = process.NewSender(t, s.program)
	s.kill(other)
	harness.Eventually(t, func() bool { return len(outcomes()) == 2 }, "the outcome of the process after the reboot")
	s.c.Stop()
	otlp.AssertAttributes(t, outcomes()[1], map[string]any{"kill.outcome": "killed", "kill.target.name": "another"})
}
