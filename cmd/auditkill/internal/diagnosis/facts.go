// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"slices"
	"time"
)

// Facts are what was found on a host. They are a part of the JSON of auditkill doctor, whose
// help documents them.
type Facts struct {
	// OS is Go's name of the operating system.
	OS string `json:"os"`
	// Kernel is the release and Machine the architecture that uname(2) returns.
	Kernel  string `json:"kernel"`
	Machine string `json:"machine"`
	// UserID is the effective user, Capabilities are those of its capabilities that help, such
	// as "CAP_BPF".
	UserID       int        `json:"user_id"`
	Capabilities []string   `json:"capabilities"`
	Namespaces   Namespaces `json:"namespaces"`
	// Lockdown is none, integrity or confidentiality (kernel_lockdown(7)); empty if the kernel
	// does not support it, or does not say.
	Lockdown string `json:"lockdown"`
	// BTF is true if the kernel has type information.
	BTF     bool    `json:"btf"`
	BPF     BPF     `json:"bpf"`
	Audit   Audit   `json:"audit"`
	Rules   Rules   `json:"rules"`
	Log     Log     `json:"log"`
	Systemd Systemd `json:"systemd"`
	// KernelLog is where the audit sources take kills for lack of memory from, and ebpf which limit was reached.
	KernelLog KernelLog `json:"kernel_log"`
	// Containers are what runtimes and Kubernetes leave on the host.
	Containers Containers `json:"containers"`
}

// The capabilities that help (capabilities(7)).
const (
	capAuditControl = "CAP_AUDIT_CONTROL"
	capAuditRead    = "CAP_AUDIT_READ"
	capBPF          = "CAP_BPF"
	capPerfmon      = "CAP_PERFMON"
	capSysAdmin     = "CAP_SYS_ADMIN"
	capReadSearch   = "CAP_DAC_READ_SEARCH"
	capOverride     = "CAP_DAC_OVERRIDE"
	capPtrace       = "CAP_SYS_PTRACE"
)

// lacking returns the needed capabilities that are missing.
func (f *Facts) lacking(needed ...string) []string {
	return slices.DeleteFunc(needed, func(name string) bool { return slices.Contains(f.Capabilities, name) })
}

// Namespace says whether a namespace is the host's own.
type Namespace string

// The values of Namespace.
const (
	NamespaceInitial Namespace = "initial"
	NamespaceOther   Namespace = "other"
	NamespaceUnknown Namespace = "unknown"
)

// Namespaces are the namespaces that the sources depend on (namespaces(7)).
type Namespaces struct {
	User    Namespace `json:"user"`
	PID     Namespace `json:"pid"`
	Network Namespace `json:"network"`
}

// BPF says whether the programs that trace signals can be loaded.
type BPF struct {
	Possible bool       `json:"possible"`
	Problem  BPFProblem `json:"problem"`
	Error    string     `json:"error"`
	// TracesMemory is true if the function of the kernel can be traced that knows which limit was reached.
	TracesMemory bool `json:"traces_memory"`
}

// BPFProblem is why they cannot.
type BPFProblem string

// The values of BPFProblem.
const (
	BPFNone BPFProblem = ""
	// BPFRefused is a lack of capabilities, or a policy.
	BPFRefused BPFProblem = "refused"
	// BPFAbsent is a kernel without bpf(2).
	BPFAbsent BPFProblem = "absent"
	// BPFTooOld is a kernel that lacks what the programs use.
	BPFTooOld BPFProblem = "too_old"
	// BPFUnsupported is a processor without programs.
	BPFUnsupported BPFProblem = "unsupported"
	// BPFOther is anything else.
	BPFOther BPFProblem = "other"
)

// AuditState is the state of the audit system.
type AuditState string

// The states of the audit system. The first three are the kernel's enabled 1, 0 and 2.
const (
	AuditOn     AuditState = "on"
	AuditOff    AuditState = "off"
	AuditLocked AuditState = "locked"
	// AuditAbsent is a kernel without it, or one that was booted with audit=0.
	AuditAbsent AuditState = "absent"
	// AuditUnknown is the state if we may not ask for it.
	AuditUnknown AuditState = "unknown"
)

