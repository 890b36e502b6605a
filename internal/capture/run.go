// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// Handler takes what was captured, one call at a time. If Signal, Outcome or Flush returns an
// error, it takes nothing more because the program is shutting down.
type Handler interface {
	// Wants reports whether an event is wanted. Outcomes are reported only for targets of
	// wanted events.
	Wants(e *kill.Event) bool
	// Signal takes a wanted event: a signal, a death that the kernel reports, or something
	// that blinds the monitor. The spans of its targets are set.
	Signal(e *kill.Event) error
	// Outcome takes the outcome of one target (kill.KindOutcome), or of all targets of one
	// call (kill.KindCall).
	Outcome(e *kill.Event) error
	// Flush is called after each batch. Once it returns nil, a source may forget the batch.
	Flush() error
}

// Run passes what happens to the handler until ctx is done, and then what is left. It is
// called once.
func (c *Capture) Run(ctx context.Context, handler Handler) {
	c.handler = handler
	var producing, tracking sync.WaitGroup
	if c.outcomes != nil {
		if c.exits != nil {
			c.watchExits(ctx, &producing)
		}
		producing.Go(func() { c.expireOutcomes(ctx) })
	}
	if c.guard != nil {
		producing.Go(func() { c.runGuard(ctx) })
	}
	if !c.traits.TracksProcesses && c.prime() {
		tracking.Go(func() { c.processes.Run(ctx) })
	}
	producing.Go(func() { c.watchPulse(ctx) })
	producing.Go(func() { c.source.Run(ctx, c.deliver) })
	producing.Wait()
	c.settleOutcomes()
	tracking.Wait()
}

// prime fills the table of processes, and reports whether that worked. Without the table,
// events describe their processes with fewer attributes.
func (c *Capture) prime() bool {
	err := c.processes.Prime()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) { // it is supported on Linux only
		c.settings.Logger.Warn("events will describe processes only by what is in the audit records", zap.Error(err))
	}
	return err == nil
}

// deliver implements source.Deliver.
func (c *Capture) deliver(seen []source.Observation) error {
	c.busy.Lock()
	defer c.busy.Unlock()
	for _, o := range seen {
		if err := c.observe(o); err != nil {
			return err
		}
	}
	err := c.handler.Flush()
	c.outcomes.schedule()
	return err
}

// observe handles one observation. A panic costs only this observation.
func (c *Capture) observe(o source.Observation) error {
	defer c.panics.Contain("working on an event")
	switch {
	case o.End != nil:
		if o.End.Process != nil && !c.wantsUnsent(o.End) {
			break
		}
		c.outcomes.exited(o.End)
	case c.wants(o.Event):
		c.outcomes.signal(o.Event)
		if err := c.handler.Signal(o.Event); err != nil {
			return err
		}
	}
	return c.handOutcomes()
}

// wants reports whether the handler wants an event, and adds what the host knows about its
// processes.
func (c *Capture) wants(e *kill.Event) bool {
	if c.settings.DescribeFirst || c.settings.DescribeThreads && e.Scope == kill.ScopeThread {
		c.describe(e)
		return c.handler.Wants(e)
	}
	if !c.handler.Wants(e) {
		return false
	}
	c.describe(e)
	return true
}

func (c *Capture) describe(e *kill.Event) {
	c.processes.Fill(e)
	c.users.Fill(e)
}

// handOutcomes passes new outcomes to the handler.
func (c *Capture) handOutcomes() error {
	for _, e := range c.outcomes.take() {
		if err := c.handler.Outcome(e); err != nil {
			return err
		}
	}
	return nil
}

// watchExits delivers the ends of processes until ctx is done. A slow handler must not delay
// the watcher, which takes the time of each end.
func (c *Capture) watchExits(ctx context.Context, producing *sync.WaitGroup) {
	ends := queue.New()
	ended := make(chan struct{})
	producing.Go(func() {
		defer close(ended)
		c.exits.Run(ctx, func(seen []*kill.End) { ends.Add(source.Ends(seen)) })
	})
	producing.Go(func() {
		for {
			select {
			case <-ends.Ready():
				if !ends.Deliver(c.deliver) {
					return
				}
			case <-ended:
				ends.Deliver(c.deliver)
				return
			}
		}
	})
}
