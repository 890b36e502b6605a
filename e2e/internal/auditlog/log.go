// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditlog writes logs as auditd does, from recorded events.
package auditlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Log is an audit log that a test writes.
type Log struct {
	t    *testing.T
	Path string
	// File is the current file of the log.
	File *os.File
	// Milliseconds and Serial are the time and the serial of the latest event.
	Milliseconds int64
	Serial       int
	// Want are the keys of the log records that the collector must emit for what was written.
	Want []otlp.Key
}

// New starts a log in a new folder.
func New(t *testing.T) *Log {
	t.Helper()
	return NewAt(t, filepath.Join(t.TempDir(), "audit.log"))
}

// NewAt starts a log at a path.
func NewAt(t *testing.T, path string) *Log {
	t.Helper()
	l := &Log{t: t, Path: path, Milliseconds: 1_795_000_000_000}
	l.create()
	t.Cleanup(func() { _ = l.File.Close() })
	return l
}

func (l *Log) create() {
	var err error
	l.File, err = os.OpenFile(l.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(l.t, err)
}

// Stamp gives an event a new time and serial, and returns its lines.
func (l *Log) Stamp(e Event) []string {
	l.Milliseconds += 3
	l.Serial++
	lines := make([]string, len(e.lines))
	for i, line := range e.lines {
		lines[i] = fmt.Sprintf("%smsg=audit(%d.%03d:%d)%s",
			line[0], l.Milliseconds/1000, l.Milliseconds%1000, l.Serial, line[1])
	}
	for _, pid := range e.targets {
		if pid == 0 {
			pid = nobody
		}
		l.Want = append(l.Want, otlp.Key{Milliseconds: l.Milliseconds, Serial: l.Serial, PID: pid})
	}
	return lines
}

// nobody is the pid that the recorded call named that failed with ESRCH.
const nobody = 999_999

// Write appends text, which may be a part of a line.
func (l *Log) Write(text string) {
	l.t.Helper()
	_, err := l.File.WriteString(text)
	require.NoError(l.t, err)
}

// Add appends an event.
func (l *Log) Add(e Event) { l.Write(strings.Join(l.Stamp(e), "")) }

// Rotate renames the files as auditd does, and starts a new one
// (src/auditd-event.c, rotate_logs).
func (l *Log) Rotate() {
	l.t.Helper()
	require.NoError(l.t, l.File.Chmod(0o400))
	require.NoError(l.t, l.File.Close())
	last := 1
	for harness.Exists(l.numbered(last)) {
		last++
	}
	for ; last > 1; last-- {
		require.NoError(l.t, os.Rename(l.numbered(last-1), l.numbered(last)))
	}
	require.NoError(l.t, os.Rename(l.Path, l.numbered(1)))
	l.create()
}

func (l *Log) numbered(n int) string { return fmt.Sprintf("%s.%d", l.Path, n) }
