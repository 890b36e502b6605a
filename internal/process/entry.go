// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// Key names one life of a process.
type Key struct {
	PID int
	// Start is when it was created, since boot (CLOCK_BOOTTIME).
	Start time.Duration
}

// keyOf returns the key of the process that a stat file is about.
func keyOf(s *procstat.Stat) Key { return Key{PID: s.PID, Start: s.Start} }

// rounded returns the key as /proc tells it.
func (k Key) rounded() Key { return Key{PID: k.PID, Start: k.Start.Truncate(procstat.Tick)} }

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
	// sought is the control group that /proc was last asked for, so that it is not asked
	// again where it does not know.
	sought CgroupID
	// instance is made of the above when it is needed.
	instance *kill.Instance

	// seen is when /proc last told that it lives and what it runs, read when it was
	// asked for everything.
	seen, read time.Duration
	// notReusedUntil is the last snapshot by which nobody else can have had the pid; zero
	// if /proc was never asked.
	notReusedUntil snapshot
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

// snapshot is the state of the pid allocator at one time.
type snapshot struct {
	at time.Duration
	// cursor is the last pid given out, births how many processes and threads
	// there ever were; 0 if not known.
	cursor, births int
}

// mayBeNew reports whether a pid may have been given out between two snapshots.
//
// The kernel gives out pids in a circle. So only those can be new that the cursor
// has passed, unless it has passed them all, was turned back (ns_last_pid), or a
// pid was chosen (clone3(2), set_tid): then there were more births than that.
func mayBeNew(pid int, from, to snapshot) bool {
	if from.cursor == 0 || to.cursor == 0 || from.births == 0 || to.births == 0 {
		return true
	}
	passed, within := to.cursor-from.cursor, from.cursor < pid && pid <= to.cursor
	if passed < 0 { // round the end, wherever that is
		passed, within = to.cursor, pid > from.cursor || pid <= to.cursor
	}
	return within || to.births-from.births > passed
}
