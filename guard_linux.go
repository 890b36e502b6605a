// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
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
)

// guard keeps the audit rules loaded that make the kernel record signals, and
// reports that it had to put them back.
type guard struct {
	rules      *auditrules.Manager
	key        string
	logger     *zap.Logger
	occasional *zap.Logger
	// told holds a token once there is reason to look.
	told chan struct{}
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
		told: make(chan struct{}, 1),
	}
	g.tell(g.rules.Install())
	return g, nil
}

func (g *guard) tell(problems []auditrules.Problem) {
	for _, p := range problems {
		g.logger.Warn(p.What, zap.String("mend", p.Mend), zap.Strings("lines", p.Lines), zap.Error(p.Err))
	}
}

// watch returns a function that delivers, and tells the guard of tampering.
func (g *guard) watch(deliver source.Deliver) source.Deliver {
	return func(events []*kill.Event) error {
		for _, e := range events {
			if e.Kind == kill.KindTamper {
				select {
				case g.told <- struct{}{}:
				default: // it knows
				}
			}
		}
		return deliver(events)
	}
}

// run puts back what somebody removes, until ctx is done.
func (g *guard) run(ctx context.Context, deliver source.Deliver) {
	ticker := time.NewTicker(guardInterval)
	defer ticker.Stop()
	for {
		select {
		case <-g.told:
			select {
			case <-time.After(guardDelay):
			case <-ctx.Done():
				return
			}
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if deliver(g.restore()) != nil {
			return // the receiver is shutting down
		}
	}
}

// restore returns an event for each rule that it has put back.
func (g *guard) restore() []*kill.Event {
	found, err := g.rules.Restore()
	g.tell(found.Obstacles)
	switch {
	case errors.Is(err, auditrules.ErrTooOften):
		g.occasional.Error("audit rules are removed again and again, so that signals stay unseen", zap.Error(err))
		return nil
	case err != nil:
		g.occasional.Error("audit rules could not be put back, so that signals stay unseen", zap.Error(err))
		return nil
	}
	var events []*kill.Event
	for _, rule := range found.Removed {
		events = append(events, kill.RestoredRule(time.Now(), rule.String(), g.key))
	}
	if found.Disabled {
		events = append(events, kill.RestoredAudit(time.Now()))
	}
	return events
}

// close removes the rules that were added.
func (g *guard) close() error { return g.rules.Remove() }
