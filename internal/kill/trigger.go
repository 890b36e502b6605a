// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// Trigger is what made the kernel send a signal on its own account, as far as the cause does not say it. Events
// share it, so it is never changed.
type Trigger struct {
	// CPUTime is the limit that CauseCPULimit is about; 0 if not known. The kernel raises a soft limit by a
	// second whenever the process survives it.
	CPUTime time.Duration
	// Realtime is true if that is the limit to how long a realtime thread runs without a pause (RLIMIT_RTTIME).
	Realtime bool
	// Fault is what the crash of CauseCrash is about: an address of memory or, of SIGILL and SIGFPE, of the instruction.
	Fault Address
	// FileSize is the limit of CauseFileSizeLimit, in bytes.
	FileSize Amount
	// Terminal is the terminal of CauseTerminalKey and CauseTerminalHangup, without /dev/; empty if not known.
	Terminal string
	// Cgroup is the path of the control group of CauseCgroupKill; empty if not known.
	Cgroup string
	// ParentExit is how the parent of CauseParentDeath has ended. It is not known if only the thread has ended
	// that had started the target.
	ParentExit Exit
}

// Address is an address in the memory of a process, which may be unknown. The zero value is unknown.
type Address struct {
	Value uint64
	Known bool
}

// NewAddress returns an Address that is known.
func NewAddress(value uint64) Address { return Address{Value: value, Known: true} }
