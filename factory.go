// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// errNoMetrics says in one sentence what else there is.
var errNoMetrics = fmt.Errorf("%w: audit_kill emits logs and traces; to count signals, use the connector count as the exporter of "+
	"its logs pipeline, and as the receiver of the metrics pipeline", pipeline.ErrSignalNotSupported)

// NewFactory returns the factory of the audit_kill receiver.
func NewFactory() receiver.Factory { return newFactory(newKillReceiver) }

func newFactory(create func(*Config, receiver.Settings) (*killReceiver, error)) receiver.Factory {
	shared := &instances{create: create, byConfig: map[*Config]*instance{}}
	createLogs := func(
		_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
	) (receiver.Logs, error) {
		return shared.join(cfg.(*Config), set, pipeline.SignalLogs, func(r *killReceiver) { r.nextLogs = next })
	}
	createTraces := func(
		_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces,
	) (receiver.Traces, error) {
		return shared.join(cfg.(*Config), set, pipeline.SignalTraces, func(r *killReceiver) { r.nextTraces = next })
	}
	refuseMetrics := func(context.Context, receiver.Settings, component.Config, consumer.Metrics) (receiver.Metrics, error) {
		return nil, errNoMetrics
	}
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
		receiver.WithTraces(createTraces, metadata.TracesStability),
		receiver.WithMetrics(refuseMetrics, component.StabilityLevelUndefined),
	)
}
