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
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/rhythm"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// played is a source with a fake ring.
type played struct {
	*Source
	ring     *fakeRing
	logs     *observer.ObservedLogs
	counts   source.Counts
	troubles chan error
}

func newPlayed(t *testing.T) *played {
	t.Helper()
	p := &played{troubles: make(chan error, 1)}
	core, logs := observer.New(zap.WarnLevel)
	p.logs = logs
	p.Source = New(Settings{
		Counts: &p.counts, Logger: zap.New(core), Health: func(err error) { p.troubles <- err },
	})
	p.programs = &programs{collection: &ebpf.Collection{}}
	p.vigilInterval = time.Hour // there is nothing to look at
	p.reader, p.ring, _ = newFakeReader()
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	p.reading.Go(p.read)
	p.reporting.Go(func() { p.supervise(ctx) })
	return p
}

func TestSourceDelivers(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.writeSilently(bytesOf(kills()))
	p.ring.writeSilently(strikes(11, toGroup(-1), 30))
	events := make(chan []source.Observation, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		p.Run(ctx, func(seen []source.Observation) error {
			events <- seen
			return nil
		})
		close(ended)
	}()
	assert.Len(t, <-events, 1)
	stop()
	<-ended
	assert.Len(t, <-events, 1, "the call in progress is reported at the end")
	require.NoError(t, p.Close())
}

// Events that are never delivered are counted.
func TestSourceThatIsShutDown(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.writeSilently(bytesOf(kills()))
	p.Run(t.Context(), func([]source.Observation) error { return errors.New("shutting down") })
	p.ring.writeSilently(bytesOf(kills()))
	require.Eventually(t, func() bool { return p.reader.queue.Len() > 0 }, limit, time.Millisecond)
	require.NoError(t, p.Close())
	assert.EqualValues(t, 1, p.counts.Lost(source.QueueFull))
	assert.EqualValues(t, 2, p.counts.Records.Load())
}

// However often and at which moments something happens, the counts are reported every second.
func TestSourceReportsInTime(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	for n := range 5 {
		// At the end of each second, when the next report is due.
		time.Sleep((rhythm.Next(reportInterval) + reportInterval - 100*time.Millisecond) % reportInterval)
		p.ring.write(bytesOf(kills()))
		if n >= 2 {
			assert.Positive(t, p.counts.Records.Load(), "of the seconds before")
		}
	}
	require.NoError(t, p.Close())
	assert.EqualValues(t, 5, p.counts.Records.Load())
}

func TestSourceTellsOfLosses(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.mutex.Lock()
	p.ring.lost = losses{signals: 3, processes: 5, requests: 7}
	p.ring.mutex.Unlock()
	p.ring.writeSilently([]byte{0})
	require.Eventually(t, func() bool { return p.reader.snapshot().signals == 3 }, limit, time.Millisecond)
	require.NoError(t, p.Close())
	assert.EqualValues(t, 3, p.counts.Lost(source.RingSignals))
	assert.EqualValues(t, 5, p.counts.Lost(source.RingProcesses))
	assert.EqualValues(t, 7, p.counts.RequestsLost.Load())
}

func TestSourceThatFails(t *testing.T) {
	t.Parallel()
	p := newPlayed(t)
	p.ring.mutex.Lock()
	p.ring.failure = errors.New("broken")
	p.ring.mutex.Unlock()
	require.EqualError(t, <-p.troubles, "reading the ring buffer: broken")
	require.NoError(t, p.Close())
	assert.Len(t, p.logs.FilterMessageSnippet("until this process is restarted").All(), 1)
}

func TestCloseWithoutStart(t *testing.T) {
	t.Parallel()
	require.NoError(t, New(Settings{Logger: zap.NewNop()}).Close())
}
