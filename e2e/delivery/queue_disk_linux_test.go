// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// The disk of the queue is full, missing, or has something else on it.

// mountSmall returns a folder with a file system of this size.
func mountSmall(t *testing.T, size string) string {
	t.Helper()
	path := t.TempDir()
	harness.NeedRoot(t)
	require.NoError(t, unix.Mount("none", path, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(path, unix.MNT_DETACH)) })
	return path
}

// queueFile is the name of the file with the queue of configs/agent-loki.yaml.
const queueFile = "exporter_otlp_http__logs"

// givenUp matches what the exporter's queue logs about records that it lost because it could not write. Even to read
// a record it has to write (exporterhelper, persistentQueue.getNextItem).
var givenUp = regexp.MustCompile(`Error deleting item from queue|Errors occurred while moving items for dispatching back to queue`)

// A queue that has no room left, because others use the disk, logs that, and survives. It may lose the records
// that it is handling, which it logs. What waits in the audit log arrives once there is room.
func TestDiskFullUnderQueue(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*shipped.Reader){
		"backend comes back": func(*shipped.Reader) {},
		"killed while full":  func(c *shipped.Reader) { c.Kill(); c.Restart() },
		"stopped while full": func(c *shipped.Reader) { c.Stop(); c.Restart() },
	}
	for name, meanwhile := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := faulty.New(t)
			backend.Behaves(faulty.Answers(http.StatusServiceUnavailable))
			disk := mountSmall(t, "4m")
			c := shipped.StartReading(t, "configs/agent-loki.yaml", map[string]string{
				"LOKI_ENDPOINT": backend.Server.URL, "STORAGE_DIRECTORY": disk,
			}, shipped.Overlay(t, shipped.QuickOTLP),
				// The history would take room that the queue gives back.
				shipped.Overlay(t, `{exporters: {file/history: {path: %s/events.json}}}`, t.TempDir()))
			queued := c.Add(t, 6000)
			c.SaysSince(t, 0, "the next consumer did not take log records, trying again", "no space left on device")
			c.Running()
			before := c.Output.String()
			meanwhile(c)
			waiting := c.Add(t, 10)
			backend.Behaves(nil)
			require.NoError(t, unix.Mount("none", disk, "tmpfs", unix.MS_REMOUNT, "size=64m"), "making room")
			backend.Arrive(t, waiting)
			harness.Eventually(t, func() bool { return c.ExporterMetric("exporter_queue_size") == 0 }, "the queue is empty")
			if lost := len(queued) - backend.Count(queued...); lost > 0 {
				t.Logf("the queue lost %d of %d records", lost, len(queued))
				assert.Regexp(t, givenUp, before+c.Output.String(), "a loss is logged")
			}
			assert.Zero(t, c.Metric("audit_kill_dropped"))
			c.Stop()
		})
	}
}

// What does not fit into the queue waits in the audit log. As long as the disk has room for the whole queue, nothing
// is lost.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	backend := faulty.New(t)
	backend.Behaves(faulty.Answers(http.StatusServiceUnavailable))
	c := shipped.StartReading(t, "configs/agent-loki.yaml", map[string]string{
		"LOKI_ENDPOINT": backend.Server.URL, "STORAGE_DIRECTORY": mountSmall(t, "8m"),
	}, shipped.Overlay(t, shipped.QuickOTLP), shipped.Overlay(t, `exporters: {otlp_http: {sending_queue: {queue_size: 1_000_000}}}`),
		shipped.Overlay(t, "exporters: {file/history: {path: %s/events.json}}", t.TempDir())) // or it takes the room
	promised := c.Add(t, 5000)
	c.SaysSince(t, 0, "the next consumer did not take log records, trying again", "sending queue is full")
	assert.Equal(t, 1_000_000, c.ExporterMetric("exporter_queue_capacity"))
	assert.Positive(t, c.ExporterMetric("exporter_queue_size"))
	assert.Positive(t, c.ExporterMetric("exporter_enqueue_failed_log_records"))
	c.Kill()
	c.Restart()
	c.SaysSince(t, 0, "sending queue is full")
	c.Stop()
	c.Restart()
	backend.Behaves(nil)
	backend.Arrive(t, promised)
	assert.Zero(t, c.Metric("audit_kill_dropped"))
	c.Stop()
}

// The collector refuses to start with an unusable storage, and logs why.
func TestBadStorage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, directory string)
		says  string
	}{
		"a file": {func(t *testing.T, directory string) {
			t.Helper()
			require.NoError(t, os.Remove(directory))
			require.NoError(t, os.WriteFile(directory, nil, 0o600))
		}, "is not a directory"},
		"read-only": {func(t *testing.T, directory string) {
			t.Helper()
			harness.NeedRoot(t)
			require.NoError(t, unix.Mount("none", directory, "tmpfs", unix.MS_RDONLY, ""))
			t.Cleanup(func() { assert.NoError(t, unix.Unmount(directory, unix.MNT_DETACH)) })
		}, "read-only file system"},
		"another file": {func(t *testing.T, directory string) {
			t.Helper()
			require.NoError(t, os.WriteFile(filepath.Join(directory, queueFile), make([]byte, 1<<16), 0o600))
		}, "invalid database"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := filepath.Join(t.TempDir(), "storage")
			require.NoError(t, os.Mkdir(directory, 0o700))
			test.spoil(t, directory)
			text, code := collector.Run(t, collector.Arguments("--config", harness.Path("configs/agent-loki.yaml")),
				shipped.Overlay(t, `receivers: {audit_kill: {file: {path: %q}}}`, auditlog.New(t).Path),
				func(command *exec.Cmd) {
					command.Env = append(os.Environ(), "STORAGE_DIRECTORY="+directory,
						"HEALTH_ENDPOINT="+harness.FreeAddress(t), fmt.Sprintf("METRICS_PORT=%d", harness.FreePort(t)))
				})
			assert.NotZero(t, code)
			assert.Contains(t, text, test.says)
		})
	}
}

// The collector does not start with a damaged queue, even with file_storage's recreate: bbolt reads the file in a
// goroutine of its own, whose panic cannot be recovered. Without the file, the collector starts.
func TestDamagedQueue(t *testing.T) {
	t.Parallel()
	backend, directory := faulty.New(t), t.TempDir()
	backend.Behaves(faulty.Answers(http.StatusServiceUnavailable))
	c := shipped.StartReading(t, "configs/agent-loki.yaml", map[string]string{
		"LOKI_ENDPOINT": backend.Server.URL, "STORAGE_DIRECTORY": directory,
	}, shipped.Overlay(t, shipped.QuickOTLP))
	c.Add(t, 1000)
	harness.Eventually(t, func() bool { return backend.Requests() > 0 }, "the queue is filled")
	c.Stop()
	path := filepath.Join(directory, queueFile)
	info, err := os.Stat(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(make([]byte, info.Size()-8192), 8192) // everything after the two pages with metadata
	require.NoError(t, err)
	require.NoError(t, file.Close())

	text, code := collector.Run(t, func(command *exec.Cmd) { command.Args, command.Env = c.Command.Args, c.Command.Env })
	assert.NotZero(t, code)
	assert.Contains(t, text, "panic: assertion failed: Page expected to be")
	assert.Contains(t, text, "bbolt")

	require.NoError(t, os.Rename(path, path+".damaged"))
	backend.Behaves(nil)
	c.Restart()
	backend.Arrive(t, c.Add(t, 10))
	c.Stop()
}
