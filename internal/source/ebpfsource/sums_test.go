// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source/queue"
)

// taker takes the events of sums.
type taker struct{ events []*kill.Event }

func (j *taker) Join(_ queue.Key, _ int, _, _ time.Time, event func() *kill.Event) {
	j.events = append(j.events, event())
}

// The process in whose time the kernel kills for lack of memory is to blame for nothing, also where the kill was counted.
func TestCountedKillBlamesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	one := kernelSumKey{
		Kind: kindSignal, Special: infoPriv, Group: 1, Signal: 9,
		Sender: kernelIdentity{Start: 1e9, Pid: 777}, Target: kernelIdentity{Start: 2e9, Pid: 3936},
	}
	var to taker
	b.sum(&one, &kernelSum{Count: 1, First: 5e9, Last: 5e9, Sender: kernelSumParty{Thread: 777, Uid: 33, Euid: 33}}, &to)
	require.Len(t, to.events, 1)
	assert.Equal(t, kill.OriginKernel, to.events[0].Origin)
	assert.Zero(t, to.events[0].Sender.PID)
	assert.Equal(t, 3936, to.events[0].Targets[0].PID)
}

// Of a call to a group, each target that was counted is told by itself.
func TestCountedGroup(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	one := kernelSumKey{
		Kind: kindSignal, Special: infoOwn, Group: 1, Signal: 15, Call: toGroup(-20),
		Sender: kernelIdentity{Start: 1e9, Pid: 10}, Target: kernelIdentity{Start: 2e9, Pid: 20},
	}
	var to taker
	b.sum(&one, &kernelSum{Count: 3, First: 5e9, Last: 6e9, Sender: kernelSumParty{Thread: 10}}, &to)
	require.Len(t, to.events, 1)
	assert.False(t, to.events[0].Complete)
	assert.Equal(t, -1, to.events[0].TargetCount)
	assert.Equal(t, kill.ScopeProcessGroup, to.events[0].Scope)
}
