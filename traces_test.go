// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/delivery"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
)

// allExits are Exits that report the end of every process.
type allExits struct{}

func (allExits) Watch(target outcome.Target) (time.Duration, error) { return target.Start, nil }
func (allExits) Resume(int, time.Duration) error                    { return nil }
func (allExits) Unwatch(int)                                        {}
func (allExits) Alive(int, time.Duration) bool                      { return true }

// following is a delivery beside a table of outcomes that watches every target, in a bubble of
// synctest.
type following struct {
	t     *testing.T
	table *outcome.Table
	users *process.Users
	*delivery.Delivery
}

func newFollowing(t *testing.T, logs consumer.Logs, traces consumer.Traces) (*following, func()) {
	t.Helper()
	f := newFixture(t, "")
	f.next, f.nextTraces = logs, traces
	stopping, stop := context.WithCancel(t.Context())
	d := &following{t: t, users: process.NewUsers(f.machine.Passwd, f.machine.Name), Delivery: f.delivery(t, stopping, true), table: outcome.NewTable(outcome.Config{
		Timeout: 2 * time.Minute, HostID: "0123", BootID: "boot", Exits: allExits{}, Ordered: true,
		Conceal: strings.Clone, SinceBoot: func() time.Duration { return time.Hour }, Warn: func(p *problem.Problem) { t.Error(p) },
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run()
	}()
	return d, func() {
		stop()
		d.table.Settle()
		d.table.Abandon()
		d.flush()
		d.Close()
		<-done
	}
}

// deliver delivers events and ends of processes.
func (f *following) deliver(things ...any) {
	for _, o := range observations(things) {
		if o.End != nil {
			f.table.Exited(o.End)
			continue
		}
		f.users.Fill(o.Event)
		f.table.Signal(o.Event)
		require.NoError(f.t, f.Signal(o.Event))
	}
	f.flush()
}

func (f *following) flush() {
	for _, e := range f.table.TakeOutcomes() {
		require.NoError(f.t, f.Outcome(e))
	}
	require.NoError(f.t, f.Flush())
}

// pass lets time pass, and expires what is due.
func (f *following) pass(d time.Duration) {
	end := time.Now().Add(d)
	for next := f.table.NextDue(); !next.IsZero() && !next.After(end); next = f.table.NextDue() {
		time.Sleep(time.Until(next))
		f.table.Expire()
		f.flush()
	}
	time.Sleep(time.Until(end))
}

// TestGoldenTraces has systemd stop a service, a shell end a job, and a process fail to kill
// another.
func TestGoldenTraces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs consumertest.LogsSink
		var traces consumertest.TracesSink
		f, finish := newFollowing(t, &logs, &traces)

		f.deliver(signalTo(kill.SIGTERM, "mysqld", 3936))
		f.pass(90 * time.Second)
		f.deliver(signalTo(kill.SIGKILL, "mysqld", 3936))
		f.pass(5 * time.Millisecond)
		f.deliver(ended(3936, 9, "mysqld"))

		f.pass(time.Second)
		job := signalTo(kill.SIGTERM, "worker", 41, 42, 43)
		job.Sender.PID, job.Sender.ThreadID, job.Sender.Command, job.Sender.Leader = 3997, 3997, "bash", "bash"
		job.Sender.Ancestry = []kill.Ancestor{{PID: 3649, Command: "sshd"}, {PID: 1, Command: "systemd"}}
		f.deliver(job)
		f.pass(time.Second)
		f.deliver(ended(42, 0x86, "worker"), ended(41, 15, "worker"))
		f.pass(2 * time.Second)
		f.deliver(ended(43, 3<<8, "cleanup"))

		denied := signalTo(kill.SIGKILL, "nginx", 80)
		denied.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
		f.deliver(signalTo(kill.SIGHUP, "nginx", 80), denied)
		f.pass(3 * time.Minute)
		f.deliver(signalTo(kill.SIGTERM, "postgres", 5432))
		finish()

		compareGolden(t, "outcomes", merge(logs.AllLogs()))
		all := ptrace.NewTraces()
		for _, some := range traces.AllTraces() {
			some.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
		}
		compareGoldenTraces(t, "traces", all)
	})
}

func compareGoldenTraces(t *testing.T, name string, got ptrace.Traces) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".yaml")
	if *update {
		require.NoError(t, golden.WriteTracesToFile(file, got))
	}
	want, err := golden.ReadTraces(file)
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(want, got))
}

