// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package live

import (
	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/source/ebpfsource"
)

// ebpf sees signals where the kernel generates them.
func (w *Watch) ebpf() candidate {
	return candidate{name: EBPF, check: lackingEBPF, tellsProcesses: true, Source: ebpfsource.New(ebpfsource.Settings{
		RingBuffer: ringBuffer, Signals: w.config.signals(),
		Targets: w.config.Asked.Targets, Senders: w.config.Asked.Senders, IncludeFailed: true,
		Processes: w.processes, FollowFor: w.config.OutcomeTimeout, LostEnds: w.lostEnds,
		CorrelationTimeout: correlate.DefaultTimeout, MaxPending: correlate.DefaultMaxPending,
		Telemetry: w.telemetry, Logger: w.logger, Report: ignore,
	})}
}

func lackingEBPF() error {
	// CAP_SYS_ADMIN contains both (capabilities(7)).
	if has, err := privilege.Has(capability.CAP_SYS_ADMIN); err != nil || has {
		return nil
	}
	return lacking(capability.CAP_BPF, capability.CAP_PERFMON)
}
