// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// guardDelay is how long a Guard waits after it was told: auditctl -D removes one rule
// after the other.
const guardDelay = 250 * time.Millisecond

// Guard has a Manager put back what somebody removes, and tells that it had to.
type Guard struct {
	Manager *Manager
	// Key is that of the Manager's rules.
	Key string
	// Interval is how often it looks on its own: while audit is off, nothing tells that
	// rules are removed.
	Interval time.Duration
	// Suspicion holds a token once there is reason to look.
	Suspicion <-chan struct{}
	// Warn is told of what a person has to fix, Logger of what may come again and again.
	Warn   func(*Problem)
	Logger *zap.Logger
}

// Run looks until ctx is done or handle, which is given an event for each thing that was
// put back, reports false.
func (g *Guard) Run(ctx context.Context, handle func([]*kill.Event) bool) {
	for g.wait(ctx) {
		if events := g.Restore(); len(events) > 0 && !handle(events) {
			return
		}
	}
}

// wait waits until it is time to look. It reports false if ctx is done.
func (g *Guard) wait(ctx context.Context) bool {
	timer := time.NewTimer(g.Interval)
	defer timer.Stop()
	select {
	case <-g.Suspicion:
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

// Restore looks, and returns an event for each thing that it has put back.
func (g *Guard) Restore() []*kill.Event {
	found, err := g.Manager.Restore()
	for _, p := range found.Obstacles {
		g.Warn(p)
	}
	switch {
	case errors.Is(err, ErrTooOften):
		g.Logger.Error("audit rules are removed again and again, so that signals stay unseen", zap.Error(err))
	case err != nil:
		g.Logger.Error("audit rules could not be put back, so that signals stay unseen", zap.Error(err))
	}
	var events []*kill.Event
	for _, rule := range found.Restored {
		events = append(events, kill.RestoredRule(time.Now(), rule.String(), g.Key))
	}
	if found.Enabled {
		events = append(events, kill.RestoredAudit(time.Now()))
	}
	return events
}
