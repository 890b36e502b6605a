// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

const (
	// watchedKey is where those who are watched are kept over a restart.
	watchedKey = "followed"
	// saveInterval is how much of what happened may be forgotten by kill -9.
	saveInterval = time.Second
	// savePause is the minimum pause between saves, as a multiple of the time that one takes:
	// a storm of signals takes no more than a percent of a processor for it.
	savePause = 100
)

// exits sees the ends of processes where the source does not report them.
type exits interface {
	outcome.Exits
	Start() error
	Run(ctx context.Context, report func(ends []*kill.End))
	Close() error
}

// openOutcomes gets ready to watch the targets of fatal signals, if that is wanted and the
// source is a live one.
func (c *Capture) openOutcomes() {
	s := &c.settings
	if !c.traits.Live || s.OutcomeTimeout == 0 {
		return
	}
	config := outcome.Config{
		Timeout: s.OutcomeTimeout, HostID: s.Host.ID, BootID: s.Host.Boot,
		Conceal: s.Conceal, SinceBoot: process.SinceBoot, Warn: s.Warn,
	}
	if c.traits.Watch != nil {
		config.Exits, config.Ordered = outcome.ReportedExits{WatchToo: c.traits.Watch, Processes: c.processes}, true
	} else {
		watcher := c.newExits(s, c.panics)
		if err := watcher.Start(); err != nil {
			// Signals are worth reporting without it.
			s.Warn(&problem.Problem{What: "the outcomes of signals will not be known", Err: err})
			return
		}
		config.Exits, c.exits = watcher, watcher
	}
	c.outcomes = newOutcomes(outcome.NewTable(config), s)
}

// resumeOutcomes goes on with the processes that were watched before a restart.
func (c *Capture) resumeOutcomes(ctx context.Context) {
	defer c.panics.Contain("resuming the processes that were watched")
	c.outcomes.resume(ctx)
}

func (c *Capture) closeExits() error {
	if c.exits == nil {
		return nil
	}
	watcher := c.exits
	c.exits = nil
	return watcher.Close()
}

// noteLostEnds is called by a source that may have lost ends of processes.
func (c *Capture) noteLostEnds() {
	select {
	case c.lostEnds <- struct{}{}:
	default: // a check is already requested
	}
}

// followOutcomes closes what is due until ctx is done.
func (c *Capture) followOutcomes(ctx context.Context) {
	defer c.outcomes.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.lostEnds:
			c.doubt()
		case <-c.outcomes.timer.C:
			c.expire()
		}
	}
}

// doubt requests a check of which processes are gone.
func (c *Capture) doubt() {
	c.busy.Lock()
	defer c.busy.Unlock()
	c.outcomes.table.Doubt()
	c.outcomes.schedule()
}

// expire closes what is due, and saves what is to be.
func (c *Capture) expire() {
	start := time.Now()
	state := c.expireNow(start)
	if state == nil {
		return
	}
	saved := c.outcomes.save(c.lasting, state) // nobody is to wait for a disk
	c.busy.Lock()
	defer c.busy.Unlock()
	if !saved {
		c.outcomes.table.Unsaved()
	}
	now := time.Now()
	c.outcomes.saves = now.Add(max(saveInterval, savePause*now.Sub(start)))
	c.outcomes.schedule()
}

func (c *Capture) expireNow(now time.Time) (state []byte) {
	c.busy.Lock()
	defer c.busy.Unlock()
	c.outcomes.wakes = time.Time{}
	c.closeDue()
	if state = c.outcomes.due(now); state != nil {
		c.outcomes.saves = now.Add(time.Hour) // not again before this is done
	}
	c.outcomes.schedule()
	return state
}

// closeDue hands on the outcomes that are due.
func (c *Capture) closeDue() {
	defer c.panics.Contain("finding out what became of a process")
	c.outcomes.table.Expire()
	c.flushOutcomes()
}

