// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// restarts are restarts of mariadb on hosts, one every four seconds, as the receiver tells them: signals, then outcomes,
// of which the last two ones needed a SIGKILL. first is the number of the first host.
func restarts(first, hosts int) plog.Logs {
	logs := plog.NewLogs()
	for n := first; n < first+hosts; n++ {
		resource := logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("host.name", fmt.Sprintf("web-%d", n))
		resource.Resource().Attributes().PutStr("host.id", fmt.Sprintf("id of %d", n))
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		at := noon.Add(time.Duration(n) * 4 * time.Second)
		signal := records.AppendEmpty()
		restart(signal, n, "kill.signal", at)
		signal.Attributes().PutInt("kill.signal.number", 15)
		signal.Attributes().PutStr("kill.signal.name", "SIGTERM")
		ended := records.AppendEmpty()
		restart(ended, n, "kill.outcome", at.Add(time.Second))
		verdict := "exited"
		if n >= 38 {
			verdict = "killed"
		}
		ended.Attributes().PutStr("kill.outcome", verdict)
		ended.Attributes().PutBool("kill.escalated", n >= 38)
	}
	return logs
}

func restart(record plog.LogRecord, n int, event string, at time.Time) {
	record.SetEventName(event)
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.Body().SetStr("systemd[1] sent SIGTERM to mariadbd")
	_ = record.Attributes().FromRaw(map[string]any{
		"kill.cause": "service_restart", "kill.evidence": "observed", "kill.target.pid": 5932 + n, "kill.target.name": "mariadbd",
		"kill.target.start_time": "2026-03-01T10:00:00.010Z", "kill.target.systemd.unit": "mariadb.service",
		"process.pid": 1, "process.command": "systemd", "process.user.id": 0, "kill.requester.pid": 136 + n,
		"kill.requester.name": "systemctl", "kill.requester.title": "systemctl restart mariadb", "kill.requester.user.id": 0,
		"kill.initiator.pid": 77, "kill.initiator.name": "apt-get", "kill.initiator.title": "apt-get upgrade",
		"user.id": "1000", "user.name": "alice", "client.address": "10.0.0.5", "kill.session.id": strconv.Itoa(20 + n),
		"kill.source": "ebpf", "kill.result": "success", "log.record.uid": fmt.Sprint(event, n),
	})
}

// fixture is a connector in pipelines.
type fixture struct {
	t       *testing.T
	factory connector.Factory
	config  *Config
	set     connector.Settings
	host    component.Host
	members []connector.Logs
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		t: t, factory: NewFactory(), config: createDefaultConfig().(*Config), set: connectortest.NewNopSettings(metadata.Type),
		host: componenttest.NewNopHost(),
	}
	f.set.ID = component.NewID(metadata.Type) // a name would be a part of the ids of incidents
	return f
}

// quick lets time pass as fast as a test can wait for it.
func (f *fixture) quick() *fixture {
	f.config.Gap, f.config.Interval = 5*time.Second, 50*time.Millisecond // the records are four seconds apart
	return f
}

func (f *fixture) logs(next consumer.Logs) *fixture {
	f.t.Helper()
	m, err := f.factory.CreateLogsToLogs(f.t.Context(), f.set, f.config, next)
	require.NoError(f.t, err)
	f.members = append(f.members, m)
	return f
}

func (f *fixture) metrics(next consumer.Metrics) *fixture {
	f.t.Helper()
	m, err := f.factory.CreateLogsToMetrics(f.t.Context(), f.set, f.config, next)
	require.NoError(f.t, err)
	f.members = append(f.members, m)
	return f
}

func (f *fixture) start() *fixture {
	f.t.Helper()
	for _, m := range f.members {
		require.NoError(f.t, m.Start(f.t.Context(), f.host))
	}
	return f
}

// send sends to all members, as the collector does.
func (f *fixture) send(logs plog.Logs) error {
	for _, m := range f.members {
		if err := m.ConsumeLogs(context.Background(), logs); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) stop() {
	f.t.Helper()
	for _, m := range f.members {
		require.NoError(f.t, m.Shutdown(context.Background()))
	}
	f.members = nil
}

// kill is kill -9: nothing is done any more.
func (f *fixture) kill() {
	j := f.members[0].(*member).joiner
	j.stop()
	j.running.Wait()
	j.telemetry.shutdown()
	f.members, f.factory = nil, NewFactory()
}

func (f *fixture) joiner() *joiner { return f.members[0].(*member).joiner }

// store gives the connector a store that answers what a test sets.
func (f *fixture) store(s *faultyStore) *fixture {
	id := component.MustNewIDWithName("storage", "test")
	f.config.StorageID = &id
	f.host = storagetest.NewStorageHost().WithExtension(id, s)
	return f
}

// faultyStore keeps its data over restarts of the connector.
type faultyStore struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	mutex sync.Mutex
	fail  error
	bytes int
}

func newFaultyStore() *faultyStore {
	return &faultyStore{Client: storagetest.NewInMemoryClient(component.KindConnector, component.NewID(metadata.Type), "")}
}

func (s *faultyStore) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *faultyStore) Batch(ctx context.Context, ops ...*storage.Operation) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, op := range ops {
		s.bytes += len(op.Value)
	}
	return s.Client.Batch(ctx, ops...)
}

func (s *faultyStore) failing(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.fail = err
}

func (*faultyStore) Close(context.Context) error { return nil }

// valueOf returns an attribute of a record as it is written.
func valueOf(record plog.LogRecord, name string) any {
	value, ok := record.Attributes().Get(name)
	if !ok {
		return nil
	}
	return value.AsRaw()
}
