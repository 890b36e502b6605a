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

// guardDelay is how long a Guard waits after a suspicion: auditctl -D removes one rule
// after the other.
const guardDelay = 250 * time.Millisecond

// Guard has a Manager put back what is removed, and reports that. It also reports what hinders the
// rules, which it leaves alone.
type Guard struct {
	// Manager has installed its rules, unless others see to them.
	Manager *Manager
	// Key is that of the Manager's rules.
	Key string
	// Interval is how often it checks without a suspicion: while audit is off, nothing
	// reports that rules are removed.
	Interval time.Duration
	// Suspicion holds a token once there is reason to check.
	Suspicion <-chan struct{}
	// Changes are what records say about who has changed what.
	Changes *Changes
	// Applies reports whether what hinders the rules matters while the given process is the audit
	// daemon, 0 for none; nil is always.
	Applies func(daemon int) bool
	// Warn is called with what a person has to fix, Logger logs what may repeat.
	Warn   func(*Problem)
	Logger *zap.Logger

	watch *watch
	// before is what hindered the rules when Begin looked.
	before []*kill.Event
}

// Begin looks at what hinders the rules already, of which nobody is known to be the cause. It is called as soon as
// records arrive, so that what comes later is reported with who has done it.
func (g *Guard) Begin() {
	g.watch = newWatch(g)
	g.before = g.watch.look(g.Manager)
}

// Run goes on checking after Begin, until ctx is done or handle returns false. It passes handle an event for each
// thing that was put back, and for each that hinders the rules, now or later.
func (g *Guard) Run(ctx context.Context, handle func([]*kill.Event) bool) {
	w, events := g.watch, g.before
	for {
		if len(events) > 0 && !handle(events) {
			return
		}
		interval := g.Interval
		if len(w.waiting) > 0 {
			interval = min(interval, recordDelay)
		}
		if !g.wait(ctx, interval) {
			return
		}
		events = append(g.Restore(), w.look(g.Manager)...)
	}
}

// wait waits until it is time to check. It returns false if ctx is done.
func (g *Guard) wait(ctx context.Context, interval time.Duration) bool {
	timer := time.NewTimer(interval)
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

// Restore checks, and returns an event for each thing that it has put back.
func (g *Guard) Restore() []*kill.Event {
	found, err := g.Manager.Restore()
	for _, p := range found.Obstacles {
		g.Warn(p)
	}
	switch {
	case errors.Is(err, ErrTooOften):
		g.Logger.Error("audit rules are removed again and again, so signals go unrecorded", zap.Error(err))
	case err != nil:
		g.Logger.Error("audit rules could not be put back, so signals go unrecorded", zap.Error(err))
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
