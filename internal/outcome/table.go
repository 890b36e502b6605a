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

var errTooManyOfUser = &problem.Problem{
	What:   "the watched processes of its user already take as much room as is left for all others",
	Advice: []problem.Advice{problem.WatchFewer},
}

// Config configures a Table.
type Config struct {
	// Timeout is how long a process is watched after its first fatal signal.
	Timeout time.Duration
	// HostID and BootID identify the host and its current boot.
	HostID, BootID string
	// Exits watches processes. Ordered is true if the end of a process is reported only
	// after all signals to it.
	Exits   Exits
	Ordered bool
	// Sees reports whether a signal would have been seen, whoever has sent it; nil if none need be.
	Sees func(kill.Signal) bool
	// Conceal returns what may be stored of a command line.
	Conceal func(commandLine string) string
	// SinceBoot returns how long the host has been up.
	SinceBoot func() time.Duration
	// Warn receives a problem for each process whose outcome will not be known.
	Warn func(*problem.Problem)
}

// Table holds the open episodes. It is not safe for concurrent use, except for Watched and
// Unwatched.
type Table struct {
	config Config
	ids    *ids
	now    func() time.Time

	// open has the open episode of each pid. Each is in one of three queues: alive while
	// its process is watched, gone once the process is gone but its end was not reported
	// yet, ended once the end is known. All are in the order in which episodes are due.
	open               map[int]*episode
	alive, gone, ended *list.List
	calls              map[kill.Span]*call
	// closed has the spans of the episodes of processes that have ended, survivors the signals that others have got.
	closed    memory[kill.Span]
	survivors memory[numbers]
	// alivePerUser is how many processes of each user are watched.
	alivePerUser map[kill.ID]int
	// held is how many signals all episodes hold.
	held int
	// lastSweep is when the table last checked which processes are gone, sweepRequested
	// is true if it should check again because ends may have been lost.
	lastSweep      time.Time
	sweepRequested bool
	// outcomes are the events that TakeOutcomes returns next.
	outcomes []*kill.Event
	changed  bool

	watched, unwatched atomic.Int64
}

// NewTable returns a table that watches no process yet.
func NewTable(config Config) *Table {
	return &Table{
		config: config, ids: newIDs(config.HostID, config.BootID), now: time.Now,
		open: map[int]*episode{}, alive: list.New(), gone: list.New(), ended: list.New(),
		calls: map[kill.Span]*call{}, alivePerUser: map[kill.ID]int{},
	}
}

// TakeOutcomes returns the outcomes since the last call: events of kill.KindOutcome and
// kill.KindCall.
func (t *Table) TakeOutcomes() []*kill.Event {
	outcomes := t.outcomes
	t.outcomes = nil
	return outcomes
}

// Changed reports whether there is something to Save.
func (t *Table) Changed() bool { return t.changed }

// SaveFailed notes that what Save returned could not be stored.
func (t *Table) SaveFailed() { t.changed = true }

// Watched returns how many processes are watched.
func (t *Table) Watched() int64 { return t.watched.Load() }

// Unwatched returns how many processes could not be watched, since the start.
func (t *Table) Unwatched() int64 { return t.unwatched.Load() }
