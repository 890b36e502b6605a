// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"sync"
	"time"

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
	// WantsEnd reports whether the end of a process to which no signal was seen is wanted, as an event about that target. It is no
	// signal that was filtered out if not.
	WantsEnd(e *kill.Event) bool
	// Signal takes a wanted event: a signal, a death that the kernel reports, or something
	// that blinds the monitor. The spans of its targets are set.
	Signal(e *kill.Event) error
	// Outcome takes the outcome of one target (kill.KindOutcome), or of all targets of one
	// call (kill.KindCall).
	Outcome(e *kill.Event) error
	// Flush is called after each batch. Once it returns nil, a source may forget the batch.
	Flush() error
	// Settled reports whether all batches were accepted or given up, also those that a live source may forget
	// already.
	Settled() bool
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
	if c.memory != nil {
		c.watchMemory(ctx, &producing)
	}
	if c.guard != nil {
		producing.Go(func() { c.runGuard(ctx) })
	}
	if !c.traits.TracksProcesses && c.prime() {
		tracking.Go(func() { c.processes.Run(ctx) })
	}
	producing.Go(func() { c.watchPulse(ctx) })
	producing.Go(func() { c.source.Run(ctx, c.deliver) })
	if c.managers != nil {
		producing.Go(func() { c.listenToManagers(ctx) })
	}
	if c.behind != nil && c.behind.waits {
		producing.Go(func() { c.releaseHeld(ctx) })
	}
	producing.Wait()
	c.passHeld()
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
	c.processes.Batch()
	for _, o := range seen {
		if err := c.observe(o); err != nil {
			c.refused = true
			return err
		}
	}
	err := c.handler.Flush()
	c.refused = c.refused || err != nil
	c.outcomes.schedule()
	return err
}

// observe handles one observation. A panic costs only this observation.
func (c *Capture) observe(o source.Observation) error {
	defer c.panics.Contain("working on an event")
	switch {
	case o.Fact != nil:
		c.behind.learn(o.Fact)
		return nil
	case o.Event != nil && !c.wants(o.Event), c.behind.hold(o, time.Now()):
		return c.handOutcomes()
	}
	return c.pass(o)
}

// pass handles an observation that waits for nothing any more.
func (c *Capture) pass(o source.Observation) error {
	defer c.panics.Contain("working on an event")
	switch {
	case o.Event != nil:
		if o.Event.LogRecord == "" || !o.Event.Time.Before(c.opened) {
			c.outcomes.signal(o.Event)
		}
		if err := c.handler.Signal(o.Event); err != nil {
			return err
		}
	case o.End.Process == nil || c.wantsUnsent(o.End):
		c.outcomes.exited(o.End)
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
	c.names.Fill(e)
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
	c.queued(producing, func(add func([]source.Observation)) {
		c.exits.Run(ctx, func(seen []*kill.End) { add(source.Ends(seen)) })
	}, nil)
}

// queued delivers what run adds, which never waits, until run ends. It calls save now and then, with a
// function that reports whether nothing waits in the queue; save may be nil.
func (c *Capture) queued(producing *sync.WaitGroup, run func(add func([]source.Observation)), save func(empty func() bool)) {
	waiting := queue.New()
	ended := make(chan struct{})
	producing.Go(func() {
		defer close(ended)
		run(waiting.Add)
	})
	producing.Go(func() {
		defer func() { c.counts.Lose(source.QueueFull, waiting.TakeDropped()) }()
		var saves <-chan time.Time
		if save != nil {
			ticker := time.NewTicker(saveInterval)
			defer ticker.Stop()
			saves = ticker.C
		}
		for {
			select {
			case <-saves:
				save(func() bool { return waiting.Len() == 0 })
			case <-waiting.Ready():
				if !waiting.Deliver(c.deliver) {
					return
				}
			case <-ended:
				waiting.Deliver(c.deliver)
				return
			}
			c.counts.Lose(source.QueueFull, waiting.TakeDropped())
		}
	})
}
