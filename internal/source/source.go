// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package source defines what all sources of signal events have in common. Each source has
// a folder of its own below this one.
package source

import (
	"context"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Observation is one thing that a source has seen. Exactly one of its fields is set.
type Observation struct {
	// Event is a signal, a crash that the kernel reports, or an act that blinds the monitor.
	Event *kill.Event
	// End is the end of a process.
	End *kill.End
	// Fact is something that helps to explain signals. Nobody takes note of it if it is lost.
	Fact *attribution.Fact
}

// Events returns events as observations.
func Events(events []*kill.Event) []Observation {
	seen := make([]Observation, len(events))
	for i, e := range events {
		seen[i].Event = e
	}
	return seen
}

// Ends returns the ends of processes as observations.
func Ends(ends []*kill.End) []Observation {
	seen := make([]Observation, len(ends))
	for i, end := range ends {
		seen[i].End = end
	}
	return seen
}

// Deliver hands observations on. It returns nil once they have been accepted or given up,
// so that the source may forget them. It returns an error if they were not delivered
// because the receiver is shutting down. It blocks while the pipeline cannot accept them.
type Deliver func(seen []Observation) error

// Source turns what it reads from the kernel or from a file into observations.
type Source interface {
	// Start checks and opens what the source needs. It fails if a person has to fix
	// something. From then on the source misses nothing.
	Start(ctx context.Context) error
	// Traits declares what the source can do. It is called after Start.
	Traits() Traits
	// Run delivers observations until ctx is done, and then those that are still
	// incomplete. It is called once, after Start.
	Run(ctx context.Context, deliver Deliver)
	// Close releases what Start has opened. It is called after Run, or instead of it.
	Close() error
}

// Traits declares what a source can do, so that no caller has to know which one it is.
type Traits struct {
	// Way is how the source sees signals, such as "ebpf", "multicast" or "file".
	Way string
	// Live is true if the source reports events as they happen, and cannot report them again.
	Live bool
	// TracksProcesses is true if the source keeps the process table up to date.
	TracksProcesses bool
	// Watch is set if the source reports the end of each process that it has reported a
	// signal to, and only after all signals to it. Watch makes it report the end of another
	// process: start is when that process was created, since boot.
	Watch func(pid int, start time.Duration)
	// InfersLimits is true if the source reports kills for lack of memory, but can only infer what was out of it
	// (kill.OutOfMemory.Inferred), so that the kernel's log has something to add.
	InfersLimits bool
}

// Store keeps a few values across restarts. The collector's storage.Client is one.
type Store interface {
	// Get returns the value of a key, or nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set replaces the value of a key.
	Set(ctx context.Context, key string, value []byte) error
}