func first(traces ptrace.Traces) ptrace.Span {
	return traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// Both pipelines share one receiver with one source.
func TestShared(t *testing.T) {
	t.Parallel()
	source := newLiveSource()
	f := newFixture(t, "")
	factory := newFactory(source.create(f))
	var logs consumertest.LogsSink
	var traces consumertest.TracesSink
	logsReceiver, err := factory.CreateLogs(t.Context(), f.set, f.config, &logs)
	require.NoError(t, err)
	tracesReceiver, err := factory.CreateTraces(t.Context(), f.set, f.config, &traces)
	require.NoError(t, err)

	require.NoError(t, tracesReceiver.Start(t.Context(), componenttest.NewNopHost()))
	assert.Zero(t, source.started.Load(), "the next consumer of the log records may not be there yet")
	require.NoError(t, logsReceiver.Start(t.Context(), componenttest.NewNopHost()))
	assert.EqualValues(t, 1, source.started.Load())
	source.sends(signalTo(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld"))
	require.Eventually(t, func() bool { return logs.LogRecordCount() == 2 && traces.SpanCount() == 1 }, soon, often)
	span := first(traces.AllTraces()[0])
	for _, record := range stub.Records(logs.AllLogs()[0]) {
		assert.Equal(t, span.TraceID(), record.TraceID())
		assert.Equal(t, span.SpanID(), record.SpanID())
	}

	// Processes that are still watched get an outcome before the next consumers shut down.
	e, _ := living(t)
	source.sends(e)
	require.Eventually(t, func() bool { return logs.LogRecordCount() == 3 }, soon, often)
	assert.EqualValues(t, 1, f.metric(t, "otelcol_receiver_audit_kill_outcome_watches"))
	require.NoError(t, logsReceiver.Shutdown(t.Context()))
	assert.EqualValues(t, 1, source.closed.Load())
	assert.Equal(t, 4, logs.LogRecordCount())
	assert.Equal(t, 2, traces.SpanCount())
	verdict, _ := first(traces.AllTraces()[1]).Attributes().Get("kill.outcome")
	assert.Equal(t, "unknown", verdict.Str())
	require.NoError(t, tracesReceiver.Shutdown(t.Context()))
	assert.EqualValues(t, 1, source.closed.Load())

	// And it can start again.
	again, err := factory.CreateTraces(t.Context(), f.set, f.config, &traces)
	require.NoError(t, err)
	require.NoError(t, again.Start(t.Context(), componenttest.NewNopHost()))
	assert.EqualValues(t, 2, source.started.Load())
	require.NoError(t, again.Shutdown(t.Context()))
}

// The processes in a log that was written some time ago cannot be watched.
func TestNoOutcomesOfLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "testdata/seed.log")
	f.nextTraces = consumertest.NewNop()
	f.start(t)
	f.sink.await(t, 1)
	assert.True(t, stub.Records(f.sink.AllLogs()[0])[0].TraceID().IsEmpty())
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("no traces will be emitted").Len())
}

func TestNoOutcomesWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	f.config.Outcome.Enabled = false
	source := newLiveSource()
	stop := f.run(t, source)
	source.sends(signalTo(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld"))
	f.sink.await(t, 1)
	stop()
	assert.Equal(t, 1, f.sink.LogRecordCount())
	assert.True(t, stub.Records(f.sink.AllLogs()[0])[0].TraceID().IsEmpty())
}

// Nothing is read, because it would go nowhere.
func TestOnlyTracesOfLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "testdata/seed.log")
	f.next, f.nextTraces = nil, consumertest.NewNop()
	f.start(t)()
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("no traces will be emitted").Len())
	assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_records_read"))
}

// Only spans are wanted.
func TestOnlyTraces(t *testing.T) {
	t.Parallel()
	source := newLiveSource()
	f := newFixture(t, "")
	var traces consumertest.TracesSink
	f.next, f.nextTraces = nil, &traces
	r := f.new(t)
	source.open(r)
	require.NoError(t, r.Start(t.Context(), f.host))
	source.sends(signalTo(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld"))
	require.Eventually(t, func() bool { return traces.SpanCount() == 1 }, soon, often)
	require.NoError(t, r.Shutdown(context.Background()))
}
