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
	// watchedKey is the key under which the store keeps the watched processes. The name is
	// an old one, kept because existing stores have it.
	watchedKey = "followed"
	// saveInterval bounds the state that a kill -9 can lose.
	saveInterval = time.Second
	// savePause is the minimum pause between saves, as a multiple of the time that one takes:
	// even in a storm of signals, saving takes no more than a percent of a processor.
	savePause = 100
)

// exits reports the ends of processes if the source does not.
type exits interface {
	outcome.Exits
	Start() error
	Run(ctx context.Context, report func(ends []*kill.End))
	Close() error
}

// openOutcomes prepares to watch the targets of fatal signals, if outcomes are wanted and the
// source is live.
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
		config.Exits, config.Ordered = outcome.ReportedExits{AlsoWatch: c.traits.Watch, Processes: c.processes}, true
		config.Sees = s.sees
	} else {
		watcher := c.newExits(s, c.panics)
		if err := watcher.Start(); err != nil {
			// Signals are worth reporting even without outcomes.
			s.Warn(&problem.Problem{What: "the outcomes of signals will not be known", Err: err})
			return
		}
		config.Exits, c.exits = watcher, watcher
	}
	c.outcomes = newOutcomes(outcome.NewTable(config), s)
}

// resumeOutcomes watches the processes again that were watched before a restart.
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

// expireOutcomes closes episodes that are due until ctx is done.
func (c *Capture) expireOutcomes(ctx context.Context) {
	defer c.outcomes.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.lostEnds:
			c.requestSweep()
		case <-c.outcomes.timer.C:
			c.expire()
		}
	}
}

// requestSweep requests a check of which processes are gone.
func (c *Capture) requestSweep() {
	c.busy.Lock()
	defer c.busy.Unlock()
	c.outcomes.table.RequestSweep()
	c.outcomes.schedule()
}

// expire closes the episodes that are due, and saves the table if that is due.
func (c *Capture) expire() {
	start := time.Now()
	state := c.expireNow(start)
	if state == nil {
		return
	}
	saved := c.outcomes.save(c.lasting, state) // without the lock: nothing should wait for a disk
	c.busy.Lock()
	defer c.busy.Unlock()
	if !saved {
		c.outcomes.table.SaveFailed()
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
		c.outcomes.saves = now.Add(time.Hour) // no other save before this one is done
	}
	c.outcomes.schedule()
	return state
}

// closeDue passes the outcomes that are due to the handler.
func (c *Capture) closeDue() {
	defer c.panics.Contain("finding out the outcome of a process")
	c.outcomes.table.Expire()
	c.flushOutcomes()
}

// flushOutcomes passes outcomes to the handler and flushes at once. The handler itself reports
// what it cannot deliver any more.
func (c *Capture) flushOutcomes() {
	if c.handOutcomes() == nil {
		_ = c.handler.Flush()
	}
}

// settleOutcomes passes the remaining outcomes to the handler at the end. A process that can be
// watched again after a restart has no outcome yet.
func (c *Capture) settleOutcomes() {
	if c.outcomes == nil {
		return
	}
	c.busy.Lock()
	defer c.busy.Unlock()
	defer c.panics.Contain("finding out the outcome of a process")
	c.outcomes.table.Settle()
	if !c.outcomes.keep(c.lasting) {
		c.outcomes.table.Abandon()
	}
	c.flushOutcomes()
}

// outcomes watches the targets of signals; nil watches none. It is used only while
// Capture.busy is held.
type outcomes struct {
	table *outcome.Table
	// store keeps the table over a restart; nil keeps nothing.
	store  source.Store
	logger *zap.Logger

	// timer fires at wakes, when something is due.
	timer *time.Timer
	wakes time.Time
	// saves is the earliest time of the next save.
	saves time.Time
}

func newOutcomes(table *outcome.Table, s *Settings) *outcomes {
	return &outcomes{table: table, store: s.Store, logger: s.Logger, timer: time.NewTimer(0)}
}

func (o *outcomes) signal(e *kill.Event) {
	if o != nil {
		o.table.Signal(e)
	}
}

func (o *outcomes) exited(end *kill.End) {
	if o != nil {
		o.table.Exited(end)
	}
}

// take returns the outcomes since the last call.
func (o *outcomes) take() []*kill.Event {
	if o == nil {
		return nil
	}
	return o.table.TakeOutcomes()
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
	return o.table.Unwatched()
}

// schedule sets the timer.
func (o *outcomes) schedule() {
	if o == nil {
		return
	}
	next := o.table.NextDue()
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

// resume watches the processes again that were watched before the restart.
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

// due returns the state to save now; nil if no save is due.
func (o *outcomes) due(now time.Time) []byte {
	if o.store == nil || !o.table.Changed() || o.saves.IsZero() || o.saves.After(now) {
		return nil
	}
	return o.state()
}

// keep saves the table at the end, and reports whether that worked.
func (o *outcomes) keep(ctx context.Context) bool {
	if o.store == nil {
		return false
	}
	state := o.state()
	return state != nil && o.save(ctx, state)
}

// state returns the state of the table to store; nil if that failed.
func (o *outcomes) state() []byte {
	data, err := o.table.Save()
	if err != nil {
		o.logger.Error("the processes that are watched cannot be stored, a restart will forget them", zap.Error(err))
	}
	return data
}

// save stores the state of the table, and reports whether that worked.
func (o *outcomes) save(ctx context.Context, state []byte) bool {
	err := o.store.Set(ctx, watchedKey, state)
	if err != nil {
		o.logger.Warn("the processes that are watched could not be stored, a restart would forget them",
			zap.String("key", watchedKey), zap.Error(err))
	}
	return err == nil
}
