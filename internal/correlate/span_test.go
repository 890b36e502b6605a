// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	assert.Equal(t, Position(0), b.Safe(0))
	b.feed(other(1), title(1))
	end := b.position
	assert.Equal(t, end, b.Safe(end), "nothing is pending")

	first := b.position
	b.feed(syscall(2, "64", "9"))
	assert.Equal(t, first, b.Safe(b.position), "before the first record of what is pending")

	second := b.position
	b.feed(syscall(3, "64", "9"))
	b.feed(target(2, 5), title(2))
	assert.Equal(t, first, b.Safe(b.position), "the first event is done, but ended behind the start of the second")
	require.Greater(t, second, first)

	b.feed(target(3, 5), title(3))
	assert.Equal(t, b.position, b.Safe(b.position))
}

// However records are interleaved, reading again from the safe position finds each event that was
// not emitted, and each other event whole or not at all.
func TestSafeAlways(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			stream := interleaved(rand.New(rand.NewPCG(seed, 1)), 200) //nolint:gosec // an order, no secret
			b := newBench(Config{})
			offset := 0
			for i, line := range stream {
				b.feed(line)
				offset += len(line) + 1
				safe := b.Safe(b.position)
				require.LessOrEqual(t, safe, b.position)
				checkRestart(t, stream[:i+1], stream, int(safe), len(b.events))
			}
			require.Equal(t, Position(offset), b.Safe(b.position))
		})
	}
}

// checkRestart reads the rest of the stream from the safe position and checks
// that every event is whole, and that those not emitted yet are among them.
func checkRestart(t *testing.T, read, stream []string, safe, emitted int) {
	t.Helper()
	again := newBench(Config{})
	position := 0
	for _, line := range stream {
		if position >= safe {
			again.feed(line)
		}
		position += len(line) + 1
	}
	again.Flush()
	for _, e := range again.events {
		require.True(t, e.Complete, "after %d records, starting again at %d", len(read), safe)
		require.Len(t, e.Targets, 1)
	}
	require.GreaterOrEqual(t, len(again.events)+emitted, strings.Count(strings.Join(stream, "\n"), "type=OBJ_PID"))
}

// interleaved makes a stream of whole events whose records are mixed with those of their neighbors.
func interleaved(random *rand.Rand, records int) []string {
	var stream []string
	open := map[int][]string{}
	for n := 1; len(stream) < records || len(open) > 0; n++ {
		if len(stream) < records {
			open[n] = []string{syscall(n, "64", "9"), target(n, 5), title(n)}
		}
		for range random.IntN(6) {
			for event, rest := range open { // in no particular order, which is the point
				stream = append(stream, rest[0])
				if open[event] = rest[1:]; len(rest) == 1 {
					delete(open, event)
				}
				break
			}
		}
	}
	return stream
}

// While one event waits, any number of others may pass.
func TestSpansAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Timeout: time.Hour})
	b.feed(syscall(0, "64", "9"))
	for n := 1; n < 4000; n += 2 {
		b.feed(syscall(n, "64", "9"), syscall(n+1, "64", "9"), target(n, 5), title(n), target(n+1, 5), title(n+1))
	}
	assert.LessOrEqual(t, len(b.spans.closed), maxSpans)
	assert.Zero(t, b.Safe(b.position))
	b.feed(target(0, 5), title(0))
	assert.Equal(t, b.position, b.Safe(b.position))
}
