// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package live sees signals as they are sent, for as long as somebody watches, and leaves
// nothing behind.
//
// It runs the engine of the receiver (internal/capture) for one person rather than for a
// pipeline: no checkpoint, no retries, and what goes wrong is said in that person's words.
//
//	live      what is asked for
//	choice    which source, and why no other
//	watch     the events' way to whoever prints them
package live

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/redact"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
)

// The sources that can be asked for.
const (
	// Auto is the first of the others that works.
	Auto      = "auto"
	EBPF      = "ebpf"
	Multicast = "multicast"
	Unicast   = "unicast"
	File      = "file"
)

const (
	// DefaultKey is that of the rules of a watch. It is not the collector's: by their key
	// each of the two knows which rules are its own to look after.
	DefaultKey = "audit_kill_watch"
)

// Sources are all that can be asked for.
func Sources() []string { return []string{Auto, EBPF, Multicast, Unicast, File} }

// Config says what to watch, and how.
type Config struct {
	// Source is one of Sources, Path the log that the source File follows.
	Source, Path string
	// Key is that of the audit rules that are loaded.
	Key string
	// Asked says which signals are asked for.
	Asked selection.Config
	// OutcomeTimeout is how long the end of a process is waited for that was sent a fatal
	// signal; 0 if nobody wants to know.
	OutcomeTimeout time.Duration
	// CommandLine is how much of command lines may be kept.
	CommandLine redact.Policy
	// Host is the one that is watched.
	Host machine.Machine
	// Say takes what a person should know, in one or more lines without a line feed at the
	// end. It is called from any goroutine.
	Say func(text string)
}

// signals are those that the kernel is asked for.
func (c *Config) signals() []kill.Signal {
	if len(c.Asked.Signals) == 0 {
		return kill.AllSignals()
	}
	return c.Asked.Signals
}
