// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package source says what all sources of signal events have in common. Each
// source has a folder of its own below this one.
package source

import (
	"context"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Deliver hands events on. It returns nil once they have been taken, or are
// given up for good, so that they may be forgotten; it returns an error if they
// were not delivered because the receiver is shutting down. It blocks while the
// pipeline is not able to take them.
type Deliver func(events []*kill.Event) error

// Source turns bytes of the kernel's or of a file into events.
type Source interface {
	// Start checks and opens what the source needs, and fails if a human has
	// to mend something. The source sees everything from here on.
	Start(ctx context.Context) error
	// Run delivers events until ctx is done, and then those that it has begun
	// to gather. It is called once, after Start.
	Run(ctx context.Context, deliver Deliver)
	// Close releases what Start has opened. It is called after Run, or instead
	// of it.
	Close() error
}
