// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadatatest"
	"github.com/auditkill/auditkillreceiver/internal/stub"
)

// TestGolden compares all that is told of a rolling restart. UPDATE_GOLDEN=1 writes it anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t).logs(next).start()
	require.NoError(t, f.send(restarts(0, 20)))
	require.NoError(t, f.send(restarts(20, 20)))
	f.stop()
	require.Len(t, next.AllLogs(), 2)
	got := next.AllLogs()[1]
	for _, all := range next.AllLogs() {
		assert.Equal(t, "kill.incident", stub.Records(all)[0].EventName())
	}
	assert.Equal(t, valueOf(stub.Records(next.AllLogs()[0])[0], "kill.incident.id"), valueOf(stub.Records(got)[0], "kill.incident.id"))
	file := filepath.Join("testdata", "restart.yaml")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, golden.WriteLogsToFile(file, got))
	}
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(want, got, plogtest.IgnoreObservedTimestamp()))
	assert.Equal(t, "apt-get upgrade of alice from 10.0.0.5 restarted mariadb.service on 40 hosts in 2m37s: 38 exited, 2 had to be killed",
		stub.Records(got)[0].Body().Str())
}

func TestAnIncidentClosesByItself(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t).quick().logs(next)
	f.start()
	defer f.stop()
	require.NoError(t, f.send(restarts(0, 3)))
	later := restarts(0, 3)
	for n, record := range stub.Records(later) { // each host has sent something later
		record.SetTimestamp(pcommon.NewTimestampFromTime(noon.Add(time.Hour)))
		record.Attributes().PutStr("log.record.uid", fmt.Sprint("later", n))
		record.Attributes().PutStr("kill.target.systemd.unit", fmt.Sprint("other-", n))
	}
	require.NoError(t, f.send(later))
	assert.Eventually(t, func() bool {
		for _, logs := range next.AllLogs() {
			for _, record := range stub.Records(logs) {
				if valueOf(record, "kill.incident.state") == "closed" {
					return true
				}
			}
		}
		return false
	}, 10*time.Second, 10*time.Millisecond)
}

// anything has attributes of all types and sizes under all names that the connector reads.
func anything(r *rand.Rand, event string) plog.Logs {
	logs := restarts(0, 1)
	record := stub.Records(logs)[0]
	record.SetEventName(event)
	names := []string{"event.name"}
	for name := range record.Attributes().All() {
		names = append(names, name)
	}
	for _, name := range append(names, "kill.count", "kill.last_time", "kill.audit.node", "kill.session.id", "kill.oom.cgroup") {
		value := record.Attributes().PutEmpty(name)
		switch r.IntN(8) {
		case 0:
			value.SetStr(strings.Repeat("\xff\x00\u202e", r.IntN(3000)))
		case 1:
			value.SetInt(int64(r.Uint64()))
		case 2:
			value.SetDouble(r.NormFloat64())
		case 3:
			value.SetBool(true)
		case 4:
			value.SetEmptyMap().PutEmptySlice("x").AppendEmpty().SetInt(1)
		case 5:
			value.SetEmptyBytes().FromRaw(make([]byte, r.IntN(100)))
		case 6:
			value.SetEmptySlice().AppendEmpty().SetStr("x")
		}
	}
	record.SetTimestamp(pcommon.Timestamp(r.Uint64()))
	value := logs.ResourceLogs().At(0).Resource().Attributes().PutEmptySlice("host.ip")
	value.AppendEmpty().SetInt(7)
	value.AppendEmpty().SetStr("10.0.0.1")
	return logs
}

