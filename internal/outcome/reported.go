// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/process"
)

// ReportedExits adapts a source that itself reports the end of each process to which it has
// reported a signal.
type ReportedExits struct {
	// AlsoWatch makes the source report the end of a process to which it has seen no signal.
	AlsoWatch func(pid int, start time.Duration)
	// Processes are the processes of the host.
	Processes *process.Table
}

var _ Exits = ReportedExits{}

// Watch implements Exits.
func (ReportedExits) Watch(target Target) (time.Duration, error) { return target.Start, nil }

// Resume implements Exits.
func (r ReportedExits) Resume(pid int, start time.Duration) error {
	r.AlsoWatch(pid, start)
	if !r.Alive(pid, start) {
		return ErrGone
	}
	return nil
}

// Unwatch implements Exits. There is nothing to release.
func (ReportedExits) Unwatch(int) {}

// Alive implements Exits.
func (r ReportedExits) Alive(pid int, start time.Duration) bool {
	return r.Processes.Lives(process.Key{PID: pid, Start: start})
}
