// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/auditkill/auditkillreceiver/internal/metadatatest"
)

// TestMetrics follows the metrics from the first event to the last. That of
// rejected lines is tested together with those lines.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	value := func(n int) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: int64(n)}} }
	ignore := metricdatatest.IgnoreTimestamp()

	b.write(t, b.number(1)+".gz", "not gzip at all")
	settings := b.settings()
	settings.Correlation.MaxPending = 2
	settings.Correlation.Timeout = time.Hour
	r := start(t, settings)
	resume := r.freeze(b, 1)
	rest := records(4)[0] + "\n" + records(5)[0] + "\n" + records(6)[0] + "\n"
	b.append(t, rest)
	metadatatest.AssertEqualReceiverAuditKillRecordsRead(t, b.telemetry, value(9), ignore)
	metadatatest.AssertEqualReceiverAuditKillFileBytesRead(t, b.telemetry, value(len(event(1, 2, 3))), ignore)
	metadatatest.AssertEqualReceiverAuditKillPending(t, b.telemetry, value(0), ignore)
	resume()

	// Of three events without a target there is room for two.
	require.Eventually(t, func() bool { return b.metric(t, "pending") == 2 }, patience, look)
	metadatatest.AssertEqualReceiverAuditKillRecordsRead(t, b.telemetry, value(12), ignore)
	metadatatest.AssertEqualReceiverAuditKillFileBytesRead(t, b.telemetry, value(len(event(1, 2, 3)+rest)), ignore)
	metadatatest.AssertEqualReceiverAuditKillFileBytesBehind(t, b.telemetry, value(0), ignore)
	metadatatest.AssertEqualReceiverAuditKillEvicted(t, b.telemetry, value(1), ignore)
	metadatatest.AssertEqualReceiverAuditKillIncomplete(t, b.telemetry, value(1), ignore)
	metadatatest.AssertEqualReceiverAuditKillFileLost(t, b.telemetry, value(1), ignore)
	assert.Zero(t, b.metric(t, "checkpoint_errors"))

	r.stop()
	metadatatest.AssertEqualReceiverAuditKillPending(t, b.telemetry, value(0), ignore)
	metadatatest.AssertEqualReceiverAuditKillIncomplete(t, b.telemetry, value(3), ignore)
	metadatatest.AssertEqualReceiverAuditKillEvicted(t, b.telemetry, value(1), ignore)
}

// TestBytesBehind has a source fall behind that reads the oldest of some files.
func TestBytesBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(t, b.number(2), event(upTo(1, 2000)...))
	b.write(t, b.number(1), event(2001))
	b.append(t, event(2002, 2003))
	r := prepare(t, b.settings())
	resume := r.sink.block()
	r.read()
	behind := func() int64 { return b.metric(t, "file_bytes_behind") }
	read := func() int64 { return b.metric(t, "file_bytes_read") }
	require.Eventually(t, func() bool { return behind() > 0 }, patience, look)
	require.Eventually(t, func() bool { return read()+behind() == int64(len(event(upTo(1, 2003)...))) }, patience, look)
	// It is known also while nothing is handed on.
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
	assert.Equal(t, int64(20), b.metric(t, "file_lost"))
	told := b.logs.FilterMessage("a part of the log is lost").All()
	require.Len(t, told, 1)
	assert.ErrorContains(t, told[0].Context[1].Interface.(error), b.number(20)+".gz: damaged gzip file")
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
