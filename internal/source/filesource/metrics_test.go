// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMetrics checks the metrics from the first event to the last. That of rejected lines is tested
// together with those lines.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)

	b.write(t, b.number(1)+".gz", "not gzip at all")
	settings := b.settings()
	settings.Correlation.MaxPending = 2
	settings.Correlation.Timeout = time.Hour
	r := start(t, settings)
	resume := r.freeze(b, 1)
	rest := records(4)[0] + "\n" + records(5)[0] + "\n" + records(6)[0] + "\n"
	b.append(t, rest)
	assert.EqualValues(t, 9, b.counts.Records.Load())
	assert.EqualValues(t, len(event(1, 2, 3)), b.counts.Bytes.Load())
	assert.EqualValues(t, 0, b.counts.Pending.Load())
	resume()

	// There is room for two of the three events without a target.
	require.Eventually(t, func() bool { return b.counts.Pending.Load() == 2 }, patience, look)
	assert.EqualValues(t, 12, b.counts.Records.Load())
	assert.EqualValues(t, len(event(1, 2, 3)+rest), b.counts.Bytes.Load())
	assert.EqualValues(t, 0, b.counts.BytesBehind.Load())
	assert.EqualValues(t, 1, b.counts.Evicted.Load())
	assert.EqualValues(t, 1, b.counts.Incomplete.Load())
	assert.EqualValues(t, 1, b.lost())
	assert.Zero(t, b.counts.CheckpointErrors.Load())

	r.stop()
	assert.EqualValues(t, 0, b.counts.Pending.Load())
	assert.EqualValues(t, 3, b.counts.Incomplete.Load())
	assert.EqualValues(t, 1, b.counts.Evicted.Load())
}

// TestBytesBehind makes a source fall behind that reads the oldest of some files.
func TestBytesBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, b.number(2), event(upTo(1, 2000)...))
	b.write(t, b.number(1), event(2001))
	b.append(t, event(2002, 2003))
	r := prepare(t, b.settings())
	resume := r.sink.block()
	r.read()
	behind := func() int64 { return b.counts.BytesBehind.Load() }
	read := func() int64 { return b.counts.Bytes.Load() }
	require.Eventually(t, func() bool { return behind() > 0 }, patience, look)
	require.Eventually(t, func() bool { return read()+behind() == int64(len(event(upTo(1, 2003)...))) }, patience, look)
	// It is known even while nothing is handed on.
	b.append(t, event(2004))
	require.Eventually(t, func() bool { return read()+behind() == int64(len(event(upTo(1, 2004)...))) }, patience, look)
	resume()
	r.await(upTo(1, 2004)...)
	require.Eventually(t, func() bool { return behind() == 0 }, patience, look)
}

// TestLossIsToldOnce loses several files in a short time.
func TestLossIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for n := 1; n <= 20; n++ {
		b.write(t, b.number(n)+".gz", "not gzip at all")
	}
	b.append(t, event(1))
	r := start(t, b.settings())
	r.await(1)
	assert.Equal(t, int64(20), b.lost())
	told := b.logs.FilterMessage("a part of the log is lost").All()
	require.Len(t, told, 1)
	assert.ErrorContains(t, told[0].Context[1].Interface.(error), b.number(20)+".gz: damaged compressed file")
}

// TestEvents checks what the source adds to an event.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, b.number(1), event(1))
	b.append(t, event(2))
	r := start(t, b.settings())
	r.await(1, 2)
	for i, path := range []string{b.number(1), b.path} {
		e := r.sink.events()[i]
		assert.Equal(t, path, e.File)
		assert.Equal(t, "audit_file", e.Source)
	}
}
