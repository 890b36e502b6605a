// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/pdata/plog"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compares everything that the receiver emits for a recording.
func TestGolden(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		recording string
		change    func(*Config)
	}{
		"seed": {recording: "seed.log", change: func(*Config) {}},
		"seed_original": {recording: "seed.log", change: func(c *Config) {
			c.IncludeOriginal = true
		}},
		"variants": {recording: "variants.log", change: func(*Config) {}},
		"tamper":   {recording: "tamper.log", change: func(*Config) {}},
		// Logins by ssh, sudo, services and a shutdown.
		"behind_log": {recording: "behind.log", change: func(*Config) {}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, filepath.Join("testdata", test.recording))
			test.change(f.config)
			compareGolden(t, name, f.backfill(t))
		})
	}
}

func compareGolden(t *testing.T, name string, got plog.Logs) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".yaml")
	if *update {
		require.NoError(t, golden.WriteLogsToFile(file, got))
	}
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(want, got))
	// The comparison leaves this out.
	assert.Equal(t, eventNames(want), eventNames(got))
}

// TestGoldenMixed compares a digest: this recording has 1,500 kills among 126,658 records. At the
// end, the rules are removed and the daemon is stopped.
func TestGoldenMixed(t *testing.T) {
	t.Parallel()

	f := newFixture(t, unzip(t, filepath.Join("testdata", "mixed.log.gz")))
	got := digest(f.backfill(t))

	file := filepath.Join("testdata", "golden", "mixed.txt")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
	assert.EqualValues(t, 126_658, f.metric(t, "otelcol_receiver_audit_kill_records_read"))
	assert.EqualValues(t, 1_502, f.metric(t, "otelcol_receiver_audit_kill_events"))
}

// TestSeed names every value that the classic example must give.
func TestSeed(t *testing.T) {
	t.Parallel()

	before := time.Now()
	f := newFixture(t, filepath.Join("testdata", "seed.log"))
	f.read(t)
	logs := f.sink.AllLogs()
	require.Len(t, logs, 1)
	resource := logs[0].ResourceLogs().At(0)
	assert.Equal(t, map[string]any{
		"host.name":           "db1.example.com",
		"host.id":             "0123456789abcdef0123456789abcdef",
		"os.type":             "linux",
		"service.name":        "auditkill",
		"service.instance.id": "db1.example.com",
	}, resource.Resource().Attributes().AsRaw())
	assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", resource.SchemaUrl())
	scope := resource.ScopeLogs().At(0)
	assert.Equal(t, "github.com/auditkill/auditkillreceiver", scope.Scope().Name())
	require.Equal(t, 1, scope.LogRecords().Len())

	record := scope.LogRecords().At(0)
	assert.Equal(t, "kill.signal", record.EventName())
	assert.Equal(t, "mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936]", record.Body().Str())
	// In UTC; in the time zone of the recording it was the 16th, 08:28.
	assert.Equal(t, "2015-12-15T21:28:39.813Z", record.Timestamp().AsTime().Format(time.RFC3339Nano))
	assert.WithinRange(t, record.ObservedTimestamp().AsTime(), before, time.Now())
	assert.Equal(t, plog.SeverityNumberWarn, record.SeverityNumber())
	assert.Equal(t, "WARN", record.SeverityText())
	assert.Equal(t, map[string]any{
		"event.name":                   "kill.signal",
		"kill.signal.number":           int64(9),
		"kill.signal.name":             "SIGKILL",
		"kill.syscall":                 "kill",
		"kill.origin":                  "user",
		"kill.scope":                   "process",
		"kill.result":                  "success",
		"kill.target.pid":              int64(3936),
		"kill.target.name":             "mysqld",
		"kill.target.user.id":          int64(102),
		"kill.target.user.name":        "mysql",
		"kill.target.audit.user.id":    int64(500),
		"kill.target.audit.session.id": int64(1),
		"kill.target.selinux.label":    "user_u:system_r:mysqld_t:s0",
		"kill.target.count":            int64(1),
		"process.pid":                  int64(3997),
		"process.parent_pid":           int64(3649),
		"process.command":              "mykill",
		"process.executable.path":      "/opt/bin/mykill",
		"process.executable.name":      "mykill",
		"process.user.id":              int64(0),
		"process.user.name":            "root",
		"process.real_user.id":         int64(0),
		"process.real_user.name":       "root",
		"process.saved_user.id":        int64(0),
		"process.saved_user.name":      "root",
		"user.id":                      "500",
		"kill.sender.audit.user.id":    int64(500),
		"kill.audit.serial":            int64(148),
		"kill.audit.session.id":        int64(1),
		"kill.audit.key":               []any{"audit_kill"},
		"kill.audit.tty":               "pts3",
		"kill.audit.subject":           "user_u:system_r:unconfined_t:s0",
		"kill.audit.arch":              "x86_64",
		"kill.complete":                true,
		"kill.source":                  "audit_file",
		"log.record.uid":               text(record, "log.record.uid"),
		"log.file.path":                "testdata/seed.log",
	}, record.Attributes().AsRaw())
	assert.Regexp(t, "^[0-9a-f]{32}$", text(record, "log.record.uid"))
}

// backfill reads the log to its end and returns all log records.
func (f *fixture) backfill(t *testing.T) plog.Logs {
	t.Helper()
	f.read(t)
	return merge(f.sink.AllLogs())
}

// merge puts all log records into one plog.Logs, without the time at which they
// were observed.
func merge(all []plog.Logs) plog.Logs {
	merged := plog.NewLogs()
	for i, logs := range all {
		if i == 0 {
			logs.CopyTo(merged)
			continue
		}
		for _, record := range stub.Records(logs) {
			record.CopyTo(merged.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty())
		}
	}
	for _, record := range stub.Records(merged) {
		record.SetObservedTimestamp(0)
	}
	return merged
}

// read runs a receiver that reads the log to its end.
func (f *fixture) read(t *testing.T) {
	t.Helper()
	path := f.config.File.Get().Path
	f.config.File = configoptional.Some(FileConfig{Path: path})
	info, err := os.Stat(path)
	require.NoError(t, err)
	stop := f.start(t)
	require.Eventually(t, func() bool {
		return f.metric(t, "otelcol_receiver_audit_kill_file_bytes_read") == info.Size()
	}, soon, often)
	stop()
}

func unzip(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	text, err := io.ReadAll(zipped)
	require.NoError(t, err)
	unzipped := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
	require.NoError(t, os.WriteFile(unzipped, text, 0o600))
	return unzipped
}

func eventNames(logs plog.Logs) []string {
	var names []string
	for _, record := range stub.Records(logs) {
		names = append(names, record.EventName())
	}
	return names
}

// digest counts signals by sender and target, with a sum that changes with any uid or their order.
func digest(logs plog.Logs) string {
	counts := make(map[string]int)
	uids := sha256.New()
	for _, record := range stub.Records(logs) {
		complete, _ := record.Attributes().Get("kill.complete")
		counts[fmt.Sprintf("%s %s: %s to %s, %s, complete %t", record.EventName(), text(record, "kill.signal.name"),
			text(record, "process.executable.path"), text(record, "kill.target.name"), text(record, "kill.result"),
			complete.Bool())]++
		fmt.Fprintln(uids, text(record, "log.record.uid"))
	}
	var out bytes.Buffer
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&out, "%d %s\n", counts[line], line)
	}
	fmt.Fprintf(&out, "%x\n", uids.Sum(nil))
	return out.String()
}
