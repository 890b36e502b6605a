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
)

// The numbers of enum constraint (kernel/record.h).
const (
	constraintUnknown = iota
	constraintHost
	constraintCpuset
	constraintMempolicy
	constraintMemcg
)

// choosesWith is the OOM killer's report of a victim that holds something, in a group at its limit.
func choosesWith(at time.Duration, pid uint32, change func(*kernelVictimRecord), parts string) []byte {
	r := &kernelVictimRecord{
		Kind: kindVictim, Time: uint64(at), Thread: 10, Pid: pid, HasMemory: 1, Constraint: constraintMemcg, Asked: 1, ScoreAdj: -7,
		Anon: 1, File: 2, Shmem: 3, Total: 4, PageTables: 5, Limit: 6, Usage: 7, Invoker: 9, PathLength: uint32(len(parts)),
	}
	copy(r.InvokerCommand[:], "eater")
	copy(r.Path[:], parts)
	change(r)
	return bytesOf(r)[:int(victimPathOffset)+len(parts)]
}

func TestVictim(t *testing.T) {
	t.Parallel()
	pages := func(n int64) kill.Amount { return kill.NewAmount(n * testPage) }
	unknown := kill.Amount{}
	eater := kill.Process{PID: 9, Command: "eater"}
	whole := kill.Memory{
		AnonRSS: pages(1), FileRSS: pages(2), ShmemRSS: pages(3), TotalVM: pages(4), PageTables: kill.NewAmount(5), ScoreAdj: kill.NewAmount(-7),
	}
	tests := map[string]struct {
		change func(*kernelVictimRecord)
		parts  string
		nodes  bool
		memory *kill.Memory
		want   *kill.OutOfMemory
	}{
		"group": {
			func(*kernelVictimRecord) {}, "b\x00a\x00", true, &whole,
			&kill.OutOfMemory{Constraint: "memcg", Inferred: true, Cgroup: "/a/b", Limit: pages(6), Usage: pages(7), Invoker: eater},
		},
		"as the kernel says": {
			func(r *kernelVictimRecord) { r.Observed = 1 }, "a\x00", true, &whole,
			&kill.OutOfMemory{Constraint: "memcg", Cgroup: "/a", Limit: pages(6), Usage: pages(7), Invoker: eater},
		},
		"path too long": {
			func(*kernelVictimRecord) {}, "", false, &whole,
			&kill.OutOfMemory{Constraint: "memcg", Inferred: true, Limit: pages(6), Usage: pages(7), Invoker: eater},
		},
		"host": {
			func(r *kernelVictimRecord) { r.Constraint = constraintHost }, "", false, &whole,
			&kill.OutOfMemory{Constraint: "none", Inferred: true, Invoker: eater},
		},
		"host, or one of its nodes": {
			func(r *kernelVictimRecord) { r.Constraint = constraintHost }, "", true, &whole,
			&kill.OutOfMemory{Inferred: true, Invoker: eater},
		},
		"host of several nodes, as the kernel says": {
			func(r *kernelVictimRecord) { r.Constraint, r.Observed = constraintHost, 1 }, "", true, &whole,
			&kill.OutOfMemory{Constraint: "none", Invoker: eater},
		},
		"cpuset": {
			func(r *kernelVictimRecord) { r.Constraint, r.Observed = constraintCpuset, 1 }, "", true, &whole,
			&kill.OutOfMemory{Constraint: "cpuset", Invoker: eater},
		},
		"memory policy": {
			func(r *kernelVictimRecord) { r.Constraint, r.Observed = constraintMempolicy, 1 }, "", true, &whole,
			&kill.OutOfMemory{Constraint: "mempolicy", Invoker: eater},
		},
		"not known": {
			func(r *kernelVictimRecord) { r.Constraint = constraintUnknown }, "", false, &whole,
			&kill.OutOfMemory{Inferred: true, Invoker: eater},
		},
		"of a newer kernel": {
			func(r *kernelVictimRecord) { r.Constraint, r.Observed = 5, 1 }, "", false, &whole, &kill.OutOfMemory{Invoker: eater},
		},
		"nobody asked": {
			func(r *kernelVictimRecord) { r.Constraint, r.Asked = constraintHost, 0 }, "", false, &whole,
			&kill.OutOfMemory{Constraint: "none", Inferred: true},
		},
		"memory not known": {
			func(r *kernelVictimRecord) { r.HasMemory = 0 }, "a\x00", false, &kill.Memory{ScoreAdj: kill.NewAmount(-7), AnonRSS: unknown},
			&kill.OutOfMemory{Constraint: "memcg", Inferred: true, Cgroup: "/a", Limit: pages(6), Usage: pages(7), Invoker: eater},
		},
		"process not known": {func(r *kernelVictimRecord) { r.Pid = 0 }, "", false, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, path, ok := viewVictim(choosesWith(early, 20, tt.change, tt.parts))
			require.True(t, ok)
			events, _ := newFakeEvents()
			events.severalNodes = func() bool { return tt.nodes }
			v := events.victimOf(r, path)
			assert.Equal(t, early, v.at)
			assert.Equal(t, tt.memory, v.memory)
			assert.Equal(t, tt.want, v.outOfMemory)
		})
	}
}

