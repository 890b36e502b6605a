// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadatatest"
)

var (
	errNotNow = errors.New("not now")
	errNever  = consumererror.NewPermanent(errors.New("never"))
)

// deliveryFixture is a delivery without a source; its time is that of the
// bubble that synctest makes.
type deliveryFixture struct {
	*fixture
	*delivery
	reported        []componentstatus.Status
	stop, interrupt context.CancelFunc
}

func newDeliveryFixture(t *testing.T, next consumer.Logs, change func(*Config)) *deliveryFixture {
	t.Helper()
	f := &deliveryFixture{fixture: newFixture(t, "")}
	f.config.RetryOnFailure = configretry.BackOffConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: 4 * time.Second, Multiplier: 2,
	}
	change(f.config)
	f.next = next
	r := f.new(t)
	r.health = &health{report: func(event *componentstatus.Event) {
		f.reported = append(f.reported, event.Status())
	}}
	var stopping, delivering context.Context
	stopping, f.stop = context.WithCancel(t.Context())
	delivering, f.interrupt = context.WithCancel(t.Context())
	f.delivery = r.newDelivery(stopping, delivering)
	return f
}

func asItIs(*Config) {}

// signal is one call that struck targets with the given pids.
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

// shownTargets returns the pids of the targets in each attempt.
func shownTargets(s *stub) [][]int {
	var all [][]int
	for _, logs := range s.attempts() {
		all = append(all, targetsOf(recordsOf(logs)))
	}
	return all
}

func TestRetry(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		change  func(*Config)
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
		"told by another component": {
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
		"permanent in the end": {
			answers: []error{errNotNow, errNotNow, errNever, nil},
			pauses:  []time.Duration{time.Second, 2 * time.Second},
			dropped: true,
		},
		"disabled": {
			change:  func(c *Config) { c.RetryOnFailure.Enabled = false },
			answers: []error{errNotNow, nil},
			dropped: true,
		},
		"max_elapsed_time": {
			change:  func(c *Config) { c.RetryOnFailure.MaxElapsedTime = 10 * time.Second },
			answers: []error{errNotNow},
			pauses:  []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
			dropped: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := answering(test.answers...)
				change := test.change
				if change == nil {
					change = asItIs
				}
				f := newDeliveryFixture(t, next, change)
				require.NoError(t, f.deliver([]*kill.Event{signal(1, 2)}))

				assert.Equal(t, test.pauses, next.pauses())
				assert.Equal(t, slices.Repeat([][]int{{1, 2}}, len(test.pauses)+1), shownTargets(next))
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

// TestMutatingConsumer changes what it is given before it refuses it, as a
// processor does.
func TestMutatingConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := answering(errNotNow, errNotNow, nil)
		next.mutates = true
		answer := next.answer
		next.answer = func(ctx context.Context, attempt int, logs plog.Logs) error {
			for _, record := range recordsOf(logs) {
				record.Attributes().PutStr("processed", "yes")
			}
			logs.ResourceLogs().At(0).Resource().Attributes().Clear()
			return answer(ctx, attempt, logs)
		}
		f := newDeliveryFixture(t, next, asItIs)
		require.NoError(t, f.deliver([]*kill.Event{signal(1, 2)}))
		attempts := next.attempts()
		require.Len(t, attempts, 3)
		for _, attempt := range attempts[1:] {
			assert.NoError(t, plogtest.CompareLogs(attempts[0], attempt))
		}
	})
}

// TestStopping is shut down at every moment.
func TestStopping(t *testing.T) {
	t.Parallel()

	tests := map[string]struct {
		answer func(ctx context.Context) error
		// before and after the consumer was called for the first time.
		before, after func(f *deliveryFixture)
		attempts      int
		stopped       bool
		dropped       int64
	}{
		"the last data is taken": {
			answer:   func(context.Context) error { return nil },
			before:   func(f *deliveryFixture) { f.stop() },
			attempts: 1,
		},
		"the last data is refused": {
			answer:   func(context.Context) error { return errNotNow },
			before:   func(f *deliveryFixture) { f.stop() },
			attempts: 1, stopped: true,
		},
		"the last data is refused for good": {
			answer:   func(context.Context) error { return errNever },
			before:   func(f *deliveryFixture) { f.stop() },
			attempts: 1, dropped: 2,
		},
		"between two attempts": {
			answer:   func(context.Context) error { return errNotNow },
			after:    func(f *deliveryFixture) { f.stop() },
			attempts: 1, stopped: true,
		},
		"the consumer takes it when it is interrupted": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			},
			after:    func(f *deliveryFixture) { f.stop(); f.interrupt() },
			attempts: 1,
		},
		"the consumer refuses it when it is interrupted": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			},
			after:    func(f *deliveryFixture) { f.stop(); f.interrupt() },
			attempts: 1, stopped: true,
		},
		"the consumer takes the interruption for a permanent error": {
			answer: func(ctx context.Context) error {
				<-ctx.Done()
				return consumererror.NewPermanent(ctx.Err())
			},
			after:    func(f *deliveryFixture) { f.stop(); f.interrupt() },
			attempts: 1, stopped: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := &stub{answer: func(ctx context.Context, _ int, _ plog.Logs) error { return test.answer(ctx) }}
				f := newDeliveryFixture(t, next, asItIs)
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
				assert.Len(t, next.attempts(), test.attempts)
				assert.Equal(t, test.dropped, f.metric(t, "otelcol_receiver_audit_kill_dropped"))
			})
		})
	}
}

