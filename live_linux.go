// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/exitwatch"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

func (r *killReceiver) newNetlink(config *NetlinkConfig) source.Source {
	return netlinksource.New(netlinksource.Settings{
		Mode:          netlinksource.Mode(config.Mode),
		ReceiveBuffer: config.ReceiveBuffer,
		Correlation:   r.correlation(),
		Telemetry:     r.telemetry,
		Logger:        r.set.Logger,
		Tampered:      r.suspect,
		Report:        r.health.source,
	})
}

// newExits returns what sees the ends of processes where the source does not.
func newExits(config *Config, logger *zap.Logger) exits {
	return exitwatch.New(exitwatch.Config{Root: config.RootPath, Logger: logger})
}

// checkPlatform refuses what does not exist on this operating system.
func checkPlatform(*Config) error { return nil }