// flushOutcomes hands on outcomes at once. What cannot be handed on any more is the handler's
// to report.
func (c *Capture) flushOutcomes() {
	if c.handOutcomes() == nil {
		_ = c.handler.Flush() //nolint:errcheck // see above
	}
}

// settleOutcomes hands on what is left at the end. A process that can be watched again after a
// restart has no outcome yet.
func (c *Capture) settleOutcomes() {
	if c.outcomes == nil {
		return
	}
	c.busy.Lock()
	defer c.busy.Unlock()
	defer c.panics.Contain("finding out what became of a process")
	c.outcomes.table.Settle()
	if !c.outcomes.keep(c.lasting) {
		c.outcomes.table.Abandon()
	}
	c.flushOutcomes()
}

// outcomes watches the targets of signals. A nil one watches nobody. It is used while the
// capture is busy.
type outcomes struct {
	table *outcome.Table
	// store keeps the table over a restart; nil if nothing does.
	store  source.Store
	logger *zap.Logger

	// timer fires at wakes, when there is something to do.
	timer *time.Timer
	wakes time.Time
	// saves is when the table may be saved again.
	saves time.Time
}

func newOutcomes(table *outcome.Table, s *Settings) *outcomes {
	return &outcomes{table: table, store: s.Store, logger: s.Logger, timer: time.NewTimer(0)}
}

func (o *outcomes) struck(e *kill.Event) {
	if o != nil {
		o.table.Struck(e)
	}
}

func (o *outcomes) exited(end *kill.End) {
	if o != nil {
		o.table.Exited(end)
	}
}

// take returns the outcomes that have come about.
func (o *outcomes) take() []*kill.Event {
	if o == nil {
		return nil
	}
	return o.table.Take()
}

func (o *outcomes) watched() int64 {
	if o == nil {
		return 0
	}
	return o.table.Watched()
}

func (o *outcomes) unwatched() int64 {
	if o == nil {
		return 0
	}
	return o.table.Dropped()
}

// schedule sets the timer.
func (o *outcomes) schedule() {
	if o == nil {
		return
	}
	next := o.table.Next()
	if o.store != nil && o.table.Changed() {
		if o.saves.IsZero() {
			o.saves = time.Now().Add(saveInterval)
		}
		if next.IsZero() || o.saves.Before(next) {
			next = o.saves
		}
	}
	if !next.IsZero() && (o.wakes.IsZero() || next.Before(o.wakes)) {
		o.wakes = next
		o.timer.Reset(time.Until(next))
	}
}

// resume goes on with those who were watched before the restart.
func (o *outcomes) resume(ctx context.Context) {
	if o.store == nil {
		return
	}
	data, err := o.store.Get(ctx, watchedKey)
	if err == nil {
		err = o.table.Restore(data)
	}
	if err != nil {
		o.logger.Error("the outcomes of signals that were sent before the restart will not be known",
			zap.String("key", watchedKey), zap.Error(err))
	}
}

// due returns what is to be saved now; nil if nothing is.
func (o *outcomes) due(now time.Time) []byte {
	if o.store == nil || !o.table.Changed() || o.saves.IsZero() || o.saves.After(now) {
		return nil
	}
	return o.state()
}

// keep saves the table for after a restart, and reports whether that is done.
func (o *outcomes) keep(ctx context.Context) bool {
	if o.store == nil {
		return false
	}
	state := o.state()
	return state != nil && o.save(ctx, state)
}

// state returns what keeps the table over a restart; nil if that cannot be had.
func (o *outcomes) state() []byte {
	data, err := o.table.Save()
	if err != nil {
		o.logger.Error("the processes that are watched cannot be stored, a restart will forget them", zap.Error(err))
	}
	return data
}

// save stores the state of the table. It reports whether that is done.
func (o *outcomes) save(ctx context.Context, state []byte) bool {
	err := o.store.Set(ctx, watchedKey, state)
	if err != nil {
		o.logger.Warn("the processes that are watched could not be stored, a restart would forget them",
			zap.String("key", watchedKey), zap.Error(err))
	}
	return err == nil
}
