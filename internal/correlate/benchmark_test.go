// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// BenchmarkOther is the cost of the records of an event of no interest.
func BenchmarkOther(b *testing.B) {
	lines := [][]byte{[]byte(other(1)), []byte(title(1))}
	c := New(Config{Timeout: time.Second, MaxPending: 8192}, func(*kill.Event) { b.Fatal("nothing to emit") })
	add(b, c, lines)
}

// BenchmarkOtherStart is the cost of the records of the start of a program that a rule of somebody else has recorded, with
// facts wanted.
func BenchmarkOtherStart(b *testing.B) {
	lines := [][]byte{[]byte(strings.Replace(started(1), "audit_kill", "exec", 1)), []byte(execve(1, `"a"`)), []byte(title(1))}
	c := New(Config{Timeout: time.Second, MaxPending: 8192, Fact: func(*attribution.Fact) { b.Fatal("nothing to tell") }}, nil)
	add(b, c, lines)
}

// BenchmarkStatement is the cost of a record that tells a fact.
func BenchmarkStatement(b *testing.B) {
	facts := 0
	c := New(Config{Timeout: time.Second, MaxPending: 8192, Fact: func(*attribution.Fact) { facts++ }}, nil)
	add(b, c, [][]byte{[]byte(job(1))})
	require.Positive(b, facts)
}

// BenchmarkEvent is the cost from bytes to an event.
func BenchmarkEvent(b *testing.B) {
	lines := [][]byte{[]byte(syscall(1, "64", "9")), []byte(target(1, 100)), []byte(title(1))}
	events := 0
	c := New(Config{Timeout: time.Second, MaxPending: 8192}, func(*kill.Event) { events++ })
	add(b, c, lines)
	require.Positive(b, events)
}

func add(b *testing.B, c *Correlator, lines [][]byte) {
	b.Helper()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		for _, line := range lines {
			c.AddLine(line, false, 0, now)
		}
	}
}
