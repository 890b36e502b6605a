// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// aligned returns a copy of a record aligned as in the reader's memory, which is larger than any record.
func aligned(raw []byte) []byte {
	words := make([]uint64, max(4096, len(raw))/8+1)
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8) //nolint:gosec // memory of our own
	return memory[:copy(memory, raw)]
}

// FuzzAssembler takes any bytes from the ring: nothing crashes, nothing piles up, and no event says
// anything impossible.
func FuzzAssembler(f *testing.F) {
	f.Add(bytesOf(kills()), strikes(10, toGroup(-1), 20), ends(10, toGroup(-1), 0), true)
	f.Add(strikes(10, toGroup(-1), 20), strikes(11, toGroup(0), 20), strikes(12, toGroup(0), 20), false)
	f.Add(slays(time.Second, 10, 20), chooses(time.Second, 20), slays(time.Second, 10, 21), true)
	f.Add(slays(early, 10, 20), choosesWith(early, 20, func(*kernelVictimRecord) {}, "b\x00a\x00"), slays(early, 10, 21), true)
	f.Add(slaysAs(infoNone, time.Second, 10, 20), slaysAs(infoNone, time.Second, 10, 21), ending(20, 9), true)
	f.Add(bytesOf(kills()), ending(20, 0), ending(20, 0x8b), true)
	f.Add(strikes(10, toGroup(-1), 20), ending(20, 15), ends(10, toGroup(-1), 0), true)
	f.Add(ends(10, toGroup(-1), eperm), ends(10, toGroup(20), eperm), ends(10, toGroup(20), -1<<31), true)
	f.Add(execs(30, "sleep\x00bin\x00", "sleep\x001\x00"), makes(5, "/a.service\x00"), []byte{kindExit}, false)
	f.Add(bytesOf(sends(func(r *kernelSignalRecord) { r.Kind = kindDeath })), []byte{kindFork}, []byte{}, true)
	f.Add(asking(kindConnect, ""), asking(kindMessage, stopsWeb), bytesOf(kills()), true)
	f.Fuzz(func(t *testing.T, first, second, third []byte, seesEnds bool) {
		b := newBench(func(c *assemblerConfig) { c.seesEnds, c.maxPending, c.followFor = seesEnds, 2, time.Minute })
		records := [][]byte{first, second, third, first, second, third}
		for _, raw := range records {
			b.add(aligned(raw))
			assert.LessOrEqual(t, len(b.groups), 2)
			assert.LessOrEqual(t, len(b.loops), 2)
		}
		b.expire(time.Hour)
		b.flush()
		assert.Zero(t, b.pending())
		assert.Empty(t, b.current)
		assert.Empty(t, b.exits.waiting)
		assert.Empty(t, b.exits.late)
		facts := requirePossibleFacts(t, b, records)
		assert.LessOrEqual(t, len(b.events), len(records)+facts)
		assert.EqualValues(t, len(records), b.counts.records)
		exits := 0
		for _, o := range b.events {
			if o.Fact != nil {
				continue
			}
			if o.End != nil {
				exits++
				requirePossibleEnd(t, o.End)
				continue
			}
			requirePossible(t, o.Event)
		}
		assert.LessOrEqual(t, int64(len(b.events)-exits-facts)+b.counts.malformed+int64(len(b.fake.told)), b.counts.records)
	})
}

// requirePossibleFacts returns how many facts were told. Each record may have several calls.
func requirePossibleFacts(t *testing.T, b *bench, records [][]byte) int {
	t.Helper()
	facts, bytes := 0, 0
	for _, raw := range records {
		bytes += len(raw)
	}
	for _, o := range b.events {
		if o.Fact == nil {
			continue
		}
		facts++
		r := o.Fact.Request
		require.NotNil(t, r)
		assert.LessOrEqual(t, len(r.Socket), 108)
		assert.LessOrEqual(t, len(r.Requester.Title), 128)
		assert.LessOrEqual(t, len(r.Requester.Ancestry), 8)
	}
	assert.LessOrEqual(t, facts, bytes)
	return facts
}

func requirePossible(t *testing.T, e *kill.Event) {
	t.Helper()
	assert.Contains(t, []kill.Kind{kill.KindSignal, kill.KindAbend}, e.Kind)
	assert.Contains(t, []kill.Origin{kill.OriginUser, kill.OriginKernel}, e.Origin)
	if e.Origin == kill.OriginUser || len(e.Targets) < 2 {
		assert.NotEmpty(t, e.Scope)
	}
	assert.Equal(t, "ebpf", e.Source)
	assert.True(t, e.Result.Known)
	assert.Equal(t, e.Result.Errno != 0, e.Result.Error != "")
	if e.TargetCount != -1 {
		assert.Len(t, e.Targets, e.TargetCount)
	}
	for _, p := range append([]kill.Process{e.Sender}, e.Targets...) {
		assert.LessOrEqual(t, len(p.Command), 16)
		assert.LessOrEqual(t, len(p.Leader), 16)
		assert.LessOrEqual(t, len(p.Title), 128)
		assert.LessOrEqual(t, len(p.Ancestry), 8)
		require.False(t, strings.ContainsRune(p.Command+p.Leader, 0))
	}
}

func requirePossibleEnd(t *testing.T, end *kill.End) {
	t.Helper()
	assert.LessOrEqual(t, len(end.Command), 16)
	assert.True(t, end.Exit.Known)
	assert.NotEmpty(t, end.Exit.Verdict())
}
