// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/incident"
)

// telemetry is what the connector says about itself. Each connector of a collector has its own series.
type telemetry struct {
	builder                            *metadata.TelemetryBuilder
	own                                metric.MeasurementOption
	dropped, storageErrors, overflowed counter
	foreign, explaining                counter
	results                            map[incident.Result]counter
}

// counter is one series of a counter.
type counter struct {
	counter metric.Int64Counter
	options []metric.AddOption
}

// Add adds n.
func (c counter) Add(ctx context.Context, n int64) { c.counter.Add(ctx, n, c.options...) }

func newTelemetry(b *metadata.TelemetryBuilder, id component.ID) *telemetry {
	name := attribute.String("connector", id.String())
	series := func(c metric.Int64Counter, more ...attribute.KeyValue) counter {
		return counter{c, []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(more, name)...))}}
	}
	result := func(value string) counter {
		return series(b.ConnectorKillIncidentRecords, attribute.String("result", value))
	}
	return &telemetry{
		builder: b, own: metric.WithAttributeSet(attribute.NewSet(name)),
		dropped: series(b.ConnectorKillIncidentDropped), storageErrors: series(b.ConnectorKillIncidentStorageErrors),
		overflowed: series(b.ConnectorKillIncidentOverflowed), foreign: result("foreign"), explaining: result("explaining"),
		results: map[incident.Result]counter{
			incident.Joined: result("joined"), incident.Repeated: result("repeated"), incident.Ignored: result("ignored"),
			incident.Uncounted: result("uncounted"),
		},
	}
}

// observe has the sizes of the table observed.
func (t *telemetry) observe(j *joiner) error {
	observed := func(value func(incident.Counts) int64) metric.Int64Callback {
		return func(_ context.Context, observer metric.Int64Observer) error {
			observer.Observe(value(*j.observed.Load()), t.own)
			return nil
		}
	}
	for _, register := range []func() error{
		func() error {
			return t.builder.RegisterConnectorKillIncidentOpenCallback(observed(func(c incident.Counts) int64 { return int64(c.Open) }))
		},
		func() error {
			return t.builder.RegisterConnectorKillIncidentMembersCallback(observed(func(c incident.Counts) int64 { return int64(c.Members) }))
		},
		func() error {
			return t.builder.RegisterConnectorKillIncidentEvictedCallback(observed(func(c incident.Counts) int64 { return c.Evicted }))
		},
		func() error {
			return t.builder.RegisterConnectorKillIncidentPanicsCallback(observed(func(incident.Counts) int64 { return j.guard.Count() }))
		},
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

func (t *telemetry) shutdown() { t.builder.Shutdown() }
