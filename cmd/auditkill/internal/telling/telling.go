// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package telling joins what several logs of a host say: the same signal stands in the audit log and in what a
// collector has recorded, and is one.
package telling

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Telling is an event as one log has it.
type Telling struct {
	*kill.Event
	// Record is the log record that a collector has made of the event, with one target; nil if the event was read
	// from another log.
	Record *plog.LogRecord
	// Host is the host that it happened on, if the log says so.
	Host string
}

// When implements chronology.Timed.
func (t Telling) When() time.Time { return t.Time }

// recorded reports whether a collector has recorded it.
func (t Telling) recorded() bool { return t.Record != nil }
