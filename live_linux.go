// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"

	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/auditnetlink"
)

func (r *killReceiver) newNetlink(config *NetlinkConfig) source.Source {
	return auditnetlink.New(auditnetlink.Settings{
		Mode:          auditnetlink.Mode(config.Mode),
		ReceiveBuffer: config.ReceiveBuffer,
		Correlation:   r.correlation(),
		Telemetry:     r.telemetry,
		Logger:        r.set.Logger,
		Tampered:      r.suspect,
		Report:        r.health.source,
	})
}

func (*killReceiver) newTrace(*EBPFConfig) source.Source { return untraced{} }

// untraced stands in for the source that is being written.
type untraced struct{}

func (untraced) Start(context.Context) error { return errors.New("ebpf: not in this build") }

func (untraced) Run(context.Context, source.Deliver) {}

func (untraced) Close() error { return nil }

// checkPlatform refuses what does not exist on this operating system.
func checkPlatform(*Config) error { return nil }
