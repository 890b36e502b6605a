// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
)

// everyone are Exits that know everybody's end in time.
type everyone struct{}

func (everyone) Follow(target outcome.Target) (time.Duration, error) { return target.Start, nil }
func (everyone) Resume(int, time.Duration) error                     { return nil }
func (everyone) Forget(int)                                          {}
func (everyone) Lives(int, time.Duration) bool                       { return true }

// followingFixture is a delivery that follows processes, in a bubble of synctest. The
// returned function ends it.
func followingFixture(t *testing.T, logs consumer.Logs, traces consumer.Traces) (*deliveryFixture, func()) {
	t.Helper()
	f := newDeliveryFixture(t, logs, asItIs)
	if traces != nil {
		r := f.new(t)
		r.health, r.nextTraces = f.health, traces
		f.delivery = r.newDelivery(f.stopping, f.context)
	}
	f.follow = newFollow(outcome.NewTable(outcome.Config{
		Timeout: 2 * time.Minute, HostID: "0123", BootID: "boot", Exits: everyone{}, Punctual: true,
		Conceal: strings.Clone, SinceBoot: func() time.Duration { return time.Hour }, Logger: zap.NewNop(),
	}), nil, nil, zap.NewNop())
	f.ahead()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.handAll()
	}()
	go f.followAll(f.stopping)
	return f, func() {
		f.stop()
		f.unfollow()
		f.end()
		<-done
	}
}

// TestGoldenTraces has systemd stop a service as it does, a shell end a job, and somebody
// fail to.
func TestGoldenTraces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs consumertest.LogsSink
		var traces consumertest.TracesSink
		f, finish := followingFixture(t, &logs, &traces)
		deliver := func(events ...*kill.Event) { require.NoError(t, f.deliver(events)) }

		deliver(struck(kill.SIGTERM, "mysqld", 3936))
		time.Sleep(90 * time.Second)
		deliver(struck(kill.SIGKILL, "mysqld", 3936))
		time.Sleep(5 * time.Millisecond)
		deliver(ended(3936, 9, "mysqld"))

		time.Sleep(time.Second)
		job := struck(kill.SIGTERM, "worker", 41, 42, 43)
		job.Sender.PID, job.Sender.ThreadID, job.Sender.Command, job.Sender.Leader = 3997, 3997, "bash", "bash"
		job.Sender.Ancestry = []kill.Ancestor{{PID: 3649, Command: "sshd"}, {PID: 1, Command: "systemd"}}
		deliver(job)
		time.Sleep(time.Second)
		deliver(ended(42, 0x86, "worker"), ended(41, 15, "worker"))
		time.Sleep(2 * time.Second)
		deliver(ended(43, 3<<8, "cleanup"))

		denied := struck(kill.SIGKILL, "nginx", 80)
		denied.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
		deliver(struck(kill.SIGHUP, "nginx", 80), denied)
		time.Sleep(3 * time.Minute)
		deliver(struck(kill.SIGTERM, "postgres", 5432))
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

// A backend of traces that takes nothing holds up no log records.
func TestTracesStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs consumertest.LogsSink
		var traces consumertest.TracesSink
		var up atomic.Bool
		next, err := consumer.NewTraces(func(ctx context.Context, data ptrace.Traces) error {
			if !up.Load() {
				return errNotNow
			}
			return traces.ConsumeTraces(ctx, data)
		})
		require.NoError(t, err)
		f, finish := followingFixture(t, &logs, next)
		const terminations = maxSpanItems // of two items each
		for pid := 1; pid <= terminations; pid++ {
			require.NoError(t, f.deliver([]*kill.Event{struck(kill.SIGKILL, "mysqld", pid), ended(pid, 9, "mysqld")}))
			synctest.Wait()
		}
		assert.Equal(t, 2*terminations, logs.LogRecordCount())
		f.busy.Lock()
		assert.LessOrEqual(t, f.spanItems, maxSpanItems+1)
		assert.Equal(t, f.spanItems, 2*f.spans.Len())
		f.busy.Unlock()
		up.Store(true)
		time.Sleep(time.Minute)
		finish()
		dropped := f.metric(t, "otelcol_receiver_audit_kill_spans_dropped")
		assert.Positive(t, dropped)
		assert.EqualValues(t, terminations, int64(traces.SpanCount())+dropped)
		assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
	})
}

