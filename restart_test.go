// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
)

// newRestartFixture keeps its checkpoint over a restart, as file_storage does.
func newRestartFixture(t *testing.T, log *auditLog) *fixture {
	t.Helper()
	f := newFixture(t, log.path)
	storage := storagetest.NewFileBackedStorageExtension("checkpoints", t.TempDir())
	f.useStorage(storage.ID, storage)
	return f
}

func TestRestart(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newRestartFixture(t, log)
	f.config.File.Get().StartAt = startAtEnd
	log.kill(4) // before it was ever started

	stop := f.start(t)
	log.kill(3)
	assert.Equal(t, sequence(5, 3), stub.Targets(f.sink.await(t, 3)))
	stop()

	log.kill(2) // while it was down
	f.sink.Reset()
	stop = f.start(t)
	assert.Equal(t, sequence(8, 2), stub.Targets(f.sink.await(t, 2)))
	stop()

	f.sink.Reset()
	f.start(t)
	log.kill(1)
	assert.Equal(t, []int{10}, stub.Targets(f.sink.await(t, 1)))
}

// TestRestartWithoutStorage starts where the configuration says, every time.
func TestRestartWithoutStorage(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(2)
	f := newFixture(t, log.path)
	stop := f.start(t)
	uids := uidsOf(f.sink.await(t, 2))
	stop()

	f.sink.Reset()
	f.start(t)
	assert.Equal(t, uids, uidsOf(f.sink.await(t, 2)))
}

// TestRestartPending stops while the last record of an event is missing: the event is delivered as
// it is, and again when it is complete.
func TestRestartPending(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newRestartFixture(t, log)
	f.config.Correlation.Timeout = time.Hour
	stop := f.start(t)
	log.kill(1)
	f.sink.await(t, 1)
	half, rest := log.cut(t)
	log.append(half)
	require.Eventually(t, func() bool {
		return f.metric(t, "otelcol_receiver_audit_kill_pending") == 1
	}, soon, often)
	stop()
	before := f.sink.await(t, 2)[1]
	assert.Empty(t, text(before, "process.title"))

	log.append(rest)
	f.sink.Reset()
	f.start(t)
	again := f.sink.await(t, 1)[0]
	assert.Equal(t, "mykill", text(again, "process.title"))
	assert.Equal(t, text(before, "log.record.uid"), text(again, "log.record.uid"))
}

// TestRestartRefused stops while the consumer takes nothing. What it was sent is not lost, and
// keeps its uid.
func TestRestartRefused(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(2)
	f := newRestartFixture(t, log)
	refusing := stub.Answering(errNotNow)
	f.next = refusing
	stop := f.start(t)
	require.Eventually(t, func() bool { return len(refusing.Attempts()) > 2 }, soon, often)
	log.kill(2)
	stop()
	assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("shutting down before the next consumer took log records").Len())

	f.next = &f.sink
	f.start(t)
	records := f.sink.await(t, 4)
	assert.Equal(t, sequence(1, 4), stub.Targets(records))
	assert.Equal(t, uidsOf(stub.Records(refusing.Attempts()[0])), uidsOf(records)[:2])
}

// TestRestartBlocked stops while the consumer does not answer. It is interrupted after a grace
// period, and what it had is delivered after the restart.
func TestRestartBlocked(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(3)
	f := newRestartFixture(t, log)
	f.grace = 10 * time.Millisecond
	entered := make(chan struct{})
	f.next = &stub.Logs{Answer: func(ctx context.Context, _ int, _ plog.Logs) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}
	stop := f.start(t)
	<-entered
	stop()

	f.next = &f.sink
	f.start(t)
	assert.Equal(t, sequence(1, 3), stub.Targets(f.sink.await(t, 3)))
}

// TestGrace gives a slow consumer the time to take the last data.
func TestGrace(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(3)
	f := newRestartFixture(t, log)
	entered, goOn := make(chan struct{}), make(chan struct{})
	f.next = &stub.Logs{Answer: func(ctx context.Context, _ int, logs plog.Logs) error {
		close(entered)
		<-goOn
		return f.sink.ConsumeLogs(ctx, logs)
	}}
	stop := f.start(t)
	<-entered
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(goOn)
	<-stopped
	assert.Equal(t, sequence(1, 3), stub.Targets(f.sink.await(t, 3)))

	f.sink.Reset()
	f.next = &f.sink
	f.start(t)
	log.kill(1)
	assert.Equal(t, []int{4}, stub.Targets(f.sink.await(t, 1)))
}

// TestStorageFull goes on delivering, warns that a restart will repeat events, and repeats them with
// the same uids.
func TestStorageFull(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(2)
	f := newFixture(t, log.path)
	full := func() component.Component {
		return &fakeStorage{Client: storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, ""), full: true}
	}
	f.useStorage(component.MustNewID("full"), full())
	stop := f.start(t)
	uids := uidsOf(f.sink.await(t, 2))
	stop()
	assert.Positive(t, f.metric(t, "otelcol_receiver_audit_kill_checkpoint_errors"))
	assert.NotZero(t, f.logged.FilterMessageSnippet("will be delivered again after a restart").Len())

	f.sink.Reset()
	f.useStorage(component.MustNewID("full"), full())
	f.start(t)
	assert.Equal(t, uids, uidsOf(f.sink.await(t, 2)))
}

// cut returns the records of one more event, in two parts.
func (l *auditLog) cut(t *testing.T) (half, rest string) {
	t.Helper()
	other := newAuditLog(t)
	other.serial = l.serial
	other.kill(1)
	l.serial = other.serial
	whole := other.content(t)
	at := strings.Index(whole, "type=PROCTITLE")
	return whole[:at], whole[at:]
}
