// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Memory use does not depend on the length of the log.
func TestMemoryOfABackfill(t *testing.T) {
	t.Parallel()
	const (
		repeats      = 10       // of 25 MB
		events       = 1500 + 2 // kills, the removal of our rule, and the end of auditd
		mostMemoryKB = 100_000
	)
	directory := t.TempDir()
	path, out := filepath.Join(directory, "audit.log"), filepath.Join(directory, "out.json")
	repeatLog(t, path, repeats)
	c := collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf("{file: {path: %q, follow: false}}", path),
		Exporter: collector.ToFile(out),
	})
	c.Says("the log was read to its end")
	harness.Eventually(t, func() bool { return c.Metric("audit_kill_events") == repeats*events }, "every event is delivered")
	peak := memoryKB(t, c.PID(), "VmHWM")
	t.Logf("peak memory: %d kB", peak)
	assert.Less(t, peak, mostMemoryKB, "peak memory in kB")
	c.Stop()
}

// An idle collector with the source ebpf needs little memory.
func TestIdleCollectorIsSmall(t *testing.T) {
	harness.NeedRoot(t) // not in parallel: others send signals, and then it is not idle
	const mostMemoryKB = 50_000
	c := startLive(t, `{ebpf: {}}`, otlp.NewSink(t, "grpc"))
	time.Sleep(10 * time.Second) // it may grow after the start
	pid := c.PID()
	resident := memoryKB(t, pid, "VmRSS")
	t.Logf("resident memory: %d kB, including %d kB of the program file", resident, memoryKB(t, pid, "RssFile"))
	assert.Less(t, resident, mostMemoryKB, "resident memory in kB")
	c.Stop()
}

// repeatLog writes the mixed recording several times.
func repeatLog(t *testing.T, path string, times int) {
	t.Helper()
	compressed, err := os.ReadFile(harness.Path("testdata/mixed.log.gz"))
	require.NoError(t, err)
	file, err := os.Create(path)
	require.NoError(t, err)
	for range times {
		reader, err := gzip.NewReader(bytes.NewReader(compressed))
		require.NoError(t, err)
		_, err = file.ReadFrom(reader)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
}

// memoryKB returns a line of /proc/<pid>/status, such as VmRSS, in kB.
func memoryKB(t *testing.T, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	match := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, match, string(status))
	return harness.Number(string(match[1]))
}