func TestViewVictimOfTooLittle(t *testing.T) {
	t.Parallel()
	raw := choosesWith(early, 20, func(*kernelVictimRecord) {}, "b\x00a\x00")
	for length := range len(raw) {
		_, _, ok := viewVictim(raw[:length])
		assert.False(t, ok, length)
	}
}

// Each target has what it held itself, and the event the limit that the first of them ran into.
func TestMemoryOfVictims(t *testing.T) {
	t.Parallel()
	limited := func(pages uint64) func(*kernelVictimRecord) {
		return func(r *kernelVictimRecord) { r.Limit, r.Anon = pages, pages }
	}
	for name, records := range map[string][][]byte{
		"killed, then named": {
			slays(early, 10, 21), choosesWith(early, 21, limited(1), "a\x00"), slays(soon, 10, 20), choosesWith(soon, 20, limited(2), "b\x00"),
		},
		"named, then killed": {
			choosesWith(soon, 20, limited(2), "b\x00"), choosesWith(early, 21, limited(1), "a\x00"), slays(early, 10, 21), slays(soon, 10, 20),
		},
		"named twice": {
			slays(early, 10, 21), choosesWith(early, 21, limited(1), "a\x00"), slays(soon, 10, 20), choosesWith(soon, 20, limited(2), "b\x00"),
			choosesWith(soon, 21, limited(3), "c\x00"),
		},
		"others are named": {
			choosesWith(early-1, 30, limited(4), "d\x00"),
			slays(early, 10, 21), choosesWith(early, 21, limited(1), "a\x00"), slays(soon, 10, 20), choosesWith(soon, 20, limited(2), "b\x00"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			for _, raw := range records {
				b.add(raw)
			}
			b.flush()
			require.Len(t, b.events, 1)
			e := b.events[0].Event
			require.Len(t, e.Targets, 2)
			assert.Equal(t, "/a", e.OutOfMemory.Cgroup)
			assert.Equal(t, kill.NewAmount(2*testPage), e.Targets[0].Memory.AnonRSS)
			assert.Equal(t, kill.NewAmount(testPage), e.Targets[1].Memory.AnonRSS)
		})
	}
	t.Run("shares the memory of a victim", func(t *testing.T) {
		t.Parallel()
		b := newBench(nil)
		b.add(slays(early, 10, 20))
		b.add(choosesWith(early, 20, limited(1), "a\x00"))
		b.add(slays(soon, 10, 21))
		b.flush()
		e := b.events[0].Event
		assert.Equal(t, "/a", e.OutOfMemory.Cgroup)
		assert.Nil(t, e.Targets[1].Memory)
	})
}

// Whoever makes a group of many processes run out of memory does not fill the memory of the reader.
func TestVictimsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(slays(early, 10, 1))
	for pid := range uint32(maxVictims + 100) {
		b.add(choosesWith(early, pid+1, func(*kernelVictimRecord) {}, ""))
		b.victims = nil
	}
	assert.Len(t, b.loops[0].victims, maxVictims)
}

// Where the kernel says when it has killed all that it wants, a whole group is one event however long that takes, and
// the next lack of memory is another one.
func TestHandled(t *testing.T) {
	t.Parallel()
	handled := func(thread uint32) []byte { return bytesOf(&kernelHandledRecord{Kind: kindHandled, Thread: thread}) }
	const late = early + 5*oomWindow
	for name, tt := range map[string]struct {
		records [][]byte
		want    []string
		pending int
	}{
		"a whole group, with a slow console": {
			[][]byte{slays(early, 10, 20), chooses(early, 20), slays(late, 10, 21), chooses(late, 21), handled(10)}, []string{"0>[20 21] oom"}, 0,
		},
		"one after the other": {
			[][]byte{slays(early, 10, 20), chooses(early, 20), handled(10), slays(soon, 10, 21), chooses(soon, 21), handled(10)},
			[]string{"0>[20] oom", "0>[21] oom"},
			0,
		},
		"of another thread":      {[][]byte{slays(early, 10, 20), chooses(early, 20), handled(11)}, nil, 1},
		"nobody was killed":      {[][]byte{chooses(early, 20), handled(10)}, nil, 0},
		"not for lack of memory": {[][]byte{slays(early, 10, 20), handled(10)}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(func(c *assemblerConfig) { c.seesHandled = true })
			for _, raw := range tt.records {
				b.add(raw)
			}
			assert.ElementsMatch(t, tt.want, b.take())
			assert.Equal(t, tt.pending, b.pending())
			b.expire(early + longestLoop - 1)
			assert.Zero(t, b.expire(early+longestLoop), "if the report was lost")
			assert.Zero(t, b.pending())
		})
	}
}
