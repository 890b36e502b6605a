// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
)

const (
	// followedKey is where those who are followed are kept over a restart.
	followedKey = "followed"
	// saveInterval is how much of what happened may be forgotten by kill -9, savePause
	// how many times longer than saving the pause after it is at least, so that a storm
	// of signals takes no more than a percent of a processor for it.
	saveInterval = time.Second
	savePause    = 100
	// spanInterval is how often it is looked whether the next consumer takes more spans.
	spanInterval = 100 * time.Millisecond
)

// follow finds out what becomes of the targets of signals. A nil one follows nobody. It
// is used by the delivery while that is busy.
type follow struct {
	table *outcome.Table
	// storage keeps the table over a restart; nil if nothing does.
	storage storage.Client
	logger  *zap.Logger

	// timer fires at wakes, when there is something to do.
	timer *time.Timer
	wakes time.Time
	// doubts holds a token once the source has lost ends of processes.
	doubts <-chan struct{}
	// saves is when the table may be saved again.
	saves time.Time
}

func newFollow(table *outcome.Table, client storage.Client, doubts <-chan struct{}, logger *zap.Logger) *follow {
	return &follow{table: table, storage: client, doubts: doubts, logger: logger, timer: time.NewTimer(0)}
}

func (f *follow) struck(e *kill.Event) {
	if f != nil {
		f.table.Struck(e)
	}
}

func (f *follow) exited(e *kill.Event) {
	if f != nil {
		f.table.Exited(e)
	}
}

// take returns the outcomes that have come about.
func (f *follow) take() []*kill.Event {
	if f == nil {
		return nil
	}
	return f.table.Take()
}

// schedule sets the timer. Spans wait if they could not be handed on yet.
func (f *follow) schedule(spansWait bool) {
	if f == nil {
		return
	}
	next := f.table.Next()
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if spansWait {
		sooner(time.Now().Add(spanInterval))
	}
	if f.storage != nil && f.table.Changed() {
		if f.saves.IsZero() {
			f.saves = time.Now().Add(saveInterval)
		}
		sooner(f.saves)
	}
	if !next.IsZero() && (f.wakes.IsZero() || next.Before(f.wakes)) {
		f.wakes = next
		f.timer.Reset(time.Until(next))
	}
}

// restore goes on with those who were followed before the collector was restarted.
func (f *follow) restore(ctx context.Context) {
	if f.storage == nil {
		return
	}
	data, err := f.storage.Get(ctx, followedKey)
	if err == nil {
		err = f.table.Restore(data)
	}
	if err != nil {
		f.logger.Error("what became of processes that were signaled before the restart will not be told",
			zap.String("key", followedKey), zap.Error(err))
	}
}

// due returns what is to be saved now; nil if nothing is.
func (f *follow) due(now time.Time) []byte {
	if f.storage == nil || !f.table.Changed() || f.saves.IsZero() || f.saves.After(now) {
		return nil
	}
	return f.state()
}

// state returns what keeps the table over a restart; nil if that cannot be had.
func (f *follow) state() []byte {
	data, err := f.table.Save()
	if err != nil {
		f.logger.Error("the processes that are followed cannot be stored, a restart will forget them", zap.Error(err))
	}
	return data
}

// save keeps the state of the table. It reports whether that is done.
func (f *follow) save(ctx context.Context, state []byte) bool {
	err := f.storage.Set(ctx, followedKey, state)
	if err != nil {
		f.logger.Warn("the processes that are followed could not be stored, a restart would forget them",
			zap.String("key", followedKey), zap.Error(err))
	}
	return err == nil
}

// followAll tells what is due until ctx is done.
func (d *delivery) followAll(ctx context.Context) {
	defer d.follow.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.follow.doubts:
			d.doubt()
		case <-d.follow.timer.C:
			d.expire() //nolint:contextcheck // what is handed on has a context of its own
		}
	}
}

// doubt has it looked who is gone.
func (d *delivery) doubt() {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.follow.table.Doubt()
	d.schedule()
}

// expire tells what is due, and saves what is to be.
func (d *delivery) expire() {
	start := time.Now()
	state := d.expireNow(start)
	if state == nil {
		return
	}
	saved := d.follow.save(d.context, state) // nobody is to wait for a disk
	d.busy.Lock()
	defer d.busy.Unlock()
	if !saved {
		d.follow.table.Unsaved()
	}
	now := time.Now()
	d.follow.saves = now.Add(max(saveInterval, savePause*now.Sub(start)))
	d.schedule()
}

func (d *delivery) expireNow(now time.Time) (state []byte) {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.follow.wakes = time.Time{}
	d.follow.table.Expire()
	_ = d.flushOutcomes() // which has told what it could not hand on
	if state = d.follow.due(now); state != nil {
		d.follow.saves = now.Add(time.Hour) // not again before this is done
	}
	d.schedule()
	return state
}

// unfollow tells what is left at shutdown. Who can be followed again after a restart
// has no outcome yet.
func (d *delivery) unfollow() {
	d.busy.Lock()
	defer d.busy.Unlock()
	f := d.follow
	f.table.Settle()
	kept := false
	if f.storage != nil {
		if state := f.state(); state != nil {
			kept = f.save(d.context, state)
		}
	}
	if !kept {
		f.table.Abandon()
	}
	_ = d.flushOutcomes() // which has told what it could not hand on
}

func (d *delivery) flushOutcomes() error {
	counts := eventCounts{}
	if err := d.tellOutcomes(time.Now(), &counts); err != nil {
		return err
	}
	d.count(&counts)
	return d.flush()
}

func (d *delivery) schedule() { d.follow.schedule(d.traces != nil && d.spans.Len() > 0) }
