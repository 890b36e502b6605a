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
	"github.com/auditkill/auditkillreceiver/internal/series"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// metrics reports the counts of a capture as the collector's metrics. Counters are updated
// whenever metrics are collected, and once more at the end, so that losses at shutdown are
// counted, too.
type metrics struct {
	// owner is the receiver to which the capture belongs.
	owner    series.Owner
	mutex    sync.Mutex
	counters []*counter
}

// counter adds the growth of a count to a counter of OpenTelemetry.
type counter struct {
	to    series.Counter
	value func() int64
	added int64
}

func newMetrics(c *capture.Capture, t *metadata.TelemetryBuilder, owner series.Owner) (*metrics, error) {
	m := &metrics{owner: owner}
	counts := c.Counts()
	m.count(t.ReceiverAuditKillRecordsRead, counts.Records.Load)
	m.count(t.ReceiverAuditKillRejected, counts.Malformed.Load, attribute.String("reason", "malformed"))
	m.count(t.ReceiverAuditKillRejected, counts.TooLong.Load, attribute.String("reason", "too_long"))
	m.count(t.ReceiverAuditKillIncomplete, counts.Incomplete.Load)
	m.count(t.ReceiverAuditKillEvicted, counts.Evicted.Load)
	m.count(t.ReceiverAuditKillFileBytesRead, counts.Bytes.Load)
	m.count(t.ReceiverAuditKillRingDropped, counts.RequestsLost.Load, attribute.String("record", "request"))
	m.count(t.ReceiverAuditKillJoined, counts.Joined.Load)
	m.count(t.ReceiverAuditKillCheckpointErrors, counts.CheckpointErrors.Load)
	m.count(t.ReceiverAuditKillAttributionMissed, c.AttributionMissed)
	m.count(t.ReceiverAuditKillPanics, c.Panics)
	m.countLosses(counts, t)
	pending := owner.Callback(counts.Pending.Load)
	return m, errors.Join(
		t.RegisterReceiverAuditKillPendingCallback(func(ctx context.Context, observer metric.Int64Observer) error {
			m.update(ctx) // callbacks run before counters are read (OpenTelemetry's sdk/metric, pipeline.produce)
			return pending(ctx, observer)
		}),
		t.RegisterReceiverAuditKillFileBytesBehindCallback(owner.Callback(counts.BytesBehind.Load)),
		t.RegisterReceiverAuditKillOutcomeWatchesCallback(owner.Callback(c.Watched)),
		t.RegisterReceiverAuditKillOutcomeDroppedCallback(owner.Callback(c.Unwatched)),
		t.RegisterReceiverAuditKillProcessesCallback(owner.Callback(func() int64 { return int64(c.Processes().Size) })),
		t.RegisterReceiverAuditKillProcessesEvictedCallback(owner.Callback(func() int64 { return int64(c.Processes().Evicted) })),
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
	lost(source.KernelLogMessages, t.ReceiverAuditKillKernelLogLost)
	lost(source.RotatedFiles, t.ReceiverAuditKillFileLost)
}

func (m *metrics) count(to metric.Int64Counter, value func() int64, attributes ...attribute.KeyValue) {
	m.counters = append(m.counters, &counter{to: m.owner.Counter(to, attributes...), value: value})
}

// update adds to the counters what was counted since the last update.
func (m *metrics) update(ctx context.Context) {
	if m == nil {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, c := range m.counters {
		if value := c.value(); value > c.added {
			c.to.Add(ctx, value-c.added)
			c.added = value
		}
	}
}
