// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package series

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
)

var (
	kind = component.MustNewType("audit_kill")
	one  = component.NewID(kind)
	two  = component.NewIDWithName(kind, "two")
)

// read returns the only metric of a reader.
func read(t *testing.T, reader sdk.Reader) metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics, 1)
	require.Len(t, all.ScopeMetrics[0].Metrics, 1)
	return all.ScopeMetrics[0].Metrics[0].Data
}

// attributes are those of the series of a receiver.
func attributes(receiver string, more ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(append(more, attribute.String("receiver", receiver))...)
}

func TestCounter(t *testing.T) {
	t.Parallel()
	reader := sdk.NewManualReader()
	instrument, err := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("").Int64Counter("lines")
	require.NoError(t, err)
	cut := attribute.String("reason", "cut")
	ofOne, ofTwo, cutOfTwo := Of(one).Counter(instrument), Of(two).Counter(instrument), Of(two).Counter(instrument, cut)
	for range 2 {
		ofOne.Add(t.Context(), 1)
		ofTwo.Add(t.Context(), 10)
		cutOfTwo.Add(t.Context(), 100)
	}
	metricdatatest.AssertAggregationsEqual(t, metricdata.Sum[int64]{
		Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
		DataPoints: []metricdata.DataPoint[int64]{
			{Attributes: attributes("audit_kill"), Value: 2},
			{Attributes: attributes("audit_kill/two"), Value: 20},
			{Attributes: attributes("audit_kill/two", cut), Value: 200},
		},
	}, read(t, reader), metricdatatest.IgnoreTimestamp())
}

func TestCallback(t *testing.T) {
	t.Parallel()
	reader := sdk.NewManualReader()
	_, err := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("").Int64ObservableGauge("waiting",
		metric.WithInt64Callback(Of(one).Callback(func() int64 { return 1 })),
		metric.WithInt64Callback(Of(two).Callback(func() int64 { return 10 })))
	require.NoError(t, err)
	metricdatatest.AssertAggregationsEqual(t, metricdata.Gauge[int64]{
		DataPoints: []metricdata.DataPoint[int64]{
			{Attributes: attributes("audit_kill"), Value: 1},
			{Attributes: attributes("audit_kill/two"), Value: 10},
		},
	}, read(t, reader), metricdatatest.IgnoreTimestamp())
}

// Some counters count single events of a storm.
func TestCounterDoesNotAllocate(t *testing.T) { // not in parallel: others would allocate meanwhile
	reader := sdk.NewManualReader()
	instrument, err := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("").Int64Counter("events")
	require.NoError(t, err)
	ctx := context.Background()
	counter := Of(two).Counter(instrument, attribute.String("event.name", "kill.signal"))
	assert.Zero(t, testing.AllocsPerRun(100, func() { counter.Add(ctx, 1) }))
}
