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
	// rulesInterval is the default of Settings.RulesInterval.
	rulesInterval = 10 * time.Second
	// guardQueue is how many times the guard can put rules back while the handler takes no
	// events: some five minutes if somebody keeps removing them.
	guardQueue = 16
)

// guard keeps the audit rules loaded that make the kernel record signals. It reports each time
// that it has to put them back.
type guard struct {
	rules *auditrules.Manager
	key   string
	// problems were found when the rules were loaded, and are not reported yet.
	problems []*auditrules.Problem
}

// guardRules loads the rules of a candidate. If that fails, the source can still read what the
// kernel records anyway.
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

// requestRulesCheck makes the guard, if there is one, check the rules.
func (c *Capture) requestRulesCheck() {
	select {
	case c.rulesCheck <- struct{}{}:
	default: // a check is already requested
	}
}

// runGuard puts rules back that somebody removes, until ctx is done. It does not wait for the
// handler: even if that is stuck, signals must be recorded.
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
			c.sampled.Warn("dropped reports of audit rules that were put back: the pipeline does not take them",
				zap.Int("events", len(events)))
		}
		return true
	})
	close(restored)
	delivering.Wait()
}

// checking returns the guard that checks the rules.
func (c *Capture) checking() *auditrules.Guard {
	return &auditrules.Guard{
		Manager: c.guard.rules, Key: c.guard.key, Interval: cmp.Or(c.settings.RulesInterval, rulesInterval),
		Suspicion: c.rulesCheck, Warn: c.settings.Warn, Logger: c.sampled,
	}
}

// close removes the rules that the guard has added.
func (g *guard) close() error { return g.rules.Remove() }
