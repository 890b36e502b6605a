// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// Key identifies one life of a process: a pid may be reused.
type Key struct {
	PID int
	// Start is when the process was created, since boot (CLOCK_BOOTTIME).
	Start time.Duration
}

// keyOf returns the key of the process that a stat file is about.
func keyOf(s *procstat.Stat) Key { return Key{PID: s.PID, Start: s.Start} }

// rounded returns the key with the precision of /proc.
func (k Key) rounded() Key { return Key{PID: k.PID, Start: k.Start.Truncate(procstat.Tick)} }

// program is what a process runs. Forked processes share it, so it is never changed.
type program struct{ command, executable, commandLine string }

// entry is one life of a process.
type entry struct {
	Key
	parent int
	// program is nil until it is known; empty if it never will be.
	program *program
	// before is what the process ran before the last exec that was noticed in /proc.
	before *program
	// reported is true if the kernel reports what the process runs, so that /proc need not be read.
	reported bool
	// gone is true once the process is known to have ended.
	gone bool
	// forgotten is true once it has been removed from the memory.
	forgotten bool
	// place is where the process belongs; nil if that is not known. cgroup is its id, zero if the
	// path comes from /proc.
	place  *place
	cgroup CgroupID
	// sought is the control group that was last searched for in /proc. If it was not found, it is
	// not searched for again.
	sought CgroupID
	// instance is made from the above when it is needed.
	instance *kill.Instance

	// seen is when /proc last showed that the process lives and what it runs, read when everything
	// was last read.
	seen, read time.Duration
	// notReusedUntil is the last snapshot at which no other process can have had the pid; zero if
	// /proc was never read.
	notReusedUntil snapshot
	// left is when it has ended, in nanoseconds since 1970; 0 if that was not reported.
	left int64
	// round is the last scan that found the process.
	round uint64
	owner owner
	begun begun
	home  home
	// batch is that in which /proc was last read, 0 if in none.
	batch uint64
	// parents are those that an event of the process had last.
	parents   []kill.Ancestor
	parentsOf parentsOf

	// older is the previous process with this pid.
	older *entry
}

// snapshot is the state of the pid allocator at one time.
type snapshot struct {
	at time.Duration
	// cursor is the last pid given out, births the number of processes and threads created since
	// boot; 0 if not known.
	cursor, births int
}

// mayBeNew reports whether a pid may have been given out between two snapshots.
//
// The kernel gives out pids in a circle. So only pids that the cursor has passed can be new, unless
// it has passed them all, was set back (ns_last_pid), or a pid was chosen (clone3(2), set_tid):
// then there were more births than pids passed.
func mayBeNew(pid int, from, to snapshot) bool {
	if from.cursor == 0 || to.cursor == 0 || from.births == 0 || to.births == 0 {
		return true
	}
	passed, within := to.cursor-from.cursor, from.cursor < pid && pid <= to.cursor
	if passed < 0 { // past the end of the circle, wherever that is
		passed, within = to.cursor, pid > from.cursor || pid <= to.cursor
	}
	return within || to.births-from.births > passed
}
