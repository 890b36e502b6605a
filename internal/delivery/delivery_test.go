// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadatatest"
	"github.com/auditkill/auditkillreceiver/internal/series"
)

var (
	errNotNow = errors.New("not now")
	errNever  = consumererror.NewPermanent(errors.New("never"))
)

// fixture is a delivery without a source, on the clock of a synctest bubble.
type fixture struct {
	*Delivery
	telemetry       *componenttest.Telemetry
	logged          *observer.ObservedLogs
	reported        []componentstatus.Status
	stop, interrupt context.CancelFunc
}

func newFixture(t *testing.T, next consumer.Logs, change func(*Settings)) *fixture {
	t.Helper()
	f := &fixture{telemetry: componenttest.NewTelemetry()}
	// Not with t.Context, which is already done during cleanup.
	t.Cleanup(func() { require.NoError(t, f.telemetry.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(f.telemetry)
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	require.NoError(t, err)
	t.Cleanup(builder.Shutdown)
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "audit", ReceiverCreateSettings: set,
	})
	require.NoError(t, err)
	core, logged := observer.New(zap.DebugLevel)
	f.logged = logged
	settings := Settings{
		Logs: next, Wants: func(e *kill.Event) bool { return e.Signal != 0 || e.Kind == kill.KindTamper },
		Retry: configretry.BackOffConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: 4 * time.Second, Multiplier: 2,
		},
		Telemetry: builder, Series: series.Of(set.ID), ObsReport: obsreport, Logger: logsampling.New(zap.New(core)),
		Health: NewHealth(func(event *componentstatus.Event) { f.reported = append(f.reported, event.Status()) }),
	}
	change(&settings)
	var stopping, delivering context.Context
	stopping, f.stop = context.WithCancel(t.Context())
	delivering, f.interrupt = context.WithCancel(t.Context())
	f.Delivery = New(stopping, delivering, settings)
	return f
}

func asItIs(*Settings) {}

func ahead(s *Settings) { s.Ahead = true }

// deliver passes a batch to the delivery, as the capture does.
func (f *fixture) deliver(events []*kill.Event) error {
	for _, e := range events {
		if !f.Wants(e) {
			continue
		}
		if err := f.Signal(e); err != nil {
			return err
		}
	}
	return f.Flush()
}

// metric returns the sum of all data points of a counter; 0 if there are none.
func (f *fixture) metric(t *testing.T, name string) int64 {
	t.Helper()
	metric, err := f.telemetry.GetMetric(name)
	if err != nil {
		return 0 // nothing was counted yet
	}
	data, ok := metric.Data.(metricdata.Sum[int64])
	require.True(t, ok, "%s: %T", name, metric.Data)
	var sum int64
	for _, point := range data.DataPoints {
		sum += point.Value
	}
	return sum
}

// signal is one call with the given pids as targets.
func signal(pids ...int) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.UnixMilli(1700000000000), Signal: kill.SIGKILL, SignalKnown: true,
		Origin: kill.OriginUser, Result: kill.Success(), TargetCount: len(pids), Complete: true,
	}
	for _, pid := range pids {
		e.AddTarget().PID = pid
	}
	return e
}

func TestRetry(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		change  func(*Settings)
		answers []error
		pauses  []time.Duration
		dropped bool
	}{
		"taken at once": {
			answers: []error{nil},
		},
		"backs off": {
			answers: []error{errNotNow, errNotNow, errNotNow, errNotNow, nil},
			pauses:  []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second},
		},
		"named by another component": {
			answers: []error{consumererror.NewDownstream(errNotNow), nil},
			pauses:  []time.Duration{time.Second},
		},
		"permanent": {
			answers: []error{errNever, nil},
			dropped: true,
		},
		"permanent, wrapped": {
			answers: []error{fmt.Errorf("exporter: %w", errNever), nil},
			dropped: true,
		},
		"permanent of all exporters": {
			answers: []error{fmt.Errorf("fanout: %w", errors.Join(errNever, fmt.Errorf("b: %w", errNever))), nil},
			dropped: true,
		},
		"permanent, of several reasons": {
			answers: []error{consumererror.NewPermanent(errors.Join(errNotNow, errNotNow)), nil},
			dropped: true,
		},
		"permanent of one of two exporters": {
			answers: []error{errors.Join(errNever, errNotNow), errors.Join(errNotNow, errNever), errNever, nil},
			pauses:  []time.Duration{time.Second, 2 * time.Second},
			dropped: true,
		},
		"permanent in the end": {
			answers: []error{errNotNow, errNotNow, errNever, nil},
			pauses:  []time.Duration{time.Second, 2 * time.Second},
			dropped: true,
		},
		"disabled": {
			change:  func(s *Settings) { s.Retry.Enabled = false },
			answers: []error{errNotNow, nil},
			dropped: true,
		},
		"max_elapsed_time": {
			change:  func(s *Settings) { s.Retry.MaxElapsedTime = 10 * time.Second },
			answers: []error{errNotNow},
			pauses:  []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
			dropped: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := stub.Answering(test.answers...)
				change := test.change
				if change == nil {
					change = asItIs
				}
				f := newFixture(t, next, change)
				require.NoError(t, f.deliver([]*kill.Event{signal(1, 2)}))

				assert.Equal(t, test.pauses, next.Pauses())
				assert.Equal(t, slices.Repeat([][]int{{1, 2}}, len(test.pauses)+1), next.Targets())
				lost := int64(0)
				if test.dropped {
					lost = 2
				}
				assert.Equal(t, lost, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
				assert.Equal(t, lost, f.metric(t, "otelcol_receiver_refused_log_records"))
				assert.Equal(t, 2-lost, f.metric(t, "otelcol_receiver_accepted_log_records"))
				dropped := f.logged.FilterLevelExact(zapcore.ErrorLevel)
				assert.Equal(t, test.dropped, dropped.Len() == 1)
				if test.dropped {
					assert.EqualValues(t, 2, dropped.All()[0].ContextMap()["log_records"])
					assert.NotEmpty(t, dropped.All()[0].ContextMap()["error"])
				}
			})
		})
	}
}

