// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
)

// ReportedExits adapts a source that reports the end of each process that it has reported a
// signal to.
type ReportedExits struct {
	// WatchToo makes the source report the end of a process to which it knows of no signal.
	WatchToo func(pid int, start time.Duration)
	// Processes are those of the host.
	Processes *process.Table
}

var _ Exits = ReportedExits{}

// Follow implements Exits.
func (ReportedExits) Follow(target Target) (time.Duration, error) { return target.Start, nil }

// Resume implements Exits.
func (r ReportedExits) Resume(pid int, start time.Duration) error {
	r.WatchToo(pid, start)
	if !r.Lives(pid, start) {
		return ErrGone
	}
	return nil
}

// Forget implements Exits. Nothing is held for a process.
func (ReportedExits) Forget(int) {}

// Lives implements Exits.
func (r ReportedExits) Lives(pid int, start time.Duration) bool {
	return r.Processes.Lives(process.Key{PID: pid, Start: start})
}
