// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// OutOfMemory is which limit the kernel ran into when it killed for lack of memory. What each victim held is
// its Memory. Events share it, so it is never changed.
type OutOfMemory struct {
	// Constraint is what was out of memory, as the kernel's log names it (mm/oom_kill.c,
	// oom_constraint_text), without CONSTRAINT_ and in lower case; empty if not known.
	Constraint OOMConstraint
	// Inferred is true if constraint and cgroup were not told by the kernel, but follow from how full the
	// victim's cgroups were.
	Inferred bool
	// Cgroup is the path of the memory control group that reached its limit; empty if it was none.
	Cgroup string
	// Limit and Usage are that group's, in bytes, at the time of the kill.
	Limit, Usage Amount
	// Invoker is the process that asked for memory when none was left. It is mostly not the victim, and
	// is to blame for nothing. Only its PID and Command count: both are stored as they are.
	Invoker Process
}

// OOMConstraint is a value of the attribute kill.oom.constraint.
type OOMConstraint string

const (
	// OOMConstraintNone is a host without memory.
	OOMConstraintNone OOMConstraint = "none"
	// OOMConstraintMemcg is a memory control group at its limit.
	OOMConstraintMemcg OOMConstraint = "memcg"
	// OOMConstraintCpuset and OOMConstraintMempolicy are memory nodes without memory, outside of which the
	// process may not allocate.
	OOMConstraintCpuset    OOMConstraint = "cpuset"
	OOMConstraintMempolicy OOMConstraint = "mempolicy"
)

// Memory is what a process held when the kernel killed it for lack of memory. Events share it, so it is never
// changed.
type Memory struct {
	// AnonRSS, FileRSS and ShmemRSS are its resident memory, TotalVM is its address space and PageTables
	// what its page tables take, all in bytes.
	AnonRSS, FileRSS, ShmemRSS, TotalVM, PageTables Amount
	// ScoreAdj is its oom_score_adj, from -1000 to 1000 (proc_pid_oom_score_adj(5)).
	ScoreAdj Amount
}

// Amount is a number that may be unknown. The zero value is unknown.
type Amount struct {
	Value int64
	Known bool
}

// NewAmount returns an Amount that is known.
func NewAmount(value int64) Amount { return Amount{Value: value, Known: true} }
