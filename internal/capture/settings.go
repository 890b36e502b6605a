// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// The defaults of the receiver and the command.
const (
	DefaultRingBuffer    = 4 << 20
	DefaultReceiveBuffer = 8 << 20
	// DefaultLog is where auditd writes (auditd.conf(5), log_file).
	DefaultLog = "/var/log/audit/audit.log"
	// DefaultKey is the key of the audit rules that we load, and of those in
	// deploy/audit_kill.rules.
	DefaultKey            = correlate.DefaultKey
	DefaultOutcomeTimeout = 2 * time.Minute
	// DefaultAttributionTimeout is long enough for what systemd says when it is idle again.
	DefaultAttributionTimeout = 200 * time.Millisecond
)

// Settings say what to capture, and how.
type Settings struct {
	// Candidates are the sources to try. The first that can be opened is used.
	Candidates []Candidate
	// Signals are the signals that the kernel reports. Targets and Senders are globs on names
	// or paths that the kernel filters by as far as it can; the Handler still has to check each
	// event. IncludeFailed adds signals that were refused.
	Signals          []kill.Signal
	Targets, Senders []string
	// ExcludesSenders is true if the handler leaves out the signals of some senders.
	ExcludesSenders bool
	IncludeFailed   bool
	// Ending are further signals, which are reported if their target ends of them, where the source can
	// see that.
	Ending []kill.Signal
	// Correlation configures how audit records are joined to events.
	Correlation Correlation
	// RulesInterval is how often audit rules are checked without a reason: while audit is off,
	// the kernel does not report that they are removed. 0 is ten seconds.
	RulesInterval time.Duration
	// OutcomeTimeout is how long a process is watched after its first fatal signal; 0 watches
	// none. Only live sources have outcomes.
	OutcomeTimeout time.Duration
	// Unsent says which ends are reported of processes to which no signal was seen, where the source
	// reports all ends.
	Unsent kill.Unsent
	// KernelLog says whether the kernel's log is read beside a source that does not see the kernel's own signals.
	KernelLog KernelLog
	// Attribution says whether, and how, to find out who and what is behind a signal.
	Attribution Attribution
	// DescribeFirst adds what the host knows about an event's processes before Handler.Wants is
	// called, not only to wanted events.
	DescribeFirst bool
	// DescribeThreads does the same for signals to a thread, which may have a name of its own.
	DescribeThreads bool

	// Host is the host that is monitored, Root where its file system is mounted; empty for /.
	Host machine.Machine
	Root string
	// Store keeps the checkpoint and the watched processes over a restart; nil keeps nothing.
	Store source.Store
	// Conceal returns what may be stored of a command line.
	Conceal func(commandLine string) string

	Logger *zap.Logger
	// Warn receives problems that a person has to fix, each loss among them, and Health
	// failures that may pass, or nil once they have. Both may be called from any goroutine.
	Warn   func(*problem.Problem)
	Health func(error)
}

// KernelLog says whether the kernel's log is read for kills for lack of memory.
type KernelLog int

const (
	// KernelLogAuto reads it if the source tells what happens on this host, but not what the kernel does.
	KernelLogAuto KernelLog = iota
	// KernelLogNever does not read it.
	KernelLogNever
	// KernelLogAlways also reads it beside the log of an audit daemon that may be another host's.
	KernelLogAlways
)

// Attribution configures how it is found out who and what is behind the signals of managers, such as systemd.
type Attribution struct {
	Enabled bool
	// Timeout is how long the targets of a manager's signal wait for who asked for it.
	Timeout time.Duration
	// Sockets are the paths of the Unix sockets of further managers (attribution.CheckSocket).
	Sockets []string
}

// Correlation configures how audit records are joined to events.
type Correlation struct {
	// Timeout is how long an event waits for missing records, MaxPending how many events wait
	// at a time.
	Timeout    time.Duration
	MaxPending int
	// Quiet is how long an event with several targets waits for more; 0 is the default.
	Quiet time.Duration
	// KeepOriginal keeps the records as they were read.
	KeepOriginal bool
}

// sockets returns the sockets whose requests the source reports, where it can see them; nil for none.
func (a *Attribution) sockets() []string {
	if !a.Enabled {
		return nil
	}
	return append(attribution.Sockets(), a.Sockets...)
}
