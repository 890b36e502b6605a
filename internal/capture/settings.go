// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// The defaults of whoever asks for nothing else.
const (
	DefaultRingBuffer    = 4 << 20
	DefaultReceiveBuffer = 8 << 20
	DefaultLog           = "/var/log/audit/audit.log"
	// DefaultKey is the key of our audit rules, and of those in deploy/audit_kill.rules.
	DefaultKey            = "audit_kill"
	DefaultOutcomeTimeout = 2 * time.Minute
)

// Settings say what to capture, and how.
type Settings struct {
	// Candidates are the sources to try. The first that can be opened is used.
	Candidates []Candidate
	// Signals are those that the kernel is asked for. Targets and Senders are globs on names
	// or paths, by which the kernel leaves out processes as far as it can; the Handler has to
	// look at each event all the same. IncludeFailed asks for signals that were refused.
	Signals          []kill.Signal
	Targets, Senders []string
	IncludeFailed    bool
	// Correlation says how audit records are joined.
	Correlation Correlation
	// RulesInterval is how often audit rules are checked by themselves: while audit is off,
	// nothing reports that they are removed. 0 is ten seconds.
	RulesInterval time.Duration
	// OutcomeTimeout is how long after its first fatal signal a process is watched; 0 if
	// nobody wants to know what becomes of it. Only live sources can tell.
	OutcomeTimeout time.Duration
	// DescribeFirst adds what the host knows to an event before the Handler is asked whether
	// it wants it, rather than only if it does.
	DescribeFirst bool

	// Host is the one that is watched, Root where its file system is; empty for /.
	Host machine.Machine
	Root string
	// Store keeps a checkpoint and the processes that are watched over a restart; nil if
	// nothing does.
	Store source.Store
	// Conceal returns what may be stored of a command line.
	Conceal func(commandLine string) string

	Logger *zap.Logger
	// Warn is told of what a person has to fix, Lost of what may not have been seen, and
	// Health of trouble that may pass, and with nil that it has passed. All three are called
	// from any goroutine.
	Warn   func(*problem.Problem)
	Lost   func(loss source.Loss, n int64)
	Health func(error)
}

// Correlation says how audit records are joined to events.
type Correlation struct {
	// Timeout is how long an event waits for its missing records, MaxPending how many may.
	Timeout    time.Duration
	MaxPending int
	// Quiet is how long an event to many waits for more targets; 0 is the default.
	Quiet time.Duration
	// KeepOriginal keeps the records as they were read.
	KeepOriginal bool
}
