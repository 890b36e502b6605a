// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// metrics are what a capture counts, as the collector reports it. Counters are brought up to
// date whenever metrics are collected, and once more at the end: what is lost at shutdown is
// counted as well, when nobody can be asked any more.
type metrics struct {
	mutex    sync.Mutex
	counters []*counter
}

// counter moves a number that only grows into a counter of OpenTelemetry.
type counter struct {
	to      metric.Int64Counter
	options []metric.AddOption
	value   func() int64
	moved   int64
}

func newMetrics(c *capture.Capture, t *metadata.TelemetryBuilder) (*metrics, error) {
	m := &metrics{}
	counts := c.Counts()
	m.count(t.ReceiverAuditKillRecordsRead, counts.Records.Load)
	m.count(t.ReceiverAuditKillRejected, counts.Malformed.Load, attribute.String("reason", "malformed"))
	m.count(t.ReceiverAuditKillRejected, counts.TooLong.Load, attribute.String("reason", "too_long"))
	m.count(t.ReceiverAuditKillIncomplete, counts.Incomplete.Load)
	m.count(t.ReceiverAuditKillEvicted, counts.Evicted.Load)
	m.count(t.ReceiverAuditKillFileBytesRead, counts.Bytes.Load)
	m.count(t.ReceiverAuditKillCheckpointErrors, counts.CheckpointErrors.Load)
	m.count(t.ReceiverAuditKillPanics, c.Panics)
	m.countLosses(counts, t)
	return m, errors.Join(
		t.RegisterReceiverAuditKillPendingCallback(func(ctx context.Context, observer metric.Int64Observer) error {
			m.update(ctx) // callbacks come before counters are read (OpenTelemetry's sdk/metric, pipeline.produce)
			observer.Observe(counts.Pending.Load())
			return nil
		}),
		t.RegisterReceiverAuditKillFileBytesBehindCallback(observe(counts.BytesBehind.Load)),
		t.RegisterReceiverAuditKillOutcomeWatchesCallback(observe(c.Watched)),
		t.RegisterReceiverAuditKillOutcomeDroppedCallback(observe(c.Unwatched)),
		t.RegisterReceiverAuditKillProcessesCallback(observe(func() int64 { return int64(c.Processes().Size) })),
		t.RegisterReceiverAuditKillProcessesEvictedCallback(observe(func() int64 { return int64(c.Processes().Evicted) })),
	)
}

func (m *metrics) countLosses(counts *source.Counts, t *metadata.TelemetryBuilder) {
	lost := func(loss source.Loss, to metric.Int64Counter, attributes ...attribute.KeyValue) {
		m.count(to, func() int64 { return counts.Lost(loss) }, attributes...)
	}
	lost(source.RingSignals, t.ReceiverAuditKillRingDropped, attribute.String("record", "signal"))
	lost(source.RingProcesses, t.ReceiverAuditKillRingDropped, attribute.String("record", "process"))
	lost(source.ProgramsSkipped, t.ReceiverAuditKillMissed)
	lost(source.KernelRecords, t.ReceiverAuditKillKernelLost)
	lost(source.ReceiveOverruns, t.ReceiverAuditKillReceiveOverruns)
	lost(source.SequenceGaps, t.ReceiverAuditKillSequenceGaps)
	lost(source.QueueFull, t.ReceiverAuditKillQueueDropped)
	lost(source.RotatedFiles, t.ReceiverAuditKillFileLost)
}

func (m *metrics) count(to metric.Int64Counter, value func() int64, attributes ...attribute.KeyValue) {
	m.counters = append(m.counters, &counter{to: to, value: value, options: []metric.AddOption{metric.WithAttributes(attributes...)}})
}

// update moves into the counters what has been counted since the last time.
func (m *metrics) update(ctx context.Context) {
	if m == nil {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, c := range m.counters {
		if value := c.value(); value > c.moved {
			c.to.Add(ctx, value-c.moved, c.options...)
			c.moved = value
		}
	}
}

// observe returns a callback that reads one number.
func observe(value func() int64) metric.Int64Callback {
	return func(_ context.Context, observer metric.Int64Observer) error {
		observer.Observe(value())
		return nil
	}
}