// Audit is the kernel's audit system (auditctl -s).
type Audit struct {
	State AuditState `json:"state"`
	// Error is why the state is not known.
	Error string `json:"error"`
	// Daemon is the process that holds the audit pid; nil if none does. If the state is
	// unknown, it is a process with the name auditd.
	Daemon *Process `json:"daemon"`
	// Backlog is how many records wait for the daemon, BacklogLimit how many may.
	Backlog      uint32 `json:"backlog"`
	BacklogLimit uint32 `json:"backlog_limit"`
	// BacklogWaitTime is how long a system call waits at the limit, in jiffies.
	BacklogWaitTime uint32 `json:"backlog_wait_time"`
	// Lost is how many records were lost since boot.
	Lost uint32 `json:"lost"`
	// FromBoot is true if the kernel was booted with audit=1, OffAtBoot if with audit=0, which
	// cannot be changed until the next boot (kernel-parameters.txt).
	FromBoot  bool `json:"from_boot"`
	OffAtBoot bool `json:"off_at_boot"`
}

// known reports whether the state is known.
func (a *Audit) known() bool {
	return a.State == AuditOn || a.State == AuditOff || a.State == AuditLocked
}

// Process is a running process.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Rules are the audit rules for the default signals.
type Rules struct {
	// Known is false if the kernel does not list its rules; Error says why.
	Known bool   `json:"known"`
	Error string `json:"error"`
	// Needed is how many rules are needed, Recorded for how many of them the kernel records
	// everything, Partly for how many others it records something.
	Needed   int `json:"needed"`
	Recorded int `json:"recorded"`
	Partly   int `json:"partly"`
	// TaskNever is true if a rule keeps the kernel from auditing any process.
	TaskNever bool `json:"task_never"`
	// Obstacles are the rules that keep signals from being recorded.
	Obstacles []Obstacle `json:"obstacles"`
}

// Obstacle is a rule that is in the way.
type Obstacle struct {
	What string   `json:"what"`
	Mend []string `json:"mend"`
}

// LogProblem is why the log cannot be read.
type LogProblem string

// The values of LogProblem.
const (
	LogReadable LogProblem = ""
	LogMissing  LogProblem = "missing"
	LogDenied   LogProblem = "denied"
	// LogIrregular is a folder, or anything else that is not a file.
	LogIrregular LogProblem = "irregular"
	LogOther     LogProblem = "other"
)

// Log is the audit log.
type Log struct {
	Path    string     `json:"path"`
	Problem LogProblem `json:"problem"`
	Error   string     `json:"error"`
	// Rights are those of the file, or of the folder that hides it.
	Rights *Rights `json:"rights"`
	Size   int64   `json:"size"`
	// Modified is when it was last written; nil if not known.
	Modified *time.Time `json:"modified"`
	// Rotated is how many older files are read with it. Since is when the oldest of them was
	// last written: the log goes back at least that far.
	Rotated int        `json:"rotated"`
	Since   *time.Time `json:"since"`
	// Unread are the paths of older files that are not read with it, because they have a date
	// instead of a number, or are not compressed with gzip.
	Unread []string `json:"unread"`
	// Free is the free space of the disk in bytes; -1 if not known.
	Free int64 `json:"free"`
	// Configured is log_file in auditd.conf; empty if it is not set.
	Configured string `json:"configured"`
	// DaemonInstalled is true if auditd is installed. Install is the command that installs it
	// here; empty if not known.
	DaemonInstalled bool   `json:"daemon_installed"`
	Install         string `json:"install"`
}

// Systemd is the host's init, which says what it does to services and who logs in.
type Systemd struct {
	// Runs is true if the host has it.
	Runs bool `json:"runs"`
	// Reached is true if it can be listened to. Error is why not.
	Reached bool   `json:"reached"`
	Error   string `json:"error"`
	// Sessions is true if what logind writes down of logins can be read.
	Sessions bool `json:"sessions"`
}

// KernelLog is the kernel's log.
type KernelLog struct {
	// Readable is true if it can be read. Error is why not.
	Readable bool   `json:"readable"`
	Error    string `json:"error"`
}

// Containers say whether the names of containers and pods can be read.
type Containers struct {
	// Found is true if a runtime has left something. Error is why it cannot be read.
	Found bool   `json:"found"`
	Error string `json:"error"`
}

// Rights say who may read a file.
type Rights struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`
	Owner string `json:"owner"`
	Group string `json:"group"`
	// GroupReads is true if the group may read it.
	GroupReads bool `json:"group_reads"`
}
