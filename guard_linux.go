// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// guardInterval is how often the guard looks at the rules on its own: while
	// audit is off, nothing tells that they are removed.
	guardInterval = 10 * time.Second
	// guardQueue is how often rules may have been put back without the pipeline
	// taking the events: some five minutes of somebody who removes them all the time.
	guardQueue = 16
)

// guard keeps the audit rules loaded that make the kernel record signals, and
// reports that it had to put them back.
type guard struct {
	rules     *auditrules.Manager
	key       string
	logger    *zap.Logger
	sampled   *zap.Logger
	telemetry *metadata.TelemetryBuilder
	// suspicion holds a token once there is reason to look.
	suspicion <-chan struct{}
}

// newGuard loads the rules. What keeps it from that is told, and does not keep
// the receiver from reading what is recorded anyway.
func (r *killReceiver) newGuard() (*guard, error) {
	signals, err := parseSignals(r.config.Signals)
	if err != nil {
		return nil, err
	}
	g := &guard{
		rules: auditrules.New(auditrules.Settings{
			Signals: signals, Key: r.config.Rules.Key, Logger: r.set.Logger,
		}),
		key: r.config.Rules.Key, logger: r.set.Logger, sampled: logsampling.New(r.set.Logger),
		telemetry: r.telemetry, suspicion: r.suspicion,
	}
	g.tell(g.rules.Install())
	return g, nil
}

func (g *guard) tell(problems []auditrules.Problem) {
	for _, p := range problems {
		g.logger.Warn(p.What, zap.String("mend", p.Mend), zap.Strings("lines", p.Lines), zap.Error(p.Err))
	}
}

// run puts back what somebody removes, until ctx is done. It does not wait for
// the pipeline: a stuck one must not keep the monitor blind.
func (g *guard) run(ctx context.Context, deliver source.Deliver) {
	restored := make(chan []*kill.Event, guardQueue)
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for events := range restored {
			if deliver(events) != nil {
				return // the receiver is shutting down
			}
		}
	})
	g.guard().Run(ctx, func(events []*kill.Event) bool {
		select {
		case restored <- events:
		default:
			g.telemetry.ReceiverAuditKillQueueDropped.Add(ctx, int64(len(events)))
			g.sampled.Warn("dropped events of audit rules that were put back, as the pipeline does not take them",
				zap.Int("events", len(events)))
		}
		return true
	})
	close(restored)
	delivering.Wait()
}

func (g *guard) guard() *auditrules.Guard {
	return &auditrules.Guard{
		Manager: g.rules, Key: g.key, Interval: guardInterval, Suspicion: g.suspicion, Tell: g.tell, Logger: g.sampled,
	}
}

// restore returns an event for each thing that it has put back.
func (g *guard) restore() []*kill.Event { return g.guard().Restore() }

// close removes the rules that were added.
func (g *guard) close() error { return g.rules.Remove() }
