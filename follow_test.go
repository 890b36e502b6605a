// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// watchedKey is the key under which the capture stores the watched processes.
const watchedKey = "followed"

// run starts a receiver with the source of a test.
func (f *fixture) run(t *testing.T, source *liveSource) (stop func()) {
	t.Helper()
	r := f.new(t)
	source.open(r)
	require.NoError(t, r.Start(t.Context(), f.host))
	return func() { require.NoError(t, r.Shutdown(context.Background())) }
}

func verdicts(s *sink) []string {
	var all []string
	for _, logs := range s.AllLogs() {
		for _, record := range stub.Records(logs) {
			if record.EventName() == string(kill.KindOutcome) {
				all = append(all, text(record, "kill.outcome"))
			}
		}
	}
	return all
}

// living is a signal to a process that is alive until end is called or the test ends.
func living(t *testing.T) (e *kill.Event, end func()) {
	t.Helper()
	needProcesses(t)
	command := exec.Command("sleep", "600")
	require.NoError(t, command.Start())
	end = sync.OnceFunc(func() { _, _ = command.Process.Kill(), command.Wait() })
	t.Cleanup(end)
	known, ok := process.NewTable(process.Config{}).Lookup(command.Process.Pid)
	require.True(t, ok)
	e = signalTo(kill.SIGTERM, "mysqld", command.Process.Pid)
	e.Targets[0].Instance = known.Instance
	return e, end
}

// A process whose end nothing reports gets its outcome at the timeout.
func TestTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	f.config.Outcome.Timeout = 10 * time.Millisecond
	source := newLiveSource()
	defer f.run(t, source)()
	source.sends(signalTo(kill.SIGTERM, "mysqld", 1<<22+1)) // no process has this pid
	require.Eventually(t, func() bool { return len(verdicts(&f.sink)) == 1 }, soon, often)
	assert.Equal(t, []string{string(kill.VerdictEnded)}, verdicts(&f.sink))
}

// With storage, a restart of the collector does not end an episode.
func TestFollowOverRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	storage := storagetest.NewFileBackedStorageExtension("a", t.TempDir())
	f.useStorage(storage.ID, storage)
	e, end := living(t)
	source := newLiveSource()
	stop := f.run(t, source)
	source.sends(e)
	f.sink.await(t, 1)
	stop()
	assert.Empty(t, verdicts(&f.sink), "it is alive")
	end()

	source = newLiveSource()
	stop = f.run(t, source)
	assert.Equal(t, e.Targets[0].PID, <-source.watched, "the source has not seen the signal")
	require.Eventually(t, func() bool { return len(verdicts(&f.sink)) == 1 }, soon, often)
	assert.Equal(t, []string{string(kill.VerdictEnded)}, verdicts(&f.sink), "it is gone, but its exit status is not known")
	stop()
	records := append(stub.Records(f.sink.AllLogs()[0]), stub.Records(f.sink.AllLogs()[1])...)
	assert.Equal(t, records[0].TraceID(), records[1].TraceID())
	assert.Equal(t, records[0].SpanID(), records[1].SpanID())
	assert.Equal(t, "systemd", text(records[1], "process.command"))
}

// The state is also stored while the collector runs, because that may be killed.
func TestFollowOverCrash(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	client := storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, "test")
	f.useStorage(component.MustNewID("memory"), &fakeStorage{Client: client})
	source := newLiveSource()
	defer f.run(t, source)()
	e, _ := living(t)
	source.sends(e)
	require.Eventually(t, func() bool {
		data, err := client.Get(t.Context(), watchedKey)
		return assert.NoError(t, err) && len(data) > 0
	}, soon, often)
}

// If the watched processes cannot be stored, their outcomes are unknown at shutdown.
func TestFollowWithoutRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	client := storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, "test")
	f.useStorage(component.MustNewID("memory"), &fakeStorage{Client: client, full: true})
	source := newLiveSource()
	stop := f.run(t, source)
	e, _ := living(t)
	source.sends(e)
	f.sink.await(t, 1)
	stop()
	assert.Equal(t, []string{string(kill.VerdictUnknown)}, verdicts(&f.sink))
	assert.Positive(t, f.logged.FilterMessageSnippet("a restart would forget them").Len())
}

// The stored state cannot be read.
func TestFollowUnreadable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	client := storagetest.NewInMemoryClient(component.KindReceiver, f.set.ID, "test")
	f.useStorage(component.MustNewID("memory"), &fakeStorage{Client: broken{client}})
	f.run(t, newLiveSource())()
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("before the restart will not be known").Len())
}

// broken is a client whose Get fails.
type broken struct{ storage.Client }

func (broken) Get(context.Context, string) ([]byte, error) { return nil, errors.New("bad page") }

// Each pipeline's own view of the receiver shows its status.
func TestStatusToAll(t *testing.T) {
	t.Parallel()
	logs, traces := &statusHost{Host: componenttest.NewNopHost()}, &statusHost{Host: componenttest.NewNopHost()}
	all := &statusToAll{Host: logs, all: []component.Host{logs, traces}}
	componentstatus.ReportStatus(all, componentstatus.NewRecoverableErrorEvent(errNotNow))
	for _, host := range []*statusHost{logs, traces} {
		assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.statuses())
	}
}
