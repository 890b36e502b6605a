// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// values is a store.
type values struct {
	mutex sync.Mutex
	all   map[string]string
	err   error
}

func (v *values) Get(_ context.Context, key string) ([]byte, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if value, known := v.all[key]; known {
		return []byte(value), v.err
	}
	return nil, v.err
}

func (v *values) Set(_ context.Context, key string, value []byte) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.all[key] = string(value)
	return v.err
}

func (v *values) copy() *values {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return &values{all: maps.Clone(v.all)}
}

// ofAudit is a source that sees what the audit system does.
func ofAudit() Candidate {
	return Candidate{Name: "netlink", ofHost: anyRoot, make: func(*Capture, *Candidate) source.Source {
		return play(source.Traits{Way: "multicast", Live: true})
	}}
}

// outcomeTimeout is longer than the test takes.
const outcomeTimeout = time.Hour

// readLog reads the kernel's log with a store while something is done. It returns the kills that a handler has taken.
func readLog(t *testing.T, store *values, h *handler, meanwhile func()) []*kill.Event {
	t.Helper()
	settings, said := newSettings(t, ofAudit())
	settings.Store, settings.Host.Boot, settings.OutcomeTimeout = store, "this boot", outcomeTimeout
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	if c.memory == nil {
		require.NoError(t, c.Close())
		audittest.Skip(t, "the kernel's log cannot be read: %v", said.warnings())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, h) })
	meanwhile()
	cancel()
	running.Wait()
	require.NoError(t, c.Close())
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.signals
}

// A kill is reported once, whether the collector runs or not, and however it ends.
func TestPlaceInTheKernelLog(t *testing.T) {
	t.Parallel()
	_, hog := newHog(t)
	ofHog := func() *handler {
		return &handler{wants: func(e *kill.Event) bool { return e.Source == oomwatch.Source && e.Targets[0].PID == hog.Process.Pid }}
	}
	nothing := func() {}
	store := &values{all: map[string]string{}}
	readLog(t, store, &handler{}, nothing)
	require.Contains(t, store.all, placeKey)
	before := store.copy()
	require.EqualError(t, hog.Run(), "signal: killed")

	stopping := ofHog()
	stopping.flush = func() error { return errors.New("shutting down") }
	unfinished := store.copy()
	require.Len(t, readLog(t, unfinished, stopping, nothing), 1)
	assert.Equal(t, before.all[placeKey], unfinished.all[placeKey], "nobody has taken it")

	killed := ofHog()
	killed.unsettled.Store(true)
	unfinished = store.copy()
	readLog(t, unfinished, killed, func() {
		require.Eventually(t, func() bool { n, _ := killed.taken(); return n > 0 }, limit, time.Millisecond)
		time.Sleep(saveInterval + 100*time.Millisecond)
	})
	assert.Equal(t, before.all[placeKey], unfinished.all[placeKey], "it is still under way")

	first := readLog(t, store, ofHog(), nothing)
	require.Len(t, first, 1)
	assert.Zero(t, first[0].Targets[0].Span, "when it ended was not seen")
	assert.Equal(t, killed.signals[0].LogRecord, first[0].LogRecord)
	assert.NotEqual(t, before.all[placeKey], store.all[placeKey])
	assert.Empty(t, readLog(t, store, ofHog(), nothing), "it was reported before")
	assert.Empty(t, readLog(t, &values{all: map[string]string{}}, ofHog(), nothing), "nobody has asked for it")
	assert.Empty(t, readLog(t, &values{all: map[string]string{placeKey: "{"}}, ofHog(), nothing))

	// The place is also stored while the collector runs.
	running := before.copy()
	taken := ofHog()
	readLog(t, running, taken, func() {
		require.Eventually(t, func() bool { return running.copy().all[placeKey] != before.all[placeKey] }, limit, time.Millisecond)
		n, _ := taken.taken()
		assert.Equal(t, 1, n)
	})
}
