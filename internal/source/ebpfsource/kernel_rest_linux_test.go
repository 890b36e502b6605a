// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Only a reader that rests is woken by the record of a process.
func TestProcessesWakeWhoRests(t *testing.T) {
	needRoot(t)
	p, err := load(wish{ring: 4 << 20, signals: []kill.Signal{kill.SIGKILL}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.close()) }()
	require.NoError(t, p.attachProcesses())
	// after returns what the reader waits for after a program has run: nothing any more if that has woken it.
	after := func(by alarm) alarm {
		require.NoError(t, p.wake(by))
		require.NoError(t, exec.Command("true").Run()) //nolint:noctx // at once
		var left uint32
		require.NoError(t, p.waiting.Get(&left))
		return alarm(left)
	}
	assert.Equal(t, aSignal, after(aSignal))
	assert.Equal(t, awake, after(anything))
}
