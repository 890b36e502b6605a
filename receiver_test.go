// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap/zapcore"
)

func TestFactory(t *testing.T) {
	t.Parallel()

	f := newFixture(t, "testdata/seed.log")
	factory := NewFactory()
	logs, err := factory.CreateLogs(t.Context(), f.set, f.config, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, logs.Shutdown(t.Context()))
	traces, err := factory.CreateTraces(t.Context(), f.set, f.config, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, traces.Shutdown(t.Context()))
	_, err = factory.CreateMetrics(t.Context(), f.set, f.config, consumertest.NewNop())
	require.ErrorIs(t, err, pipeline.ErrSignalNotSupported)
}

// TestCreateInvalid has configurations that were not validated, such as those of a program that
// uses the receiver as a library.
func TestCreateInvalid(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"signal": {func(c *Config) { c.Signals = []SignalName{"FOO"} }, "unknown signal"},
		"target": {func(c *Config) { c.Targets = []NameGlob{"["} }, "not a valid glob"},
		"sender": {func(c *Config) { c.Senders = []NameGlob{""} }, "empty name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "testdata/seed.log")
			test.change(f.config)
			_, err := newKillReceiver(f.config, f.set)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()

	all := []event{
		1: {signal: 9, sender: "mykill", target: "mysqld"},
		2: {signal: 15, sender: "systemd", target: "postgres-main"},
		3: {signal: 9, exit: -1, sender: "mykill", target: "mysqld"},
		4: {signal: 0, sender: "pgrep", target: "mysqld"},
		5: {signal: 10, sender: "logrotate", target: "nginx"},
		6: {signal: 37, sender: "app", target: "java"},
	}[1:]
	tests := map[string]struct {
		change func(*Config)
		want   []int
	}{
		"default":          {func(*Config) {}, []int{1, 2, 3}},
		"signals":          {func(c *Config) { c.Signals = []SignalName{"TERM", "10", "SIGRTMIN+3"} }, []int{2, 5, 6}},
		"signal 0":         {func(c *Config) { c.Signals = []SignalName{"0"} }, []int{4}},
		"no failed":        {func(c *Config) { c.IncludeFailed = false }, []int{1, 2}},
		"target by name":   {func(c *Config) { c.Targets = []NameGlob{"mysqld"} }, []int{1, 3}},
		"target by glob":   {func(c *Config) { c.Targets = []NameGlob{"postgres*", "no*"} }, []int{2}},
		"target by path":   {func(c *Config) { c.Targets = []NameGlob{"/usr/sbin/mysqld"} }, []int{1, 3}},
		"sender by name":   {func(c *Config) { c.Senders = []NameGlob{"systemd"} }, []int{2}},
		"sender by path":   {func(c *Config) { c.Senders = []NameGlob{"/usr/bin/my*"} }, []int{1, 3}},
		"sender elsewhere": {func(c *Config) { c.Senders = []NameGlob{"/bin/mykill"} }, nil},
		"all of them": {func(c *Config) {
			c.Signals, c.Targets, c.Senders = []SignalName{"KILL"}, []NameGlob{"my*"}, []NameGlob{"mykill"}
			c.IncludeFailed = false
		}, []int{1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newAuditLog(t)
			log.write(all...)
			f := newFixture(t, log.path)
			test.change(f.config)
			f.read(t)
			assert.Equal(t, test.want, stub.Targets(f.sink.records()))
			assert.EqualValues(t, len(test.want), f.metric(t, "otelcol_receiver_audit_kill_events"))
			assert.EqualValues(t, len(all)-len(test.want), f.metric(t, "otelcol_receiver_audit_kill_filtered"))
		})
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	missing := component.MustNewID("file_storage")
	noStorage := storagetest.NewNonStorageExtension("other")
	tests := map[string]struct {
		change func(*fixture)
		want   string
	}{
		"storage that does not exist": {
			func(f *fixture) { f.config.StorageID = &missing },
			`storage: extension "file_storage" does not exist; configure it, and list it under service::extensions`,
		},
		"extension that is no storage": {
			func(f *fixture) { f.useStorage(noStorage.ID, noStorage) },
			`storage: extension "non_storage/other" keeps no data; use one such as file_storage`,
		},
		"storage that cannot be opened": {
			func(f *fixture) { f.useStorage(missing, &fakeStorage{err: errors.New("disk on fire")}) },
			`storage: opening "file_storage": disk on fire`,
		},
		"directory": {
			func(f *fixture) { f.config.File.Get().Path = folder },
			folder + " is a directory; set file::path to the log file, such as /var/log/audit/audit.log",
		},
		"missing log that is not followed": {
			func(f *fixture) {
				f.config.File = configoptional.Some(FileConfig{Path: filepath.Join(folder, "audit.log")})
			},
			"nothing to read: stat " + filepath.Join(folder, "audit.log") + ": no such file or directory",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newAuditLog(t).path)
			test.change(f)
			r := f.new(t)
			require.EqualError(t, r.Start(t.Context(), f.host), test.want)
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

// TestStartErrorReleases has a start that fails late, when storage and log are
// open. A goroutine left over fails the package.
func TestStartErrorReleases(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(1)
	f := newFixture(t, log.path)
	client := storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, "")
	require.NoError(t, client.Set(t.Context(), "file:"+log.path, []byte("rubbish")))
	fake := &fakeStorage{Client: client}
	f.useStorage(component.MustNewID("fake"), fake)

	r := f.new(t)
	require.ErrorContains(t, r.Start(t.Context(), f.host), "is damaged, remove the storage to start anew")
	assert.True(t, fake.closed)
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestShutdownWithoutStart(t *testing.T) {
	t.Parallel()

	r := newFixture(t, newAuditLog(t).path).new(t)
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestShutdownTwice(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(1)
	f := newFixture(t, log.path)
	fake := &fakeStorage{Client: storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, "")}
	f.useStorage(component.MustNewID("fake"), fake)
	r := f.new(t)
	require.NoError(t, r.Start(t.Context(), f.host))
	f.sink.await(t, 1)
	require.NoError(t, r.Shutdown(t.Context()))
	assert.True(t, fake.closed)
	_, err := f.telemetry.GetMetric("otelcol_receiver_audit_kill_pending")
	require.ErrorContains(t, err, "not found", "nobody asks the old receiver any more")
	require.NoError(t, r.Shutdown(t.Context()))
}

// TestMissingLog starts before auditd has written anything, or is installed.
func TestMissingLog(t *testing.T) {
	t.Parallel()

	for name, folder := range map[string]string{"file": "", "folder": "audit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late := filepath.Join(t.TempDir(), folder, "audit.log")
			f := newFixture(t, late)
			f.config.File.Get().StartAt = startAtEnd
			f.start(t)
			waiting := f.logged.FilterMessageSnippet("does not exist yet, waiting for it").All()
			require.Len(t, waiting, 1)
			assert.Equal(t, zapcore.WarnLevel, waiting[0].Level)
			assert.Equal(t, late, waiting[0].ContextMap()["path"])

			log := newAuditLog(t)
			log.kill(2)
			require.NoError(t, os.MkdirAll(filepath.Dir(late), 0o700))
			require.NoError(t, os.Rename(log.path, late))
			assert.Equal(t, sequence(1, 2), stub.Targets(f.sink.await(t, 2)))
		})
	}
}

// TestReload stops a receiver and starts another one with the same settings, as
// the collector does within one process when its configuration has changed.
func TestReload(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newFixture(t, log.path)
	storage := storagetest.NewFileBackedStorageExtension("a", t.TempDir())
	f.useStorage(storage.ID, storage)
	for range 3 {
		f.sink.Reset()
		stop := f.start(t)
		first := log.kill(3)
		assert.Equal(t, sequence(first, 3), stub.Targets(f.sink.await(t, 3)))
		stop()
	}
}

// TestSeveralReceivers has two that share a storage extension and read the same
// log: neither takes anything from the other.
func TestSeveralReceivers(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	storage := storagetest.NewFileBackedStorageExtension("shared", t.TempDir())
	one, two := newFixture(t, log.path), newFixture(t, log.path)
	two.set.ID = component.NewIDWithName(one.set.ID.Type(), "two")
	one.useStorage(storage.ID, storage)
	two.useStorage(storage.ID, storage)

	stopOne, stopTwo := one.start(t), two.start(t)
	log.kill(3)
	assert.Equal(t, sequence(1, 3), stub.Targets(one.sink.await(t, 3)))
	assert.Equal(t, sequence(1, 3), stub.Targets(two.sink.await(t, 3)))
	stopOne()
	log.kill(2)
	assert.Equal(t, sequence(1, 5), stub.Targets(two.sink.await(t, 5)))
	stopTwo()

	one.sink.Reset()
	one.start(t)
	assert.Equal(t, sequence(4, 2), stub.Targets(one.sink.await(t, 2)))
}

// TestReadingPauses has a slow consumer: what is read in advance does not grow with the log, and
// nothing is lost or out of order.
func TestReadingPauses(t *testing.T) {
	t.Parallel()

	const (
		events = 25_000
		// inAdvance is more than fits in the batches and buffers between reader and consumer,
		// and much less than the log.
		inAdvance = 2 << 20
	)
	log := newAuditLog(t)
	log.kill(events)
	require.Greater(t, len(log.content(t)), 5*inAdvance)
	f := newFixture(t, log.path)
	entered, goOn := make(chan struct{}), make(chan struct{})
	f.next = &stub.Logs{Answer: func(ctx context.Context, attempt int, logs plog.Logs) error {
		if attempt == 0 {
			close(entered)
			<-goOn
			return errNotNow
		}
		return f.sink.ConsumeLogs(ctx, logs)
	}}
	f.start(t)
	<-entered
	assert.Never(t, func() bool {
		return f.metric(t, "otelcol_receiver_audit_kill_file_bytes_read") > inAdvance
	}, 200*time.Millisecond, often)
	assert.Positive(t, f.metric(t, "otelcol_receiver_audit_kill_file_bytes_behind"))

	close(goOn)
	assert.Equal(t, sequence(1, events), stub.Targets(f.sink.await(t, events)))
	assert.EqualValues(t, events, f.metric(t, "otelcol_receiver_audit_kill_events"))
	assert.EqualValues(t, events, f.metric(t, "otelcol_receiver_accepted_log_records"))
}
