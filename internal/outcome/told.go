// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
)

// Told are the Exits of a source that tells by itself of the end of each process that
// it has told a signal to.
type Told struct {
	// Processes are those of the host.
	Processes *process.Table
	// Again makes the source tell of the end of a process that it knows nothing of.
	Again func(pid int, start time.Duration)
}

var _ Exits = Told{}

// Follow implements Exits.
func (Told) Follow(target Target) (time.Duration, error) { return target.Start, nil }

// Resume implements Exits.
func (t Told) Resume(pid int, start time.Duration) error {
	t.Again(pid, start)
	if !t.Lives(pid, start) {
		return ErrGone
	}
	return nil
}

// Forget implements Exits. Nothing is held for a process.
func (Told) Forget(int) {}

// Lives implements Exits.
func (t Told) Lives(pid int, start time.Duration) bool {
	return t.Processes.Lives(process.Key{PID: pid, Start: start})
}