func TestWhateverComesGoesOnUntouched(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t)
	f.config.Members = membersPass
	f.config.MinTargets, f.config.MaxMembers = 1_000_000, 1_000_000 // so no incident comes in between
	f.logs(next).start()
	defer f.stop()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	marshaler := plog.ProtoMarshaler{}
	for n := range 300 {
		logs := anything(r, []string{"", "kill.signal", "kill.abend", "kill.outcome", "kill.tamper", "kill.incident", "other"}[n%7])
		want, err := marshaler.MarshalLogs(logs)
		require.NoError(t, err)
		require.NoError(t, f.send(logs))
		got, err := marshaler.MarshalLogs(next.AllLogs()[n])
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

var errBusy = errors.New("busy")

func TestAConsumerThatRefuses(t *testing.T) {
	t.Parallel()
	next := stub.Answering(errBusy, errBusy, nil)
	f := newFixture(t).logs(next).start()
	require.ErrorIs(t, f.send(restarts(0, 3)), errBusy)
	for attempts := 0; f.send(restarts(0, 3)) != nil; attempts++ { // the sender sends it again
		require.Less(t, attempts, 10)
	}
	f.stop()
	var ids []any
	for _, logs := range next.Attempts() {
		for _, record := range stub.Records(logs) {
			ids = append(ids, valueOf(record, "kill.incident.id"))
			assert.EqualValues(t, 3, valueOf(record, "kill.incident.signal_count"))
		}
	}
	require.GreaterOrEqual(t, len(ids), 4, "refused, refused, open, closed")
	for _, id := range ids {
		assert.Equal(t, ids[0], id)
	}
}

func TestARefusedIncidentIsSentWithoutTheSender(t *testing.T) {
	t.Parallel()
	next := stub.Answering(errBusy, nil)
	f := newFixture(t).quick().logs(next).start()
	defer f.stop()
	require.ErrorIs(t, f.send(restarts(0, 3)), errBusy)
	assert.Eventually(t, func() bool { return len(next.Attempts()) > 1 }, 10*time.Second, 10*time.Millisecond)
}

func TestAConsumerThatRefusesPermanently(t *testing.T) {
	t.Parallel()
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	f := newFixture(t)
	f.set.TelemetrySettings = telemetry.NewTelemetrySettings()
	f.logs(stub.Answering(consumererror.NewPermanent(errBusy))).start()
	defer f.stop()
	require.NoError(t, f.send(restarts(0, 3)))
	of := attribute.NewSet(attribute.String("connector", f.set.ID.String()))
	metadatatest.AssertEqualConnectorKillIncidentDropped(t, telemetry,
		[]metricdata.DataPoint[int64]{{Attributes: of, Value: 1}}, metricdatatest.IgnoreTimestamp())
}

func TestKill(t *testing.T) {
	t.Parallel()
	store := newFaultyStore()
	first, second := &consumertest.LogsSink{}, &consumertest.LogsSink{}
	f := newFixture(t).store(store).logs(first).start()
	for n := range 20 {
		require.NoError(t, f.send(restarts(n, 1)))
	}
	f.kill()
	f.quick().logs(second).start()
	require.NoError(t, f.send(restarts(19, 1)), "what was acknowledged may come again")
	require.NoError(t, f.send(restarts(20, 20)))
	assert.Eventually(t, func() bool { return second.LogRecordCount() > 0 && lastState(second) == "closed" }, 10*time.Second, 10*time.Millisecond)
	f.stop()
	logs := second.AllLogs()
	last := stub.Records(logs[len(logs)-1])[0]
	assert.EqualValues(t, 40, valueOf(last, "kill.incident.signal_count"))
	assert.EqualValues(t, 40, valueOf(last, "kill.incident.host_count"))
	assert.EqualValues(t, 38, valueOf(last, "kill.incident.exited"))
	assert.Equal(t, valueOf(stub.Records(first.AllLogs()[0])[0], "kill.incident.id"), valueOf(last, "kill.incident.id"))
	assert.Less(t, store.bytes, 40*20_000, "changes are stored, not the whole state again")
}

// TestAnIDThatWasSentSurvivesKill has the earliest member of an incident come after its id was sent, and kill -9 between the two.
func TestAnIDThatWasSentSurvivesKill(t *testing.T) {
	t.Parallel()
	first, second := &consumertest.LogsSink{}, &consumertest.LogsSink{}
	f := newFixture(t).store(newFaultyStore()).logs(first).start()
	require.NoError(t, f.send(restarts(2, 2)))
	f.kill()
	f.quick().logs(second).start()
	require.NoError(t, f.send(restarts(1, 1)), "of another gateway")
	assert.Eventually(t, func() bool { return second.LogRecordCount() > 0 && lastState(second) == "closed" }, 10*time.Second, 10*time.Millisecond)
	f.stop()
	logs := second.AllLogs()
	assert.Equal(t, valueOf(stub.Records(first.AllLogs()[0])[0], "kill.incident.id"), valueOf(stub.Records(logs[len(logs)-1])[0], "kill.incident.id"))
}

func lastState(sink *consumertest.LogsSink) any {
	logs := sink.AllLogs()
	return valueOf(stub.Records(logs[len(logs)-1])[0], "kill.incident.state")
}

func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	store := newFaultyStore()
	next := &consumertest.LogsSink{}
	f := newFixture(t).store(store).logs(next).start()
	store.failing(errBusy)
	require.ErrorIs(t, f.send(restarts(0, 3)), errBusy)
	assert.Empty(t, next.AllLogs(), "nothing is told that a restart would take back")
	store.failing(nil)
	require.NoError(t, f.send(restarts(0, 3)))
	f.kill()
	f.quick().logs(next).start()
	assert.Eventually(t, func() bool { return next.LogRecordCount() > 1 }, 10*time.Second, 10*time.Millisecond)
	f.stop()
	logs := next.AllLogs()
	assert.EqualValues(t, 3, valueOf(stub.Records(logs[len(logs)-1])[0], "kill.incident.signal_count"))
}

