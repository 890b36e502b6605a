// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"cmp"
	"context"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// rulesInterval is the default of Settings.RulesInterval.
const rulesInterval = 10 * time.Second

// guard keeps the audit rules loaded that make the kernel record signals, unless others see to
// them. It reports each time that it has to put them back, and what hinders them.
type guard struct {
	rules *auditrules.Manager
	key   string
	// manages is true if it loads the rules.
	manages bool
	// fromKernel is that of the candidate.
	fromKernel func(daemon int) bool
	// checks looks at the rules.
	checks *auditrules.Guard
	// problems were found when the rules were loaded, and are not reported yet.
	problems []*auditrules.Problem
}

// guardRules loads the rules of a candidate. If that fails, the source can still read what the
// kernel records anyway.
func (c *Capture) guardRules(k *Candidate) error {
	c.observeRules(k)
	c.guard.manages = true
	c.guard.problems = c.guard.rules.Install()
	return nil
}

// observeRules changes no rule, but reports what hinders those that others have loaded.
func (c *Capture) observeRules(k *Candidate) {
	key := cmp.Or(k.Key, DefaultKey)
	c.guard = &guard{
		rules: auditrules.New(auditrules.Settings{Signals: c.settings.Signals, Key: key, Logger: c.settings.Logger}),
		key:   key, fromKernel: k.fromKernel,
	}
}

// beginGuard reports what keeps signals from being recorded, and looks at what hinders the rules, once records arrive.
func (c *Capture) beginGuard() {
	if c.guard == nil {
		return
	}
	c.guard.checks = &auditrules.Guard{
		Manager: c.guard.rules, Key: c.guard.key, Interval: cmp.Or(c.settings.RulesInterval, rulesInterval),
		Suspicion: c.rulesCheck, Changes: &c.changes, Applies: c.guard.fromKernel, Warn: c.settings.Warn, Logger: c.sampled,
	}
	c.guard.checks.Begin()
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
	c.report(func(handle func([]*kill.Event) bool) { c.guard.checks.Run(ctx, handle) })
}

// managesRules reports whether the guard loads rules.
func (g *guard) managesRules() bool { return g != nil && g.manages }

// close removes the rules that the guard has added.
func (g *guard) close() error { return g.rules.Remove() }
