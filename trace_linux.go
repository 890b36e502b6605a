// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package auditkillreceiver

import (
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/ebpfsource"
)

func (r *killReceiver) newTrace(config *EBPFConfig) source.Source {
	return ebpfsource.New(ebpfsource.Settings{
		RingBuffer:         config.RingBuffer,
		Signals:            r.wanted.Signals,
		Targets:            r.wanted.Targets,
		Senders:            r.wanted.Senders,
		IncludeFailed:      r.wanted.IncludeFailed,
		Processes:          r.processes,
		FollowFor:          r.followFor(),
		LostEnds:           r.lostEnds,
		CorrelationTimeout: r.config.Correlation.Timeout,
		MaxPending:         r.config.Correlation.MaxPending,
		Telemetry:          r.telemetry,
		Logger:             r.set.Logger,
		Report:             r.health.source,
	})
}
