// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// starved is a kill for lack of memory of which a source has inferred the limit.
func starved(at time.Time, pids ...int) source.Observation {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: at, Signal: kill.SIGKILL, SignalKnown: true, Origin: kill.OriginKernel, Cause: kill.CauseOOM,
		Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: len(pids), Complete: true,
		OutOfMemory: &kill.OutOfMemory{
			Constraint: kill.OOMConstraintMemcg, Inferred: true, Cgroup: "/inferred", Limit: kill.NewAmount(1), Usage: kill.NewAmount(1),
			Invoker: kill.Process{PID: 7, Command: "asker"},
		},
	}
	for _, pid := range pids {
		*e.AddTarget() = kill.Process{PID: pidBase + pid, Command: "hog", Instance: &kill.Instance{SinceBoot: time.Second}}
	}
	return source.Observation{Event: e}
}

// logged is what the kernel's log says of a victim.
func logged(at time.Time, pid int, o *kill.OutOfMemory) []*kill.Event {
	e := &kill.Event{Kind: kill.KindSignal, Time: at, Signal: kill.SIGKILL, Cause: kill.CauseOOM, OutOfMemory: o}
	e.AddTarget().PID = pidBase + pid
	return []*kill.Event{e}
}

func ofGroup(path string) *kill.OutOfMemory {
	return &kill.OutOfMemory{
		Constraint: kill.OOMConstraintMemcg, Cgroup: path, Limit: kill.NewAmount(4096), Usage: kill.NewAmount(4096),
		Invoker: kill.Process{ThreadID: 8, Command: "asker"},
	}
}

func newLimitsTest() *behind {
	b := newBehindTest()
	b.limits = &limits{}
	return b
}

// The kernel's log decides, whichever comes first, and what comes after the kill waits with it.
func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newLimitsTest()
	first := starved(now, 1)
	require.True(t, b.hold(first, now), "the log may still say more")
	require.True(t, b.hold(endOf(1), now), "it is after the kill")
	require.False(t, b.hold(byHand(2), now), "it is about another process")
	b.learnLimits(logged(now.Add(time.Millisecond), 3, ofGroup("/other")))
	require.Empty(t, b.release(now), "that was another process")
	b.learnLimits(logged(now.Add(time.Millisecond), 1, ofGroup("/limited")))
	require.Len(t, b.release(now), 2)
	want := ofGroup("/limited")
	want.Invoker = kill.Process{PID: 7, Command: "asker"}
	assert.Equal(t, want, first.Event.OutOfMemory)

	second := starved(now, 3)
	require.False(t, b.hold(second, now), "the log has told it already")
	assert.Equal(t, "/other", second.Event.OutOfMemory.Cgroup)
	assert.False(t, second.Event.OutOfMemory.Inferred)
	assert.Zero(t, b.missed.Load())
}

// Without the log's word nothing is lost but the certainty.
func TestLimitsInferred(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tell := range map[string]func(b *behind){
		"nothing is told":               func(*behind) {},
		"some of the report is missing": func(b *behind) { b.learnLimits(logged(now, 1, &kill.OutOfMemory{})) },
		"the pid was another's before":  func(b *behind) { b.learnLimits(logged(now.Add(-time.Minute), 1, ofGroup("/old"))) },
		"it was told too long ago": func(b *behind) {
			b.learnLimits(logged(now, 1, ofGroup("/limited")))
			for i := range maxVictims {
				b.learnLimits(logged(now, 2+i, ofGroup("/noise")))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newLimitsTest()
			o := starved(now, 1)
			want := *o.Event.OutOfMemory
			tell(b)
			require.True(t, b.hold(o, now))
			require.Empty(t, b.release(now.Add(199*time.Millisecond)))
			require.Len(t, b.release(now.Add(200*time.Millisecond)), 1)
			assert.Equal(t, &want, o.Event.OutOfMemory)
			assert.Empty(t, b.held)
			assert.Zero(t, b.missed.Load(), "nobody has asked for it")
		})
	}
	t.Run("the log cannot be read", func(t *testing.T) {
		t.Parallel()
		assert.False(t, newBehindTest().hold(starved(now, 1), now))
	})
	t.Run("the source knows it", func(t *testing.T) {
		t.Parallel()
		o := starved(now, 1)
		o.Event.OutOfMemory.Inferred = false
		assert.False(t, newLimitsTest().hold(o, now))
	})
}

func TestLimitsOfVictims(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		event  source.Observation
		logged []*kill.Event
		want   *kill.OutOfMemory
	}{
		"the first of a group tells": {
			event:  starved(now, 1, 2, 3),
			logged: append(logged(now.Add(2*time.Millisecond), 3, ofGroup("/later")), logged(now, 2, ofGroup("/limited"))...),
			want: &kill.OutOfMemory{
				Constraint: kill.OOMConstraintMemcg, Cgroup: "/limited", Limit: kill.NewAmount(4096), Usage: kill.NewAmount(4096),
				Invoker: kill.Process{PID: 7, Command: "asker"},
			},
		},
		"the pid was in use twice": {
			event:  starved(now, 1),
			logged: append(logged(now, 1, ofGroup("/limited")), logged(now.Add(-victimWindow/2), 1, ofGroup("/old"))...),
			want: &kill.OutOfMemory{
				Constraint: kill.OOMConstraintMemcg, Cgroup: "/limited", Limit: kill.NewAmount(4096), Usage: kill.NewAmount(4096),
				Invoker: kill.Process{PID: 7, Command: "asker"},
			},
		},
		"it was the host": {
			event:  starved(now, 1),
			logged: logged(now, 1, &kill.OutOfMemory{Constraint: kill.OOMConstraintNone}),
			want:   &kill.OutOfMemory{Constraint: kill.OOMConstraintNone, Invoker: kill.Process{PID: 7, Command: "asker"}},
		},
		"the same group, without figures": {
			event:  starved(now, 1),
			logged: logged(now, 1, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg, Cgroup: "/inferred"}),
			want: &kill.OutOfMemory{
				Constraint: kill.OOMConstraintMemcg, Cgroup: "/inferred", Limit: kill.NewAmount(1), Usage: kill.NewAmount(1),
				Invoker: kill.Process{PID: 7, Command: "asker"},
			},
		},
		"a path that can be read in two ways": {
			event:  starved(now, 1),
			logged: logged(now, 1, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg}),
			want:   starved(now, 1).Event.OutOfMemory,
		},
		"nothing was inferred": {
			event: func() source.Observation {
				o := starved(now, 1)
				o.Event.OutOfMemory = nil
				return o
			}(),
			logged: logged(now, 1, ofGroup("/limited")),
			want:   ofGroup("/limited"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &limits{}
			for _, e := range tt.logged {
				l.learn(e)
			}
			require.True(t, l.settle(tt.event.Event))
			assert.Equal(t, tt.want, tt.event.Event.OutOfMemory)
		})
	}
}