// TestMutatingConsumer has a consumer that changes what it is given before it refuses it, as a
// processor may.
func TestMutatingConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := stub.Answering(errNotNow, errNotNow, nil)
		next.Mutates = true
		answer := next.Answer
		next.Answer = func(ctx context.Context, attempt int, logs plog.Logs) error {
			for _, record := range stub.Records(logs) {
				record.Attributes().PutStr("processed", "yes")
			}
			logs.ResourceLogs().At(0).Resource().Attributes().Clear()
			return answer(ctx, attempt, logs)
		}
		f := newFixture(t, next, asItIs)
		require.NoError(t, f.deliver([]*kill.Event{signal(1, 2)}))
		attempts := next.Attempts()
		require.Len(t, attempts, 3)
		for _, attempt := range attempts[1:] {
			assert.NoError(t, plogtest.CompareLogs(attempts[0], attempt))
		}
	})
}

// TestStopping shuts down at every stage.
func TestStopping(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		answer func(ctx context.Context) error
		// before and after the consumer was called for the first time.
		before, after func(f *fixture)
		attempts      int
		stopped       bool
		dropped       int64
	}{
		"the last data is taken": {
			answer:   func(context.Context) error { return nil },
			before:   func(f *fixture) { f.stop() },
			attempts: 1,
		},
		"the last data is refused": {
			answer:   func(context.Context) error { return errNotNow },
			before:   func(f *fixture) { f.stop() },
			attempts: 1, stopped: true,
		},
		"the last data is refused for good": {
			answer:   func(context.Context) error { return errNever },
			before:   func(f *fixture) { f.stop() },
			attempts: 1, dropped: 2,
		},
		"between two attempts": {
			answer:   func(context.Context) error { return errNotNow },
			after:    func(f *fixture) { f.stop() },
			attempts: 1, stopped: true,
		},
		"the consumer takes it when it is interrupted": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			},
			after:    func(f *fixture) { f.stop(); f.interrupt() },
			attempts: 1,
		},
		"the consumer refuses it when it is interrupted": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			},
			after:    func(f *fixture) { f.stop(); f.interrupt() },
			attempts: 1, stopped: true,
		},
		"the consumer takes the interruption for a permanent error": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return consumererror.NewPermanent(ctx.Err())
			},
			after:    func(f *fixture) { f.stop(); f.interrupt() },
			attempts: 1, stopped: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := &stub.Logs{Answer: func(ctx context.Context, _ int, _ plog.Logs) error { return test.answer(ctx) }}
				f := newFixture(t, next, asItIs)
				if test.before != nil {
					test.before(f)
				}
				start := time.Now()
				done := make(chan error, 1)
				go func() { done <- f.deliver([]*kill.Event{signal(1, 2)}) }()
				synctest.Wait()
				if test.after != nil {
					test.after(f)
				}
				err := <-done
				assert.Equal(t, test.stopped, errors.Is(err, errStopping))
				assert.Equal(t, test.stopped, err != nil)
				assert.Equal(t, start, time.Now(), "it must not wait")
				assert.Len(t, next.Attempts(), test.attempts)
				assert.Equal(t, test.dropped, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
			})
		})
	}
}

// TestDroppedIsLoggedOccasionally has a consumer that refuses everything for good. The metric
// counts all of it, the log says so once a minute.
func TestDroppedIsLoggedOccasionally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, stub.Answering(errNever), asItIs)
		for range 19 { // up to and including the end of the third minute
			require.NoError(t, f.deliver([]*kill.Event{signal(1, 2)}))
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, 4, f.logged.FilterMessageSnippet("dropped log records").Len())
		assert.EqualValues(t, 38, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
	})
}

