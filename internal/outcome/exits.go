// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"time"
)

// ErrGone says that a process has ended before it could be followed.
var ErrGone = errors.New("the process has ended already")

// MaxWatches is how many processes are followed at a time. Few hosts have more that take
// their time to die; each takes a kilobyte and, with the audit sources, a file
// descriptor, of which systemd gives a service 524288 and a container may have fewer.
const MaxWatches = 4096

// Target is a process as an event tells of it.
type Target struct {
	PID int
	// Start is when it was created, since boot, to 10 ms; 0 if the event does not tell.
	Start time.Duration
	// Command is its name at the time; empty if not known.
	Command string
	// At is when the event happened, since boot. The audit system tells that to 10 ms.
	At time.Duration
	// Killed is true if the signal was SIGKILL, which nobody outlives for long.
	Killed bool
}

// Exits tells of the ends of processes.
type Exits interface {
	// Follow sees to it that the end of a process is reported,
	// and returns when the process was created. It fails with ErrGone if the process
	// has ended, and its pid may be another's by now; any other error says why the
	// process cannot be followed.
	Follow(target Target) (start time.Duration, err error)
	// Resume is Follow for a process that was followed before the collector was
	// restarted.
	Resume(pid int, start time.Duration) error
	// Forget ends that.
	Forget(pid int)
	// Lives reports whether the process that was created then has not ended.
	Lives(pid int, start time.Duration) bool
}
