// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"time"
)

// ErrGone is returned if a process ended before it could be watched.
var ErrGone = errors.New("the process has ended already")

// MaxWatches is how many processes are watched at a time. Few hosts have more that are slow
// to die. Each takes a kilobyte and, with the audit sources, a file descriptor: systemd
// gives a service 524288, a container may have fewer.
const MaxWatches = 4096

// Target is a process as an event describes it.
type Target struct {
	PID int
	// Start is when it was created, since boot, accurate to 10 ms; 0 if the event does not say.
	Start time.Duration
	// Command is its name at the time; empty if not known.
	Command string
	// At is when the event happened, since boot; accurate to 10 ms if from the audit system.
	At time.Duration
	// Killed is true if the signal was SIGKILL, which no process survives for long.
	Killed bool
}

// Exits watches for the ends of processes.
type Exits interface {
	// Watch makes sure that the end of a process is reported, and returns when the process
	// was created. It fails with ErrGone if the process has ended; another process may have
	// its pid by then. Any other error says why the process cannot be watched.
	Watch(target Target) (start time.Duration, err error)
	// Resume is Watch for a process that was watched before the collector was restarted.
	Resume(pid int, start time.Duration) error
	// Unwatch stops watching a process.
	Unwatch(pid int)
	// Alive reports whether the process with that pid and start has not ended.
	Alive(pid int, start time.Duration) bool
}
