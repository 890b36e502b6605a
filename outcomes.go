// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// exits sees the ends of processes where the source does not tell of them.
type exits interface {
	outcome.Exits
	Start() error
	Run(ctx context.Context, deliver source.Deliver)
	Close() error
}

// followFor returns for how long the end of a process is of interest; 0 if it is not.
func (r *killReceiver) followFor() time.Duration {
	if !r.config.Outcome.Enabled {
		return 0
	}
	return r.config.Outcome.Timeout
}

// lostEnds is told by the source that ends of processes were lost.
func (r *killReceiver) lostEnds() {
	select {
	case r.doubts <- struct{}{}:
	default: // it will be looked
	}
}

// openOutcomes makes ready to follow processes, if the source is a live one and it is
// wanted.
func (r *killReceiver) openOutcomes() error {
	if !r.source.live || !r.config.Outcome.Enabled {
		if r.nextTraces != nil {
			r.set.Logger.Warn("no traces will come: they take a live source (ebpf, netlink) and outcome::enabled")
		}
		return nil
	}
	config := outcome.Config{
		Timeout: r.config.Outcome.Timeout, HostID: r.machine.ID, BootID: r.machine.Boot,
		Conceal: redact.Policy(r.config.CommandLine).Apply, SinceBoot: process.SinceBoot, Logger: logsampling.New(r.set.Logger),
	}
	if teller, ok := r.source.Source.(outcome.Teller); ok {
		config.Exits, config.Punctual = outcome.Told{Source: teller, Processes: r.processes}, true
	} else {
		if err := r.exits.Start(); err != nil {
			// Signals are worth telling without it.
			r.set.Logger.Warn("what becomes of processes will not be told", zap.Error(err))
			return r.exits.Close()
		}
		config.Exits, r.watching = r.exits, true
	}
	r.outcomes = outcome.NewTable(config)
	return r.registerOutcomeMetrics()
}

func (r *killReceiver) registerOutcomeMetrics() error {
	table := r.outcomes
	err := r.telemetry.RegisterReceiverAuditKillOutcomeWatchesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(table.Watched())
		return nil
	})
	if err != nil {
		return err
	}
	return r.telemetry.RegisterReceiverAuditKillOutcomeDroppedCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(table.Dropped())
		return nil
	})
}

// runOutcomes follows processes until ctx is done.
func (r *killReceiver) runOutcomes(ctx context.Context, d *delivery, producing *sync.WaitGroup) {
	if r.outcomes == nil {
		return
	}
	d.follow = newFollow(r.outcomes, r.storage, r.doubts, d.logger)
	if r.config.StorageID == nil {
		d.follow.storage = nil // the one that there is forgets
	}
	d.follow.restore(ctx)
	if r.watching {
		r.runExits(ctx, d, producing)
	}
	producing.Go(func() { d.followAll(ctx) })
}

// runExits sees the ends of processes until ctx is done. It does not wait for the
// pipeline: a process ended when it ended.
func (r *killReceiver) runExits(ctx context.Context, d *delivery, producing *sync.WaitGroup) {
	ends := queue.New()
	seen := make(chan struct{})
	producing.Go(func() {
		defer close(seen)
		r.exits.Run(ctx, func(events []*kill.Event) error {
			ends.Add(events)
			return nil
		})
	})
	producing.Go(func() {
		for {
			select {
			case <-ends.Ready():
				if !ends.Deliver(d.deliver) {
					return
				}
			case <-seen:
				ends.Deliver(d.deliver)
				return
			}
		}
	})
}

func (r *killReceiver) closeOutcomes() error {
	if !r.watching {
		return nil
	}
	r.watching = false
	return r.exits.Close()
}
