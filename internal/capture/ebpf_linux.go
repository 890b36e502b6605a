// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package capture

import (
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/ebpfsource"
)

func (t EBPF) source(c *Capture, _ *Candidate) source.Source {
	s := &c.settings
	return ebpfsource.New(ebpfsource.Settings{
		RingBuffer: t.RingBuffer, Signals: s.Signals, Targets: s.Targets, Senders: s.Senders, IncludeFailed: s.IncludeFailed,
		Sockets:   s.Attribution.sockets(),
		Processes: c.processes, FollowFor: s.OutcomeTimeout, LostEnds: c.noteLostEnds,
		CorrelationTimeout: s.Correlation.Timeout, MaxPending: s.Correlation.MaxPending,
		Ending: s.Ending, Unexplained: s.tellsUnsent(), AllEnds: s.tellsExits(),
		Panics: c.panics, Counts: &c.counts, Logger: s.Logger, Health: s.Health,
	})
}
