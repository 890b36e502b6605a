// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// played is a source whose ring is played.
type played struct {
	*Source
	ring      *fakeRing
	logs      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
	troubles  chan error
}

func newPlayed(t *testing.T) *played {
	t.Helper()
	p := &played{telemetry: componenttest.NewTelemetry(), troubles: make(chan error, 1)}
	t.Cleanup(func() { assert.NoError(t, p.telemetry.Shutdown(context.WithoutCancel(t.Context()))) })
	builder, err := metadata.NewTelemetryBuilder(p.telemetry.NewTelemetrySettings())
	require.NoError(t, err)
	core, logs := observer.New(zap.WarnLevel)
	p.logs = logs
	p.Source = New(Settings{
		Telemetry: builder, Logger: zap.New(core), Report: func(err error) { p.troubles <- err },
	})
	p.programs = &programs{collection: &ebpf.Collection{}}
	p.reader, p.ring, _ = newFakeReader()
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	p.reading.Go(p.read)
	p.reporting.Go(func() { p.supervise(ctx) })
	return p
}

func (p *played) counted(t *testing.T, name string) map[string]int64 {
	t.Helper()
	m, err := p.telemetry.GetMetric("otelcol_receiver_audit_kill_" + name)
	require.NoError(t, err)
	sum, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok)
	counted := make(map[string]int64)
	for _, point := range sum.DataPoints {
		record, _ := point.Attributes.Value("record")
		counted[record.AsString()] += point.Value
	}
	return counted
}

func TestSourceDelivers(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.writeSilently(bytesOf(kills()))
	p.ring.writeSilently(strikes(11, toGroup(-1), 30))
	events := make(chan []*kill.Event, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		p.Run(ctx, func(e []*kill.Event) error {
			events <- e
			return nil
		})
		close(ended)
	}()
	assert.Len(t, <-events, 1)
	stop()
	<-ended
	assert.Len(t, <-events, 1, "the call that goes on is told at the end")
	require.NoError(t, p.Close())
}

// Events that nobody takes anymore are counted.
func TestSourceThatIsShutDown(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.writeSilently(bytesOf(kills()))
	p.Run(t.Context(), func([]*kill.Event) error { return errors.New("shutting down") })
	p.ring.writeSilently(bytesOf(kills()))
	require.Eventually(t, func() bool { return p.reader.queue.Len() > 0 }, limit, time.Millisecond)
	require.NoError(t, p.Close())
	assert.Equal(t, map[string]int64{"": 1}, p.counted(t, "queue_dropped"))
	assert.Equal(t, map[string]int64{"": 2}, p.counted(t, "records_read"))
}

func TestSourceTellsOfLosses(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.mutex.Lock()
	p.ring.lost = losses{signals: 3, processes: 5}
	p.ring.mutex.Unlock()
	p.ring.writeSilently([]byte{0})
	require.Eventually(t, func() bool { return p.reader.snapshot().signals == 3 }, limit, time.Millisecond)
	require.NoError(t, p.Close())
	assert.Equal(t, map[string]int64{"signal": 3, "process": 5}, p.counted(t, "ring_dropped"))
	assert.Len(t, p.logs.FilterMessageSnippet("raise ebpf::ring_buffer").All(), 2)
}

func TestSourceThatFails(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.mutex.Lock()
	p.ring.failure = errors.New("broken")
	p.ring.mutex.Unlock()
	require.EqualError(t, <-p.troubles, "reading the ring buffer: broken")
	require.NoError(t, p.Close())
	assert.Len(t, p.logs.FilterMessageSnippet("until the collector is restarted").All(), 1)
}

func TestCloseWithoutStart(t *testing.T) {
	t.Parallel()
	require.NoError(t, New(Settings{Logger: zap.NewNop()}).Close())
}
