// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

var errTooMany = &problem.Problem{
	What:   fmt.Sprintf("%d processes are watched already", MaxWatches),
	Advice: []problem.Advice{problem.WatchFewer},
}

// Config says how to follow processes.
type Config struct {
	// Timeout is how long after its first fatal signal a process is waited for.
	Timeout time.Duration
	// HostID and BootID name the host and this life of it.
	HostID, BootID string
	// Exits sees the ends of processes. Ordered is true if an end is reported only after
	// all signals to its process.
	Exits   Exits
	Ordered bool
	// Conceal returns what may be stored of a command line.
	Conceal func(commandLine string) string
	// SinceBoot tells how long the host runs.
	SinceBoot func() time.Duration
	// Warn is told of processes whose outcome will not be known.
	Warn func(*problem.Problem)
}

// Table holds the episodes that are open. It is not safe for concurrent use, but for
// Watched and Dropped.
type Table struct {
	config Config
	ids    *ids
	now    func() time.Time

	open map[int]*episode
	// waiting are those whose process lives, missing those whose process is gone, of
	// which its end may still tell more, and ended those whose process has ended; all by
	// the time at which they are due.
	waiting, missing, ended *list.List
	calls                   map[kill.Span]*call
	// closed are those whose outcome was told, the first one first, and their spans.
	closed   map[instance]kill.Span
	closings []instance
	// held is how many signals all episodes hold, swept when it was last looked who is
	// gone.
	held  int
	swept time.Time
	// doubt is true if ends may not have been told.
	doubt   bool
	told    []*kill.Event
	changed bool

	watched, dropped atomic.Int64
}

// NewTable returns a table that follows nobody yet.
func NewTable(config Config) *Table {
	return &Table{
		config: config, ids: newIDs(config.HostID, config.BootID), now: time.Now,
		open: map[int]*episode{}, waiting: list.New(), missing: list.New(), ended: list.New(),
		calls: map[kill.Span]*call{}, closed: map[instance]kill.Span{},
	}
}

// Take returns the outcomes that have come about since it was last called: events of
// kill.KindOutcome and kill.KindCall.
func (t *Table) Take() []*kill.Event {
	told := t.told
	t.told = nil
	return told
}

// Changed reports whether there is something to Save.
func (t *Table) Changed() bool { return t.changed }

// Unsaved says that what Save has returned could not be kept.
func (t *Table) Unsaved() { t.changed = true }

// Watched returns how many processes are followed.
func (t *Table) Watched() int64 { return t.watched.Load() }

// Dropped returns how many could not be followed, since the start.
func (t *Table) Dropped() int64 { return t.dropped.Load() }
