// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Capture sees signals from Open to Close.
type Capture struct {
	settings Settings
	// sampled is the logger for what may come again and again.
	sampled   *zap.Logger
	counts    source.Counts
	panics    *panics.Guard
	processes *process.Table
	users     *process.Users

	source source.Source
	traits source.Traits
	// chosen is the candidate that was opened, refusals why none before it.
	chosen   *Candidate
	refusals []Refusal
	// guard keeps the audit rules loaded; nil if that is not our business. suspicion holds a
	// token once it has reason to check.
	guard     *guard
	suspicion chan struct{}

	// exits sees how processes end where the source does not; nil if it does, or nobody.
	exits    exits
	newExits func(*Settings, *panics.Guard) exits
	// outcomes is who is watched; nil if nobody is.
	outcomes *outcomes
	// lostEnds holds a token once ends of processes may have been lost.
	lostEnds chan struct{}

	// busy is held while the handler is called: it is made for one goroutine, and beside the
	// source's there are those that guard the rules, and that see the ends of processes.
	busy    sync.Mutex
	handler Handler
	// lasting is done once nothing more may be waited for, also at the end.
	lasting   context.Context //nolint:containedctx // it lasts as long as the capture
	interrupt context.CancelFunc
}

// Open begins to see signals. It fails with a RefusedError if no source can be opened; then
// everything is as it was before.
func Open(ctx context.Context, settings Settings) (*Capture, error) {
	c := newCapture(settings)
	if err := c.choose(ctx); err != nil {
		c.interrupt()
		return nil, err
	}
	c.openOutcomes()
	return c, nil
}

func newCapture(settings Settings) *Capture {
	c := &Capture{
		settings:  settings,
		sampled:   logsampling.New(settings.Logger),
		panics:    panics.NewGuard(settings.Logger),
		users:     process.NewUsers(settings.Host.Passwd, settings.Host.Name),
		suspicion: make(chan struct{}, 1),
		newExits:  newExits,
		lostEnds:  make(chan struct{}, 1),
	}
	c.counts.OnLoss = settings.Lost
	c.processes = process.NewTable(process.Config{
		Root: settings.Root, Host: settings.Host.Name, Logger: c.sampled,
	})
	c.lasting, c.interrupt = context.WithCancel(context.Background())
	return c
}

// Source is the name of the candidate that was opened, and Refusals say why none before it.
func (c *Capture) Source() string      { return c.chosen.Name }
func (c *Capture) Refusals() []Refusal { return c.refusals }

// Traits are what the source can do.
func (c *Capture) Traits() source.Traits { return c.traits }

// KnowsOutcomes reports whether it will be known what becomes of targets.
func (c *Capture) KnowsOutcomes() bool { return c.outcomes != nil }

// ManagesRules reports whether audit rules are kept loaded.
func (c *Capture) ManagesRules() bool { return c.guard != nil }

// Counts are what the source has done and lost.
func (c *Capture) Counts() *source.Counts { return &c.counts }

// Processes counts the processes that are known.
func (c *Capture) Processes() process.Counts { return c.processes.Counts() }

// Panics is how many events a fault of this program has cost.
func (c *Capture) Panics() int64 { return c.panics.Count() }

// Watched is how many processes are watched, Unwatched how many could not be since the start.
func (c *Capture) Watched() int64   { return c.outcomes.watched() }
func (c *Capture) Unwatched() int64 { return c.outcomes.unwatched() }

// MaxWatched is how many processes are watched at a time at most.
const MaxWatched = outcome.MaxWatches

// Interrupt makes Run give up what it still has to store after its context is done.
func (c *Capture) Interrupt() { c.interrupt() }

// Close leaves the kernel as it was found. It is called after Run, or instead of it.
func (c *Capture) Close() error {
	c.interrupt()
	return errors.Join(c.closeExits(), c.closeSource())
}
