// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// rulesInterval is Settings.RulesInterval if that is not set.
	rulesInterval = 10 * time.Second
	// guardQueue is how often rules may have been put back without the handler taking the
	// events: some five minutes of somebody who removes them all the time.
	guardQueue = 16
)

// guard keeps the audit rules loaded that make the kernel record signals, and reports that it
// had to put them back.
type guard struct {
	rules *auditrules.Manager
	key   string
	// problems are those that were found when the rules were loaded.
	problems []*auditrules.Problem
}

// guardRules loads the rules of a candidate. What keeps it from that does not keep the source
// from reading what is recorded anyway.
func (c *Capture) guardRules(k *Candidate) error {
	key := cmp.Or(k.Key, DefaultKey)
	c.guard = &guard{
		rules: auditrules.New(auditrules.Settings{Signals: c.settings.Signals, Key: key, Logger: c.settings.Logger}),
		key:   key,
	}
	c.guard.problems = c.guard.rules.Install()
	return nil
}

// warnOfRules reports what keeps signals from being recorded.
func (c *Capture) warnOfRules() {
	if c.guard == nil {
		return
	}
	for _, p := range c.guard.problems {
		c.settings.Warn(p)
	}
	c.guard.problems = nil
}

// suspect makes the guard check, if there is one.
func (c *Capture) suspect() {
	select {
	case c.suspicion <- struct{}{}:
	default: // it will
	}
}

// runGuard puts back what somebody removes, until ctx is done. It does not wait for the
// handler: a stuck one must not keep the monitor blind.
func (c *Capture) runGuard(ctx context.Context) {
	restored := make(chan []*kill.Event, guardQueue)
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for events := range restored {
			if c.deliver(source.Events(events)) != nil {
				return // shutting down
			}
		}
	})
	c.checking().Run(ctx, func(events []*kill.Event) bool {
		select {
		case restored <- events:
		default:
			c.counts.Lose(source.QueueFull, int64(len(events)))
			c.sampled.Warn("dropped reports of audit rules that were put back, as they are not taken",
				zap.Int("events", len(events)))
		}
		return true
	})
	close(restored)
	delivering.Wait()
}

// checking returns what checks the rules.
func (c *Capture) checking() *auditrules.Guard {
	return &auditrules.Guard{
		Manager: c.guard.rules, Key: c.guard.key, Interval: cmp.Or(c.settings.RulesInterval, rulesInterval),
		Suspicion: c.suspicion, Warn: c.settings.Warn, Logger: c.sampled,
	}
}

// close removes the rules that were added.
func (g *guard) close() error { return g.rules.Remove() }
