// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"slices"
	"time"
)

// Facts are what was found on a host. They are part of what auditkill doctor prints as
// JSON, and documented in its help.
type Facts struct {
	// OS is Go's name of the operating system.
	OS string `json:"os"`
	// Kernel is its release and Machine its architecture, as uname(2) tells them.
	Kernel  string `json:"kernel"`
	Machine string `json:"machine"`
	// UserID is the effective user, and Capabilities are those that it has of the ones
	// that matter: such as "CAP_BPF".
	UserID       int        `json:"user_id"`
	Capabilities []string   `json:"capabilities"`
	Namespaces   Namespaces `json:"namespaces"`
	// Lockdown is none, integrity or confidentiality (kernel_lockdown(7)); empty if the
	// kernel has no such thing, or does not tell.
	Lockdown string `json:"lockdown"`
	// BTF is true if the kernel has type information.
	BTF   bool  `json:"btf"`
	BPF   BPF   `json:"bpf"`
	Audit Audit `json:"audit"`
	Rules Rules `json:"rules"`
	Log   Log   `json:"log"`
}

// The capabilities that matter (capabilities(7)).
const (
	capAuditControl = "CAP_AUDIT_CONTROL"
	capAuditRead    = "CAP_AUDIT_READ"
	capBPF          = "CAP_BPF"
	capPerfmon      = "CAP_PERFMON"
	capSysAdmin     = "CAP_SYS_ADMIN"
	capReadSearch   = "CAP_DAC_READ_SEARCH"
)

// lacking returns those of the capabilities that are missing.
func (f *Facts) lacking(needed ...string) []string {
	return slices.DeleteFunc(needed, func(name string) bool { return slices.Contains(f.Capabilities, name) })
}

// Namespace says whether a namespace is the host's own.
type Namespace string

// The namespaces that there may be.
const (
	NamespaceInitial Namespace = "initial"
	NamespaceOther   Namespace = "other"
	NamespaceUnknown Namespace = "unknown"
)

// Namespaces are those that the sources depend on (namespaces(7)).
type Namespaces struct {
	User    Namespace `json:"user"`
	PID     Namespace `json:"pid"`
	Network Namespace `json:"network"`
}

// BPF says whether programs that see signals can be loaded.
type BPF struct {
	Possible bool       `json:"possible"`
	Problem  BPFProblem `json:"problem"`
	Error    string     `json:"error"`
}

// BPFProblem is why not.
type BPFProblem string

// The problems that bpf(2) may tell of.
const (
	BPFNone BPFProblem = ""
	// BPFRefused is a lack of rights, or a policy.
	BPFRefused BPFProblem = "refused"
	// BPFAbsent is a kernel without bpf(2).
	BPFAbsent BPFProblem = "absent"
	// BPFTooOld is a kernel that does not know what the programs use.
	BPFTooOld BPFProblem = "too_old"
	// BPFUnsupported is a machine that there are no programs for.
	BPFUnsupported BPFProblem = "unsupported"
	// BPFOther is anything else.
	BPFOther BPFProblem = "other"
)

// AuditState says what the audit system is.
type AuditState string

// The states of the audit system. The first three are the kernel's enabled 1, 0 and 2.
const (
	AuditOn     AuditState = "on"
	AuditOff    AuditState = "off"
	AuditLocked AuditState = "locked"
	// AuditAbsent is a kernel without it, or one that was booted with audit=0.
	AuditAbsent AuditState = "absent"
	// AuditUnknown is one that we may not ask.
	AuditUnknown AuditState = "unknown"
)

// Audit is the kernel's audit system (auditctl -s).
type Audit struct {
	State AuditState `json:"state"`
	// Error is why it is not known.
	Error string `json:"error"`
	// Daemon holds the audit pid; nil if nobody does. If the state is unknown it is a
	// process that is called auditd.
	Daemon *Process `json:"daemon"`
	// Backlog is how many records wait for the daemon, of so many that may.
	Backlog      uint32 `json:"backlog"`
	BacklogLimit uint32 `json:"backlog_limit"`
	// BacklogWaitTime is how long a system call waits if so many do, in jiffies.
	BacklogWaitTime uint32 `json:"backlog_wait_time"`
	// Lost is how many records were lost since boot.
	Lost uint32 `json:"lost"`
	// FromBoot is true if the kernel was booted with audit=1, OffAtBoot if with audit=0: that
	// cannot be changed until the next boot (kernel-parameters.txt).
	FromBoot  bool `json:"from_boot"`
	OffAtBoot bool `json:"off_at_boot"`
}

// known reports whether the kernel has told its state.
func (a *Audit) known() bool {
	return a.State == AuditOn || a.State == AuditOff || a.State == AuditLocked
}

// Process is one that runs.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Rules are the audit rules for the signals that are looked for by default.
type Rules struct {
	// Known is false if the kernel does not tell them, for the reason in Error.
	Known bool   `json:"known"`
	Error string `json:"error"`
	// Needed is how many rules it takes, Recorded for how many of these the kernel
	// records everything, and Partly for how many others it records something.
	Needed   int `json:"needed"`
	Recorded int `json:"recorded"`
	Partly   int `json:"partly"`
	// TaskNever is true if a rule makes the kernel follow no process at all.
	TaskNever bool `json:"task_never"`
	// Obstacles are all rules that keep signals from being recorded.
	Obstacles []Obstacle `json:"obstacles"`
}

// Obstacle is a rule that is in the way.
type Obstacle struct {
	What string   `json:"what"`
	Mend []string `json:"mend"`
}

// LogProblem is why the log cannot be read.
type LogProblem string

// What may be wrong with the log.
const (
	LogReadable LogProblem = ""
	LogMissing  LogProblem = "missing"
	LogDenied   LogProblem = "denied"
	// LogIrregular is a folder, or anything else but a file.
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
	// Modified is when it was written last; nil if that is not known.
	Modified *time.Time `json:"modified"`
	// Rotated is how many older files are read with it, Since when the oldest of all of
	// these was written last: so far back the log reaches at least.
	Rotated int        `json:"rotated"`
	Since   *time.Time `json:"since"`
	// Unread are the paths of older files that are not read with it, as they have a date for
	// a number, or are compressed otherwise than by gzip.
	Unread []string `json:"unread"`
	// Free is what the disk has room for in bytes; -1 if that is not known.
	Free int64 `json:"free"`
	// Configured is log_file in auditd.conf; empty if there is none.
	Configured string `json:"configured"`
	// DaemonInstalled is true if there is an auditd, and Install is the command that
	// installs it here; empty if that is not known.
	DaemonInstalled bool   `json:"daemon_installed"`
	Install         string `json:"install"`
}

// Rights say who may read a file.
type Rights struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`
	Owner string `json:"owner"`
	Group string `json:"group"`
	// GroupReads is true if the group may.
	GroupReads bool `json:"group_reads"`
}
