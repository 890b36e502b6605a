// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/container"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/manager"
	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Capture captures signals from Open to Close.
type Capture struct {
	settings Settings
	// sampled is the logger for messages that may repeat many times.
	sampled   *zap.Logger
	counts    source.Counts
	panics    *panics.Guard
	processes *process.Table
	users     *process.Users
	// names are those of containers.
	names *container.Names

	source source.Source
	traits source.Traits
	// chosen is the candidate that was opened, refusals are why those before it were not.
	chosen   *Candidate
	refusals []Refusal
	// guard keeps the audit rules loaded, or reports what hinders those of others; nil if the
	// source needs none. rulesCheck holds a token while a check of them is requested.
	guard      *guard
	rulesCheck chan struct{}
	// changes are what audit records say about changes of the audit system.
	changes auditrules.Changes

	// exits reports the ends of processes if the source does not; nil if the source does, or
	// if nothing can.
	exits    exits
	newExits func(*Settings, *panics.Guard) exits
	// memory reports kills for lack of memory if the source does not; nil if it does, or if nothing can.
	memory *memory
	// opened is when it was opened: what the kernel's log tells of before is about processes that are gone.
	opened time.Time
	// savedPlace is the place in the kernel's log that was stored last.
	savedPlace *oomwatch.Place
	// behind finds out what is behind signals; nil if that is not wanted.
	behind *behind
	// managers listens to what systemds say about themselves; nil if nobody wants to know.
	managers *manager.Watcher
	// outcomes watches the targets of fatal signals; nil if outcomes are not known.
	outcomes *outcomes
	// lostEnds holds a token if ends of processes may have been lost.
	lostEnds chan struct{}

	// busy is held while the handler is called. The handler is made for one goroutine at a
	// time, but the source, the guard of the rules and the watcher of processes have one each.
	busy    sync.Mutex
	handler Handler
	// refused is true once the handler takes nothing more.
	refused bool
	// lasting outlives the context of Run, so that state can still be stored. Interrupt
	// cancels it.
	lasting   context.Context //nolint:containedctx // it lasts as long as the capture
	interrupt context.CancelFunc
}

// Open begins to capture signals. If no source can be opened, it undoes what it has changed
// and fails with a RefusedError.
func Open(ctx context.Context, settings Settings) (*Capture, error) {
	c := newCapture(settings)
	if err := c.choose(ctx); err != nil {
		c.interrupt()
		return nil, err
	}
	c.openBehind()
	c.openManagers()
	c.openMemory(ctx)
	c.openOutcomes()
	if c.outcomes != nil {
		c.resumeOutcomes(ctx) // before anybody is told that it is ready
	}
	return c, nil
}

func newCapture(settings Settings) *Capture {
	c := &Capture{
		settings:   settings,
		sampled:    logsampling.New(settings.Logger),
		panics:     panics.NewGuard(settings.Logger),
		users:      process.NewUsers(settings.Host.Passwd, settings.Host.Name),
		rulesCheck: make(chan struct{}, 1),
		newExits:   newExits,
		lostEnds:   make(chan struct{}, 1),
		opened:     time.Now(),
	}
	c.counts.OnLoss = c.warnOfLoss
	c.names = container.New(container.Config{Root: settings.Root, Logger: settings.Logger, Panics: c.panics})
	c.processes = process.NewTable(process.Config{
		Root: settings.Root, Host: settings.Host.Name, Logger: c.sampled, Container: c.names.Expect,
	})
	c.lasting, c.interrupt = context.WithCancel(context.Background())
	return c
}

// warnOfLoss reports that signals may have been missed.
func (c *Capture) warnOfLoss(loss source.Loss, n int64) {
	if p := loss.Problem(n); p != nil {
		c.settings.Warn(p)
	}
}

// Source is the name of the candidate that was opened.
func (c *Capture) Source() string { return c.chosen.Name }

// Refusals are why the candidates before it were not opened.
func (c *Capture) Refusals() []Refusal { return c.refusals }

// Traits are what the source can do.
func (c *Capture) Traits() source.Traits { return c.traits }

// KnowsOutcomes reports whether the Handler will receive outcomes.
func (c *Capture) KnowsOutcomes() bool { return c.outcomes != nil }

// ManagesRules reports whether the capture keeps audit rules loaded.
func (c *Capture) ManagesRules() bool { return c.guard.managesRules() }

// Counts are what the source has done and lost.
func (c *Capture) Counts() *source.Counts { return &c.counts }

// Processes counts the processes in the table.
func (c *Capture) Processes() process.Counts { return c.processes.Counts() }

// AttributionMissed is how many events of managers were delivered before it was known who is behind them.
func (c *Capture) AttributionMissed() int64 { return c.counts.AttributionMissed.Load() }

// Panics is how many events were lost because this program panicked.
func (c *Capture) Panics() int64 { return c.panics.Count() }

// Watched is how many processes are watched now.
func (c *Capture) Watched() int64 { return c.outcomes.watched() }

// Unwatched is how many processes could not be watched since the start.
func (c *Capture) Unwatched() int64 { return c.outcomes.unwatched() }

// Interrupt makes Run stop storing state after its context is done.
func (c *Capture) Interrupt() { c.interrupt() }

// Close restores the kernel to the state before Open. It is called after Run, or instead of it.
func (c *Capture) Close() error {
	err := c.closeMemory()
	c.interrupt()
	return errors.Join(c.closeExits(), err, c.closeSource())
}