func TestRefusedSpans(t *testing.T) {
	t.Parallel()
	sent := spans(1, 2, 3)
	tests := map[string]struct {
		err  error
		left []byte
	}{
		"all":                 {errNotNow, []byte{1, 2, 3}},
		"some":                {consumererror.NewTraces(errNotNow, spans(1, 3)), []byte{1, 3}},
		"others":              {consumererror.NewTraces(errNotNow, spans(1, 4)), []byte{1, 2, 3}},
		"none":                {consumererror.NewTraces(errNotNow, spans()), []byte{1, 2, 3}},
		"by one of several":   {errors.Join(consumererror.NewTraces(errNotNow, spans(1)), errNotNow), []byte{1, 2, 3}},
		"of another trace id": {consumererror.NewTraces(errNotNow, func() ptrace.Traces { s := spans(1); first(s).SetTraceID([16]byte{9}); return s }()), []byte{1, 2, 3}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var left []byte
			for _, span := range refusedSpans(sent, test.err).ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				left = append(left, span.SpanID()[7])
			}
			assert.Equal(t, test.left, left)
		})
	}
	assert.Equal(t, 3, sent.SpanCount())
}

func spans(ids ...byte) ptrace.Traces {
	traces := ptrace.NewTraces()
	scope := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	for _, id := range ids {
		span := scope.Spans().AppendEmpty()
		span.SetTraceID([16]byte{15: 1})
		span.SetSpanID([8]byte{7: id})
	}
	return traces
}

func first(traces ptrace.Traces) ptrace.Span {
	return traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// Both pipelines have one receiver, and it one source.
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
	source.events <- []*kill.Event{struck(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld")}
	require.Eventually(t, func() bool { return logs.LogRecordCount() == 2 && traces.SpanCount() == 1 }, soon, often)
	span := first(traces.AllTraces()[0])
	for _, record := range recordsOf(logs.AllLogs()[0]) {
		assert.Equal(t, span.TraceID(), record.TraceID())
		assert.Equal(t, span.SpanID(), record.SpanID())
	}

	// Who is still followed is told of before the next consumers go.
	e, _ := living(t)
	source.events <- []*kill.Event{e}
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

	// And it can begin anew.
	again, err := factory.CreateTraces(t.Context(), f.set, f.config, &traces)
	require.NoError(t, err)
	require.NoError(t, again.Start(t.Context(), componenttest.NewNopHost()))
	assert.EqualValues(t, 2, source.started.Load())
	require.NoError(t, again.Shutdown(t.Context()))
}

// A log that was written some time ago tells of nobody who could be followed.
func TestNoOutcomesOfLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "testdata/seed.log")
	f.nextTraces = consumertest.NewNop()
	f.start(t)
	f.sink.await(t, 1)
	assert.True(t, recordsOf(f.sink.AllLogs()[0])[0].TraceID().IsEmpty())
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("no traces will come").Len())
}

func TestNoOutcomesWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	f.config.Outcome.Enabled = false
	source := newLiveSource()
	stop := f.run(t, source)
	source.events <- []*kill.Event{struck(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld")}
	f.sink.await(t, 1)
	stop()
	assert.Equal(t, 1, f.sink.LogRecordCount())
	assert.True(t, recordsOf(f.sink.AllLogs()[0])[0].TraceID().IsEmpty())
}

// What would be read would go nowhere, so it is not read.
func TestOnlyTracesOfLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "testdata/seed.log")
	f.next, f.nextTraces = nil, consumertest.NewNop()
	f.start(t)()
	assert.Equal(t, 1, f.logged.FilterMessageSnippet("no traces will come").Len())
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
	source.events <- []*kill.Event{struck(kill.SIGTERM, "mysqld", 3936), ended(3936, 15, "mysqld")}
	require.Eventually(t, func() bool { return traces.SpanCount() == 1 }, soon, often)
	require.NoError(t, r.Shutdown(context.Background()))
}
