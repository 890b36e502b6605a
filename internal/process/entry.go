// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// tick is how exactly /proc tells when a process was created: USER_HZ, which is
// 100 wherever Go runs.
const tick = 10 * time.Millisecond

// Key names one life of a process.
type Key struct {
	PID int
	// Start is when it was created, since boot (CLOCK_BOOTTIME).
	Start time.Duration
}

// rounded returns the key as /proc tells it.
func (k Key) rounded() Key { return Key{PID: k.PID, Start: k.Start.Truncate(tick)} }

// program is what a process runs. Processes that were forked share it, so it is
// never changed.
type program struct{ command, executable, commandLine string }

// entry is one life of a process.
type entry struct {
	Key
	parent int
	// program is nil until it is known; empty if it never will be.
	program *program
	// before is what it ran before the last exec that was noticed in /proc.
	before *program
	// told is true if the kernel tells what it runs, so that /proc is not asked.
	told bool
	// place is where it belongs; nil if not known. cgroup is the id of that, zero
	// if /proc told the path.
	place  *place
	cgroup CgroupID
	// instance is made of the above when it is needed.
	instance *kill.Instance

	// seen is when /proc last told that it lives and what it runs, read when it was
	// asked for everything.
	seen, read time.Duration
	// clear is the last moment at which nobody else could have had the pid; zero
	// if /proc was never asked. closed is true if somebody could later.
	clear  moment
	closed bool
	// gone is true once the process is known to have ended.
	gone bool
	// round is the last scan that found it.
	round uint64
	owner owner

	// older is who had the pid before.
	older *entry
	// forgotten is true once it is out of the memory.
	forgotten bool
}

// moment is a point in the giving out of pids.
type moment struct {
	at time.Duration
	// cursor is the last pid given out; 0 if not known.
	cursor int
}
