// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/attribute"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// TestMetricsOfTwoReceivers has two receivers in one collector, and everything that is counted
// happens to both: ten times as often to the second. Each metric has a series for each of them,
// and no other.
func TestMetricsOfTwoReceivers(t *testing.T) {
	t.Parallel()
	one := newFixture(t, "")
	two := one.beside(t, "two")
	const oneID, twoID = "audit_kill", "audit_kill/two"
	defer one.runEverything(t, 1)()
	stopTwo := two.runEverything(t, 10)
	one.awaitRefused(t, 1+10)
	for name := range declaredMetrics(t) {
		t.Run(name, func(t *testing.T) {
			of := one.byReceiver(t, name)
			require.Len(t, of, 2, "receivers; if this metric is new, make runEverything count it")
			if name == "otelcol_receiver_audit_kill_processes" {
				return // it is as large for both
			}
			tenfold := values{}
			for others, value := range of[oneID] {
				tenfold[others] = 10 * value
			}
			assert.Equal(t, tenfold, of[twoID])
		})
	}
	assert.EqualValues(t, 1, one.missing(t))
	assert.EqualValues(t, 10, two.missing(t))

	stopTwo()
	for name, async := range declaredMetrics(t) {
		if async {
			of := one.byReceiver(t, name)
			assert.Contains(t, of, oneID, name)
			assert.NotContains(t, of, twoID, "%s: a receiver that has ended is not asked any more", name)
		}
	}
	defer two.runEverything(t, 3)()
	one.awaitRefused(t, 1+10+3)
	assert.Equal(t, map[string]values{oneID: {"": 1}, twoID: {"": 3}}, one.byReceiver(t, "otelcol_receiver_audit_kill_pending"))
	assert.Equal(t, map[string]values{oneID: {"": 1}, twoID: {"": 10 + 3}}, one.byReceiver(t, "otelcol_receiver_audit_kill_panics"))
}

// beside returns the fixture of another receiver in the same collector.
func (f *fixture) beside(t *testing.T, name string) *fixture {
	t.Helper()
	other := newFixture(t, "")
	other.set.ID = component.NewIDWithName(f.set.ID.Type(), name)
	other.telemetry, other.set.MeterProvider = f.telemetry, f.set.MeterProvider
	return other
}

// runEverything starts a receiver to which everything that is counted happens n times.
func (f *fixture) runEverything(t *testing.T, n int) (stop func()) {
	t.Helper()
	refuse := consumertest.NewErr(consumererror.NewPermanent(errors.New("never")))
	f.next, f.nextTraces = refuse, refuse
	live := newLiveSource()
	r := f.new(t)
	live.open(r)
	require.NoError(t, r.Start(t.Context(), f.host))
	counts := r.capture.Counts()
	for fields, i := reflect.ValueOf(counts).Elem(), 0; i < fields.NumField(); i++ {
		if !fields.Type().Field(i).IsExported() {
			continue
		}
		if count, ok := fields.Field(i).Addr().Interface().(*atomic.Int64); ok {
			count.Add(int64(n))
		}
	}
	for _, loss := range source.AllLosses() {
		counts.Lose(loss, int64(n))
	}
	for i := range n {
		pid := 1<<22 + 1 + i // no process has this pid
		live.sends(signalTo(kill.SIGTERM, "mysqld", pid), ended(pid, 15, "mysqld"))
		live.sends(signalTo(0, "mysqld", pid)) // nobody wants it
		live.seen <- []source.Observation{{}}  // neither an event nor an end: it panics
	}
	return func() { require.NoError(t, r.Shutdown(context.Background())) }
}

// awaitRefused waits until everything has happened n times: then the consumers have refused
// two log records and a span for each.
func (f *fixture) awaitRefused(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		return f.metric(t, "otelcol_receiver_audit_kill_dropped") == 2*n &&
			f.metric(t, "otelcol_receiver_audit_kill_spans_dropped") == n &&
			f.metric(t, "otelcol_receiver_audit_kill_panics") == n
	}, soon, often)
}

// missing returns how many audit events the receiver logs as missing.
func (f *fixture) missing(t *testing.T) any {
	t.Helper()
	warnings := f.logged.FilterMessageSnippet("audit events are missing").All()
	require.Len(t, warnings, 1)
	return warnings[0].ContextMap()["events"]
}

// declaredMetrics returns the metrics in metadata.yaml, and whether each is asked for its value
// when metrics are collected.
func declaredMetrics(t *testing.T) map[string]bool {
	t.Helper()
	type kind struct {
		Async bool `mapstructure:"async"`
	}
	var declared struct {
		Telemetry struct {
			Metrics map[string]struct {
				Sum   kind `mapstructure:"sum"`
				Gauge kind `mapstructure:"gauge"`
			} `mapstructure:"metrics"`
		} `mapstructure:"telemetry"`
	}
	file, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	require.NoError(t, file.Unmarshal(&declared, confmap.WithIgnoreUnused()))
	metrics := map[string]bool{}
	for name, metric := range declared.Telemetry.Metrics {
		metrics["otelcol_"+name] = metric.Sum.Async || metric.Gauge.Async
	}
	require.NotEmpty(t, metrics)
	return metrics
}

// values are those of a metric by its attributes other than the receiver.
type values map[string]int64

// byReceiver returns the values of a metric of each receiver.
func (f *fixture) byReceiver(t *testing.T, name string) map[string]values {
	t.Helper()
	all := map[string]values{}
	for _, point := range f.points(t, name) {
		receiver, ok := point.Attributes.Value("receiver")
		require.True(t, ok, "a series without a receiver")
		others, _ := point.Attributes.Filter(func(a attribute.KeyValue) bool { return a.Key != "receiver" })
		if all[receiver.AsString()] == nil {
			all[receiver.AsString()] = values{}
		}
		all[receiver.AsString()][others.Encoded(attribute.DefaultEncoder())] = point.Value
	}
	return all
}
