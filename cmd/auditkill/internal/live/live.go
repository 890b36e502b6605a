// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package live captures signals as they are sent, for `auditkill watch`, and leaves nothing
// behind.
//
// It runs the engine of the receiver (internal/capture) for one person rather than for a
// pipeline: without checkpoints and retries, and with problems in the words of the command.
//
//	live      what to watch
//	choice    which source to use, and why not another
//	watch     the way of events to the printer
package live

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
)

// The sources to choose from.
const (
	// Auto is the first of the others that works.
	Auto      = "auto"
	EBPF      = "ebpf"
	Multicast = "multicast"
	Unicast   = "unicast"
	File      = "file"
)

const (
	// DefaultKey is the key of the audit rules of a watch. The collector's is another, so that
	// each of the two manages only its own rules.
	DefaultKey = "audit_kill_watch"
)

// Sources are all sources to choose from.
func Sources() []string { return []string{Auto, EBPF, Multicast, Unicast, File} }

// Config says what to watch, and how.
type Config struct {
	// Source is one of Sources, Path the log of the source File.
	Source, Path string
	// Key is the key of the audit rules that are loaded.
	Key string
	// Asked says which signals are asked for.
	Asked selection.Config
	// Ending are further signals, shown if their target ends of them.
	Ending []kill.Signal
	// OutcomeTimeout is how long to wait for the end of a process after a fatal signal; 0 does
	// not wait.
	OutcomeTimeout time.Duration
	// CommandLine says how much of command lines may be kept.
	CommandLine redact.Policy
	// Host is the host that is monitored.
	Host machine.Machine
	// Say prints a message: one or more lines without a line feed at the end. It may be called
	// from any goroutine.
	Say func(text string)
}

// signals are the signals that the kernel reports.
func (c *Config) signals() []kill.Signal {
	if len(c.Asked.Signals) == 0 {
		return kill.AllSignals()
	}
	return c.Asked.Signals
}

// unsent says which ends are shown of processes to which no signal was seen: none if only signals are asked for
// of which something is known.
func (c *Config) unsent() kill.Unsent {
	if c.Asked.User != "" || c.Asked.OnlyFailed || !c.Asked.Behind.Empty() {
		return kill.UnsentNone
	}
	return kill.UnsentUsual
}
