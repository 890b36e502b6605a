// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// DefaultTimeout is how long to wait for missing records: auditd may be that late.
	DefaultTimeout = 2 * time.Second
	// DefaultMaxPending is how many events may wait: with kernels before 3.14 each event
	// waits until the timeout, so that this allows 4096 signals a second.
	DefaultMaxPending = 8192
)

// Config says how a Correlator works.
type Config struct {
	// Timeout is how long an event waits for its missing records.
	Timeout time.Duration
	// Quiet is how long an event waits if nothing shows that it is complete; 0 means 100
	// ms. Targets that arrive later become an event of their own.
	Quiet time.Duration
	// MaxPending is how many events may wait at once; 0 means DefaultMaxPending.
	MaxPending int
	// KeepOriginal keeps the records as they were read.
	KeepOriginal bool
	// Source is the value of Event.Source.
	Source string
	// Key is the key of the receiver's audit rules; empty means audit_kill.
	Key string
	// Executable is the collector's own program, PID its process as the records name it; 0 if
	// that is not known. Since is when the process came to be, if there may be records from
	// before. What it does to the audit system is not tampering.
	Executable string
	PID        int
	Since      time.Time
	// Changed is called with what others have done to the audit system, before it is emitted, and
	// with what is not emitted because it may or may not blind the monitor (kill.Tamper.Reportable).
	// It must not keep the event. nil wants neither.
	Changed func(*kill.Event)
	// Fact is called with what records say that helps to explain signals, in the order in which they
	// were read. nil wants none.
	Fact func(*attribution.Fact)
	// Wait returns for how long after an event there may be facts that have to be told before it: so long
	// it is held, in the time of the records, and with it all events after it. nil holds none.
	Wait func(*kill.Event) time.Duration
}

// key returns the key of the receiver's rules.
func (c *Config) key() string { return cmp.Or(c.Key, DefaultKey) }

// maxPending returns how many events may wait: with room for none, there would be none for the next.
func (c *Config) maxPending() int {
	if c.MaxPending <= 0 {
		return DefaultMaxPending
	}
	return c.MaxPending
}

// Counts says what has happened so far.
type Counts struct {
	// Incomplete counts the events that lacked something, Evicted those among them that had
	// to make room for others. Hurried counts those that were to wait for facts, and had to make
	// room before that.
	Incomplete, Evicted, Hurried int64
}
