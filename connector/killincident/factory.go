// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"github.com/auditkill/auditkillreceiver/connector/killincident/internal/metadata"
)

// NewFactory returns the factory of the kill_incident connector.
func NewFactory() connector.Factory {
	shared := &instances{byConfig: map[*Config]*instance{}}
	toLogs := func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
		return shared.join(cfg.(*Config), set, func(i *instance) *member {
			i.joiner.nextLogs = next
			return &member{instance: i, takes: func() bool { return true }}
		})
	}
	toMetrics := func(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Logs, error) {
		return shared.join(cfg.(*Config), set, func(i *instance) *member {
			i.joiner.nextMetrics = next
			// The member for logs gets the same records.
			return &member{instance: i, takes: func() bool { return i.joiner.nextLogs == nil }}
		})
	}
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithLogsToLogs(toLogs, metadata.LogsToLogsStability),
		connector.WithLogsToMetrics(toMetrics, metadata.LogsToMetricsStability),
	)
}