// TestDroppedIsLoggedOccasionally has a consumer that refuses everything for
// good. The metric counts all of it, the log tells it once a minute.
func TestDroppedIsLoggedOccasionally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newDeliveryFixture(t, answering(errNever), asItIs)
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
		next := answering(errNotNow)
		f := newDeliveryFixture(t, next, asItIs)
		go func() { _ = f.deliver([]*kill.Event{signal(1)}) }()
		time.Sleep(3 * time.Minute)
		f.stop()
		synctest.Wait()
		assert.Greater(t, len(next.attempts()), 40)
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

// TestManyTargets has more targets than are handed on at once.
func TestManyTargets(t *testing.T) {
	t.Parallel()

	next := answering(nil)
	f := newDeliveryFixture(t, next, asItIs)
	require.NoError(t, f.deliver([]*kill.Event{signal(1), signal(sequence(2, 1200)...), signal(1202)}))
	assert.Equal(t, [][]int{sequence(1, 512), sequence(513, 512), sequence(1025, 178)}, shownTargets(next))
}

// TestManyTargetsRefused stops after the first part of them was taken.
func TestManyTargetsRefused(t *testing.T) {
	t.Parallel()

	next := answering(nil, errNotNow)
	f := newDeliveryFixture(t, next, asItIs)
	f.stop()
	require.ErrorIs(t, f.deliver([]*kill.Event{signal(sequence(1, 1200)...)}), errStopping)
	assert.Equal(t, [][]int{sequence(1, 512), sequence(513, 512)}, shownTargets(next))
}

func TestEventMetrics(t *testing.T) {
	t.Parallel()

	abend := signal(7)
	abend.Kind, abend.Signal = kill.KindAbend, kill.SIGSEGV
	unwanted := signal(8)
	unwanted.Signal = 0
	nobody := signal()
	tamper := kill.RestoredRule(time.UnixMilli(1700000000000), "-a never", "audit_kill")
	f := newDeliveryFixture(t, answering(nil), asItIs)
	require.NoError(t, f.deliver([]*kill.Event{signal(1, 2, 3), abend, unwanted, nobody, tamper}))

	named := func(name string) attribute.Set { return attribute.NewSet(attribute.String("event.name", name)) }
	metadatatest.AssertEqualReceiverAuditKillEvents(t, f.fixture.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: named("kill.signal"), Value: 2},
		{Attributes: named("kill.abend"), Value: 1},
		{Attributes: named("kill.tamper"), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualReceiverAuditKillFiltered(t, f.fixture.telemetry, []metricdata.DataPoint[int64]{
		{Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	assert.EqualValues(t, 6, f.metric(t, "otelcol_receiver_accepted_log_records"))
	assert.Zero(t, f.metric(t, "otelcol_receiver_refused_log_records"))
	require.Len(t, f.fixture.telemetry.SpanRecorder.Ended(), 1)
}

// TestDeliverInTurn has two goroutines that deliver. There is no bubble: in one,
// no time passes while somebody waits for a mutex.
func TestDeliverInTurn(t *testing.T) {
	t.Parallel()
	var inside atomic.Int32
	next := &stub{answer: func(context.Context, int, plog.Logs) error {
		assert.EqualValues(t, 1, inside.Add(1), "one at a time")
		runtime.Gosched()
		inside.Add(-1)
		return nil
	}}
	f := newDeliveryFixture(t, next, asItIs)
	const times = 500
	var both sync.WaitGroup
	for _, pid := range []int{1, 2} {
		both.Go(func() {
			for range times {
				assert.NoError(t, f.deliver([]*kill.Event{signal(pid)}))
			}
		})
	}
	both.Wait()
	counts := make(map[string]int)
	for _, targets := range shownTargets(next) {
		counts[fmt.Sprint(targets)]++
	}
	assert.Equal(t, map[string]int{"[1]": times, "[2]": times}, counts)
}

func TestNothingWanted(t *testing.T) {
	t.Parallel()

	next := answering(nil)
	f := newDeliveryFixture(t, next, func(c *Config) { c.Targets = []NameGlob{"mysqld"} })
	unwanted := signal(1)
	unwanted.Targets[0].Command = "sleep"
	require.NoError(t, f.deliver([]*kill.Event{unwanted}))
	assert.Empty(t, next.attempts(), "no empty data is handed on")
}

// TestDeliveryStatus reports trouble when it begins and when it ends.
func TestDeliveryStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newDeliveryFixture(t, answering(errNotNow, errNotNow, nil, nil, errNever, errNotNow, nil), asItIs)
		for range 4 {
			require.NoError(t, f.deliver([]*kill.Event{signal(1)}))
		}
		assert.Equal(t, []componentstatus.Status{
			componentstatus.StatusRecoverableError, componentstatus.StatusOK,
			componentstatus.StatusRecoverableError, componentstatus.StatusOK,
		}, f.reported)
	})
}
