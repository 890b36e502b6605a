// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/occasional"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// guardInterval is how often the guard looks at the rules on its own: while
	// audit is off, nothing tells that they are removed.
	guardInterval = 10 * time.Second
	// guardDelay is how long it waits after it was told: auditctl -D removes one
	// rule after the other.
	guardDelay = 250 * time.Millisecond
	// guardQueue is how often rules may have been put back without the pipeline
	// taking the events: some five minutes of somebody who removes them all the time.
	guardQueue = 16
)

// guard keeps the audit rules loaded that make the kernel record signals, and
// reports that it had to put them back.
type guard struct {
	rules      *auditrules.Manager
	key        string
	logger     *zap.Logger
	occasional *zap.Logger
	telemetry  *metadata.TelemetryBuilder
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
		key: r.config.Rules.Key, logger: r.set.Logger, occasional: occasional.Logger(r.set.Logger),
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
	for g.wait(ctx) {
		events := g.restore()
		if len(events) == 0 {
			continue
		}
		select {
		case restored <- events:
		default:
			g.telemetry.ReceiverAuditKillQueueDropped.Add(ctx, int64(len(events)))
			g.occasional.Warn("dropped events of audit rules that were put back, as the pipeline does not take them",
				zap.Int("events", len(events)))
		}
	}
	close(restored)
	delivering.Wait()
}

// wait waits until it is time to look. It reports false if ctx is done.
func (g *guard) wait(ctx context.Context) bool {
	timer := time.NewTimer(guardInterval)
	defer timer.Stop()
	select {
	case <-g.suspicion:
		timer.Reset(guardDelay)
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// restore returns an event for each rule that it has put back.
func (g *guard) restore() []*kill.Event {
	found, err := g.rules.Restore()
	g.tell(found.Obstacles)
	switch {
	case errors.Is(err, auditrules.ErrTooOften):
		g.occasional.Error("audit rules are removed again and again, so that signals stay unseen", zap.Error(err))
	case err != nil:
		g.occasional.Error("audit rules could not be put back, so that signals stay unseen", zap.Error(err))
	}
	var events []*kill.Event
	for _, rule := range found.Restored {
		events = append(events, kill.RestoredRule(time.Now(), rule.String(), g.key))
	}
	if found.Enabled {
		events = append(events, kill.RestoredAudit(time.Now()))
	}
	return events
}

// close removes the rules that were added.
func (g *guard) close() error { return g.rules.Remove() }
