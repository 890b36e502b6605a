// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
)

// Teller is a source of signals that tells by itself of the end of each process that
// it has told a signal to.
type Teller interface {
	// Follow makes it tell of the end of a process to which it knows of no signal.
	Follow(pid int, start time.Duration)
}

// Told are the Exits of a Teller.
type Told struct {
	Source Teller
	// Processes are those of the host.
	Processes *process.Table
}

var _ Exits = Told{}

// Follow implements Exits.
func (Told) Follow(target Target) (time.Duration, error) { return target.Start, nil }

// Resume implements Exits.
func (t Told) Resume(pid int, start time.Duration) error {
	t.Source.Follow(pid, start)
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
