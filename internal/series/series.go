// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package series gives each receiver of a collector its own series of each metric. Without
// that, two receivers would add to the same counters, and a gauge would be that of whichever
// was asked last.
package series

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// label is what the collector calls it in otelcol_receiver_accepted_log_records and its like
// (receiverhelper/internal/obsmetrics.go, ReceiverKey).
const label = "receiver"

// Owner is the receiver to which series belong.
type Owner struct{ id attribute.KeyValue }

// Of returns the owner of a receiver's series.
func Of(receiver component.ID) Owner {
	return Owner{attribute.String(label, receiver.String())}
}

// attributes are made once for each series: sorting them for each measurement would allocate.
func (o Owner) attributes(more []attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append([]attribute.KeyValue{o.id}, more...)...))
}

// Counter is one series of a counter.
type Counter struct {
	counter metric.Int64Counter
	options []metric.AddOption
}

// Counter returns the owner's series of a counter, or the one of several that has more
// attributes.
func (o Owner) Counter(counter metric.Int64Counter, more ...attribute.KeyValue) Counter {
	return Counter{counter: counter, options: []metric.AddOption{o.attributes(more)}}
}

// Add adds n.
func (c Counter) Add(ctx context.Context, n int64) { c.counter.Add(ctx, n, c.options...) }

// Callback returns a callback that observes one number as the owner's series.
func (o Owner) Callback(value func() int64) metric.Int64Callback {
	attributes := o.attributes(nil)
	return func(_ context.Context, observer metric.Int64Observer) error {
		observer.Observe(value(), attributes)
		return nil
	}
}
