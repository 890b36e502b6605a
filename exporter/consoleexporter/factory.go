// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package consoleexporter

import (
	"context"
	"io"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/auditkill/auditkillreceiver/exporter/consoleexporter/internal/metadata"
)

// NewFactory returns the factory of the console exporter.
func NewFactory() exporter.Factory { return newFactory(os.Stdout) }

func newFactory(to io.Writer) exporter.Factory {
	out := newOutput(to)
	createLogs := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		config := cfg.(*Config)
		c := &console{out: out, attributes: config.Attributes}
		return exporterhelper.NewLogs(ctx, set, cfg, c.write, exporterhelper.WithQueue(config.QueueConfig))
	}
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithLogs(createLogs, metadata.LogsStability))
}
