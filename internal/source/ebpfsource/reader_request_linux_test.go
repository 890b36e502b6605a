// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// Anybody can make requests. They must leave room for signals.
func TestReaderDropsRequests(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	half := source.Events([]*kill.Event{{Targets: make([]kill.Process, queue.Max/2)}})
	r.queue.Add(half)
	ring.writeSilently(asking(kindConnect, ""))
	ring.writeSilently(bytesOf(kills()))
	_, err := r.drain(newRecord())
	require.NoError(t, err)
	taken := r.queue.Take(10)
	require.Len(t, taken, 2)
	assert.NotNil(t, taken[1].Event)
	assert.EqualValues(t, 1, r.snapshot().counts.requests)
	assert.Zero(t, r.snapshot().dropped)
	ring.writeSilently(asking(kindConnect, ""))
	_, err = r.drain(newRecord())
	require.NoError(t, err)
	taken = r.queue.Take(10)
	require.Len(t, taken, 1)
	assert.NotNil(t, taken[0].Fact)
}

// A lost request says nothing about the processes.
func TestReaderLosesRequests(t *testing.T) {
	t.Parallel()
	r, ring, _ := newFakeReader()
	ring.lost = losses{requests: 5}
	r.checkLosses()
	fake, isFake := r.assembler.events.processes.(*fakeProcesses)
	require.True(t, isFake)
	assert.Empty(t, fake.told)
	assert.EqualValues(t, 5, r.snapshot().losses.requests)
}