// TestRetryIsLoggedOccasionally has a consumer that is down for three minutes.
func TestRetryIsLoggedOccasionally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := stub.Answering(errNotNow)
		f := newFixture(t, next, asItIs)
		go func() { _ = f.deliver([]*kill.Event{signal(1)}) }()
		time.Sleep(3 * time.Minute)
		f.stop()
		synctest.Wait()
		assert.Greater(t, len(next.Attempts()), 40)
		warnings := f.logged.FilterMessageSnippet("the next consumer did not take log records").All()
		require.Len(t, warnings, 3)
		assert.Equal(t, map[string]any{
			"log_records": int64(1), "next_try_in": time.Second, "error": "not now",
		}, warnings[0].ContextMap())
		for i := range warnings[1:] {
			assert.GreaterOrEqual(t, warnings[i+1].Time.Sub(warnings[i].Time), time.Minute)
		}
	})
}

// TestManyTargets has more targets than are delivered at a time.
func TestManyTargets(t *testing.T) {
	t.Parallel()

	next := stub.Answering(nil)
	f := newFixture(t, next, asItIs)
	require.NoError(t, f.deliver([]*kill.Event{signal(1), signal(sequence(2, 1200)...), signal(1202)}))
	assert.Equal(t, [][]int{sequence(1, 512), sequence(513, 512), sequence(1025, 178)}, next.Targets())
}

// TestManyTargetsRefused stops after the first part was taken.
func TestManyTargetsRefused(t *testing.T) {
	t.Parallel()

	next := stub.Answering(nil, errNotNow)
	f := newFixture(t, next, asItIs)
	f.stop()
	require.ErrorIs(t, f.deliver([]*kill.Event{signal(sequence(1, 1200)...)}), errStopping)
	assert.Equal(t, [][]int{sequence(1, 512), sequence(513, 512)}, next.Targets())
}

func TestEventMetrics(t *testing.T) {
	t.Parallel()

	abend := signal(7)
	abend.Kind, abend.Signal = kill.KindAbend, kill.SIGSEGV
	unwanted := signal(8)
	unwanted.Signal = 0
	nobody := signal()
	tamper := kill.RestoredRule(time.UnixMilli(1700000000000), "-a never", "audit_kill")
	f := newFixture(t, stub.Answering(nil), asItIs)
	require.NoError(t, f.deliver([]*kill.Event{signal(1, 2, 3), abend, unwanted, nobody, tamper}))

	receiver := attribute.String("receiver", "audit_kill")
	named := func(name string) attribute.Set {
		return attribute.NewSet(receiver, attribute.String("event.name", name))
	}
	metadatatest.AssertEqualReceiverAuditKillEvents(t, f.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: named("kill.signal"), Value: 2},
		{Attributes: named("kill.abend"), Value: 1},
		{Attributes: named("kill.tamper"), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualReceiverAuditKillFiltered(t, f.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(receiver), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	assert.EqualValues(t, 6, f.metric(t, "otelcol_receiver_accepted_log_records"))
	assert.Zero(t, f.metric(t, "otelcol_receiver_refused_log_records"))
	require.Len(t, f.telemetry.SpanRecorder.Ended(), 1)
}

// The end of a process to which nobody has sent a signal is none that was left out.
func TestWantsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, stub.Answering(nil), func(s *Settings) {
		s.Wants = func(e *kill.Event) bool { return e.Targets[0].PID == 1 }
	})
	for pid, want := range map[int]bool{1: true, 2: false} {
		assert.Equal(t, want, f.WantsEnd(signal(pid)), pid)
	}
	require.NoError(t, f.Flush())
	assert.Zero(t, f.metric(t, "otelcol_receiver_audit_kill_filtered"))
	assert.False(t, f.Wants(signal(2)))
	require.NoError(t, f.Flush())
	assert.EqualValues(t, 1, f.metric(t, "otelcol_receiver_audit_kill_filtered"))
}

func TestNothingWanted(t *testing.T) {
	t.Parallel()

	next := stub.Answering(nil)
	f := newFixture(t, next, func(s *Settings) {
		s.Wants = func(e *kill.Event) bool { return e.Targets[0].Command == "mysqld" }
	})
	unwanted := signal(1)
	unwanted.Targets[0].Command = "sleep"
	require.NoError(t, f.deliver([]*kill.Event{unwanted}))
	assert.Empty(t, next.Attempts(), "empty data is not delivered")
}

// TestDeliveryStatus reports a failure when it begins and when it ends.
func TestDeliveryStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, stub.Answering(errNotNow, errNotNow, nil, nil, errNever, errNotNow, nil), asItIs)
		for range 4 {
			require.NoError(t, f.deliver([]*kill.Event{signal(1)}))
		}
		assert.Equal(t, []componentstatus.Status{
			componentstatus.StatusRecoverableError, componentstatus.StatusOK,
			componentstatus.StatusRecoverableError, componentstatus.StatusOK,
		}, f.reported)
	})
}

// sequence returns n numbers counting up from first.
func sequence(first, n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = first + i
	}
	return numbers
}
