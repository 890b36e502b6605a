// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// openOutcomes makes ready to follow processes, if that is wanted and the source can.
func (w *Watch) openOutcomes() error {
	if w.config.OutcomeTimeout == 0 {
		return nil
	}
	config := outcome.Config{
		Timeout: w.config.OutcomeTimeout, HostID: w.config.Host.ID, BootID: w.config.Host.Boot,
		Conceal: w.config.CommandLine.Apply, SinceBoot: process.SinceBoot, Logger: w.logger,
	}
	teller, tells := w.source.Source.(outcome.Teller)
	switch {
	case tells:
		config.Exits, config.Punctual = outcome.Told{Source: teller, Processes: w.processes}, true
	case w.source.exits == nil: // what is in a log may have happened long ago
		return nil
	default:
		if err := w.source.exits.Start(); err != nil {
			// Signals are worth telling without it.
			w.logger.Warn("what becomes of processes will not be told", zap.Error(err))
			return w.source.exits.Close()
		}
		config.Exits, w.watching = w.source.exits, true
	}
	w.outcomes = outcome.NewTable(config)
	return nil
}

// lostEnds is told by the source that ends of processes were lost.
func (w *Watch) lostEnds() {
	select {
	case w.doubts <- struct{}{}:
	default: // it will be looked
	}
}

// follow finds out what becomes of the targets of signals.
type follow struct {
	// table is nil if nobody is followed.
	table *outcome.Table
	timer *time.Timer
	show  func(*kill.Event) error
}

func newFollow(table *outcome.Table, show func(*kill.Event) error) *follow {
	timer := time.NewTimer(time.Hour)
	timer.Stop() // until there is something to wait for
	return &follow{table: table, timer: timer, show: show}
}

func (f *follow) struck(e *kill.Event) {
	if f.table != nil {
		f.table.Struck(e)
	}
}

func (f *follow) exited(e *kill.Event) {
	if f.table != nil {
		f.table.Exited(e)
	}
}

func (f *follow) doubt() {
	if f.table != nil {
		f.table.Doubt()
	}
}

// tell shows what has become of processes.
func (f *follow) tell() error {
	if f.table == nil {
		return nil
	}
	for _, e := range f.table.Take() {
		if e.Kind != kill.KindOutcome {
			continue // of a call that struck many each is told
		}
		if err := f.show(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *follow) expire() error {
	if f.table != nil {
		f.table.Expire()
	}
	return f.tell()
}

// settle shows the outcomes of all that have ended. Those that live are not worth a line
// to somebody who does not want to wait for them.
func (f *follow) settle() error {
	if f.table != nil {
		f.table.Settle()
	}
	return f.tell()
}

// schedule sets the timer to when there is something to do.
func (f *follow) schedule() {
	if f.table == nil {
		return
	}
	if next := f.table.Next(); next.IsZero() {
		f.timer.Stop()
	} else {
		f.timer.Reset(time.Until(next))
	}
}
