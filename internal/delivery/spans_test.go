// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// died is the outcome of a process that was killed.
func died(pid int) *kill.Event {
	e := signal(pid)
	e.Kind = kill.KindOutcome
	e.Outcome = &kill.Outcome{
		Span: kill.Span{Trace: [16]byte{1, byte(pid >> 8), byte(pid)}, ID: [8]byte{1, byte(pid >> 8), byte(pid)}},
		Exit: kill.Exit{Known: true, Status: 9}, Verdict: kill.VerdictKilled, Began: e.Time, LastSignal: e.Signal,
		LastSender: &kill.Process{PID: 1}, Signals: []kill.Sent{{Time: e.Time, Signal: e.Signal, Sender: &kill.Process{PID: 1}}},
	}
	return e
}

// A traces backend that takes nothing does not hold up log records.
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
		f := newFixture(t, &logs, func(s *Settings) { s.Ahead, s.Traces = true, next })
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run()
		}()
		const terminations = maxSpanItems // of two items each
		for pid := 1; pid <= terminations; pid++ {
			require.NoError(t, f.Outcome(died(pid)))
			require.NoError(t, f.Flush())
			synctest.Wait()
		}
		assert.Equal(t, terminations, logs.LogRecordCount())
		f.spans.mutex.Lock()
		assert.LessOrEqual(t, f.spans.items, maxSpanItems+1)
		assert.Equal(t, f.spans.items, 2*f.spans.gathered.Len())
		f.spans.mutex.Unlock()
		up.Store(true)
		time.Sleep(time.Minute)
		f.stop()
		f.Close()
		<-done
		dropped := f.metric(t, "otelcol_receiver_audit_kill_spans_dropped")
		assert.Positive(t, dropped)
		assert.EqualValues(t, terminations, int64(traces.SpanCount())+dropped)
		assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
	})
}

// Gathered spans are delivered at the end, after those before them were taken.
func TestLastSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var traces consumertest.TracesSink
		f := newFixture(t, nil, func(s *Settings) { s.Ahead, s.Traces = true, &traces })
		require.NoError(t, f.Outcome(died(1)))
		require.NoError(t, f.Flush())
		f.Close()
		f.Run()
		assert.Equal(t, 1, traces.SpanCount())
	})
}

func TestRefusedSpans(t *testing.T) {
	t.Parallel()
	sent := spansOf(1, 2, 3)
	tests := map[string]struct {
		err  error
		left []byte
	}{
		"all":                 {errNotNow, []byte{1, 2, 3}},
		"some":                {consumererror.NewTraces(errNotNow, spansOf(1, 3)), []byte{1, 3}},
		"others":              {consumererror.NewTraces(errNotNow, spansOf(1, 4)), []byte{1, 2, 3}},
		"none":                {consumererror.NewTraces(errNotNow, spansOf()), []byte{1, 2, 3}},
		"by one of several":   {errors.Join(consumererror.NewTraces(errNotNow, spansOf(1)), errNotNow), []byte{1, 2, 3}},
		"of another trace id": {consumererror.NewTraces(errNotNow, func() ptrace.Traces { s := spansOf(1); first(s).SetTraceID([16]byte{9}); return s }()), []byte{1, 2, 3}},
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

func spansOf(ids ...byte) ptrace.Traces {
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