// TestConsumeContract has many senders send to a connector whose next consumer refuses at random, in the manner of the
// collector's CheckConsumeContract: each sends again until it is taken.
func TestConsumeContract(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 30
	var tick atomic.Int64
	next := &stub.Logs{Answer: func(context.Context, int, plog.Logs) error {
		if tick.Add(1)%3 != 0 {
			return errBusy
		}
		return nil
	}}
	f := newFixture(t).store(newFaultyStore()).logs(next)
	f.config.Members = membersPass
	f.start()
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range each {
				logs := restarts(sender*each+n, 1)
				for attempts := 0; f.send(logs) != nil; attempts++ {
					assert.Less(t, attempts, 10_000)
				}
			}
		})
	}
	all.Wait()
	require.Eventually(t, func() bool {
		f.joiner().turn <- struct{}{}
		defer f.joiner().release()
		return len(f.joiner().table.Reports()) == 0
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, senders*each, f.joiner().table.Counts().Members)
	for f.members[0].Shutdown(context.Background()) != nil {
		break // the last report may be refused once more
	}
}

func BenchmarkConsume(b *testing.B) {
	for _, members := range []string{membersNone, membersPass} {
		b.Run(members, func(b *testing.B) {
			factory := NewFactory()
			config := createDefaultConfig().(*Config)
			config.Members = members
			f := newFixture(&testing.T{})
			m, err := factory.CreateLogsToLogs(b.Context(), f.set, config, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, m.Start(b.Context(), f.host))
			defer func() { _ = m.Shutdown(context.Background()) }()
			const hosts = 500 // two records each
			logs := restarts(0, hosts)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				for place, record := range stub.Records(logs) {
					record.Attributes().PutStr("log.record.uid", fmt.Sprint(n, " ", place))
					record.Attributes().PutInt("kill.target.pid", int64(n*hosts+place/2))
					record.Attributes().PutStr("user.name", fmt.Sprint("user ", n/4)) // 2,000 members each
					record.Attributes().PutInt("kill.requester.pid", int64(n/4+place/2))
					record.Attributes().PutInt("kill.initiator.pid", int64(n/4+place/2))
				}
				if err := m.ConsumeLogs(b.Context(), logs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*2*hosts/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// TestPath has somebody come over a host of the fleet, whose addresses are in the resource attribute host.ip.
func TestPath(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t).logs(next).start()
	for n, came := range []struct{ host, from, address string }{
		{"bastion1", "192.0.2.7", "10.0.0.1"}, {"web7", "10.0.0.1", "10.0.0.2"},
	} {
		logs := restarts(n, 1)
		resource := logs.ResourceLogs().At(0).Resource().Attributes()
		resource.PutStr("host.name", came.host)
		resource.PutEmptySlice("host.ip").AppendEmpty().SetStr(came.address)
		for _, record := range stub.Records(logs) {
			record.Attributes().PutStr("client.address", came.from)
			record.Attributes().Remove("kill.initiator.pid")
		}
		require.NoError(t, f.send(logs))
	}
	f.stop()
	logs := next.AllLogs()
	require.NotEmpty(t, logs)
	last := stub.Records(logs[len(logs)-1])[0]
	assert.Equal(t, []any{"bastion1", "web7"}, valueOf(last, "kill.incident.path"))
}

// TestEventsOfKubernetes has an event say why the kubelet stopped pods.
func TestEventsOfKubernetes(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t).logs(next).start()
	for n := range 2 {
		logs := restarts(n, 1)
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("host.name", "node-1")
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("host.id", "id of node-1")
		for _, record := range stub.Records(logs) {
			a := record.Attributes()
			for _, name := range []string{"kill.initiator.pid", "kill.initiator.name", "kill.initiator.title", "user.id", "user.name", "client.address", "kill.target.systemd.unit"} {
				a.Remove(name)
			}
			a.PutStr("kill.cause", "container_stop")
			a.PutInt("kill.requester.pid", 700)
			a.PutStr("kill.requester.name", "kubelet")
			a.PutStr("kill.target.k8s.pod.uid", fmt.Sprint("uid of ", n))
		}
		require.NoError(t, f.send(logs))
		event := plog.NewLogs()
		resource := event.ResourceLogs().AppendEmpty()
		_ = resource.Resource().Attributes().FromRaw(map[string]any{"k8s.object.kind": "Pod", "k8s.object.uid": fmt.Sprint("uid of ", n)})
		record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(noon))
		record.Body().SetStr("The node was low on resource: memory.")
		record.Attributes().PutStr("k8s.event.reason", "Evicted")
		require.NoError(t, f.send(event))
	}
	f.stop()
	logs := next.AllLogs()
	require.NotEmpty(t, logs)
	last := stub.Records(logs[len(logs)-1])[0]
	assert.Equal(t, "2 processes (mariadbd) were probably evicted on node-1 in 5s: 2 exited", last.Body().Str())
	assert.Equal(t, "eviction", valueOf(last, "kill.cause"))
	assert.Equal(t, "inferred", valueOf(last, "kill.evidence"))
}
