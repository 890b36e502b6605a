// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

var epoch = time.Unix(1_700_000_000, 0)

// sends returns a signal of a user's process to another one, so many milliseconds after the epoch.
func sends(user uint32, sender, target int, signal kill.Signal, at int) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: epoch.Add(time.Duration(at) * time.Millisecond), Signal: signal, SignalKnown: true,
		Origin: kill.OriginUser, Complete: true,
		Sender: kill.Process{PID: sender, RealUser: kill.User{ID: kill.NewID(user)}},
	}
	e.AddTarget().PID = target
	return e
}

// untimed returns a queue that tells sums only when the test says so.
func untimed() *Queue {
	q := New()
	q.tellEvery = time.Hour
	return q
}

func add(q *Queue, events ...*kill.Event) { q.Add(source.Events(events)) }

// eventsOf takes all events that wait.
func eventsOf(q *Queue) []*kill.Event {
	var events []*kill.Event
	for _, o := range q.Take(Max) {
		if o.Event != nil {
			events = append(events, o.Event)
		}
	}
	return events
}

// An ordinary user's signals take a share of the queue. Beyond it, equal ones are joined, and others still find room.
func TestFloodIsJoined(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range Max {
		add(q, sends(1000, 7, 8, kill.SIGHUP, i))
	}
	assert.Equal(t, mostAlone, q.Len(), "the first of them")
	add(q, sends(0, 9, 10, kill.SIGKILL, 5), sends(1001, 11, 12, kill.SIGTERM, 6))
	alone := eventsOf(q)
	assert.Equal(t, kill.SIGTERM, alone[len(alone)-1].Signal)
	assert.Equal(t, kill.SIGKILL, alone[len(alone)-2].Signal)
	add(q, sends(1000, 7, 8, kill.SIGHUP, Max))
	assert.Empty(t, eventsOf(q), "it goes on in the sum, although there is room")
	q.tell()
	told := eventsOf(q)
	require.Len(t, told, 1)
	assert.Equal(t, Max+1-(len(alone)-2), told[0].Count)
	assert.Equal(t, epoch.Add(time.Duration(len(alone)-2)*time.Millisecond), told[0].Time)
	assert.Equal(t, epoch.Add(Max*time.Millisecond), told[0].LastTime)
	assert.Zero(t, q.TakeDropped())
	assert.EqualValues(t, told[0].Count-1, q.TakeJoined())
	assert.Zero(t, q.TakeJoined(), "each is reported once")
	q.tell()
	add(q, sends(1000, 7, 8, kill.SIGHUP, Max+1))
	require.Len(t, eventsOf(q), 1, "a flood that has ended is forgotten")
	q.Abandon()
}

// Signals of one user to many processes are not equal, and wait by themselves until the user's share is used up.
func TestManyTargetsAreTold(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range share {
		add(q, sends(1000, 7, 100+i, kill.SIGTERM, i))
	}
	assert.Len(t, eventsOf(q), share/2)
	q.tell()
	assert.Len(t, eventsOf(q), share/2)
	q.Abandon()
}

// Root's signals are told one by one as long as there is room.
func TestRootIsToldOneByOne(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range Max / 2 {
		add(q, sends(0, 7, 8, kill.SIGHUP, i))
	}
	assert.Len(t, eventsOf(q), Max/2)
	q.Abandon()
}

// The end of a process comes after all signals to it.
func TestEndComesAfterSums(t *testing.T) {
	t.Parallel()
	q := untimed()
	q.Join(mustKey(t, sends(1000, 7, 8, kill.SIGTERM, 1)), 3, epoch, epoch.Add(time.Second), func() *kill.Event {
		return sends(1000, 7, 8, kill.SIGTERM, 1)
	})
	q.Add(source.Ends([]*kill.End{{PID: 9}, {PID: 8}}))
	taken := q.Take(10)
	require.Len(t, taken, 3)
	assert.Equal(t, 9, taken[0].End.PID)
	assert.Equal(t, 3, taken[1].Event.Count)
	assert.Equal(t, 8, taken[2].End.PID)
	q.Abandon()
}

// However many of a user's processes end, the ends of root's find room.
func TestEndsOfAUser(t *testing.T) {
	t.Parallel()
	q := untimed()
	end := func(pid int, user uint32) { q.Add(source.Ends([]*kill.End{{PID: pid, User: kill.NewID(user)}})) }
	for pid := range 2 * Max {
		end(pid, 65534)
	}
	end(4711, 0)
	taken := q.Take(2 * Max)
	require.NotEmpty(t, taken)
	assert.Equal(t, 4711, taken[len(taken)-1].End.PID)
	assert.Equal(t, int64(2*Max+1-len(taken)), q.TakeDropped(), "the loss is counted")
	for pid := range 2 * Max {
		end(pid, 0)
	}
	assert.Len(t, q.Take(2*Max), Max, "root has all of it")
	q.Abandon()
}

func mustKey(t *testing.T, e *kill.Event) Key {
	t.Helper()
	key, ok := KeyOf(e)
	require.True(t, ok)
	return key
}

func TestKeys(t *testing.T) {
	t.Parallel()
	same := mustKey(t, sends(1000, 7, 8, kill.SIGTERM, 1))
	assert.Equal(t, same, mustKey(t, sends(1000, 7, 8, kill.SIGTERM, 2)))
	for name, change := range map[string]func(*kill.Event){
		"sender":        func(e *kill.Event) { e.Sender.PID = 9 },
		"program":       func(e *kill.Event) { e.Sender.Executable = "/bin/other" },
		"sender's time": func(e *kill.Event) { e.Sender.Instance = &kill.Instance{SinceBoot: 1} },
		"target":        func(e *kill.Event) { e.Targets[0].PID = 9 },
		"target's time": func(e *kill.Event) { e.Targets[0].Instance = &kill.Instance{SinceBoot: 1} },
		"signal":        func(e *kill.Event) { e.Signal = kill.SIGKILL },
		"result":        func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} },
		"delivery":      func(e *kill.Event) { e.Delivery = kill.DeliveryIgnored },
		"kind":          func(e *kill.Event) { e.Kind = kill.KindAbend },
		"call":          func(e *kill.Event) { e.Syscall = "tkill" },
		"scope":         func(e *kill.Event) { e.Scope = kill.ScopeAll },
	} {
		e := sends(1000, 7, 8, kill.SIGTERM, 1)
		change(e)
		assert.NotEqual(t, same, mustKey(t, e), name)
	}
	for name, change := range map[string]func(*kill.Event){
		"several targets": func(e *kill.Event) { e.AddTarget() },
		"incomplete":      func(e *kill.Event) { e.Complete = false },
		"no signal":       func(e *kill.Event) { e.Kind = kill.KindTamper },
		"out of memory":   func(e *kill.Event) { e.OutOfMemory = &kill.OutOfMemory{} },
	} {
		e := sends(1000, 7, 8, kill.SIGTERM, 1)
		change(e)
		_, ok := KeyOf(e)
		assert.False(t, ok, name)
	}
}

// Whatever comes in whatever order, what is told and what is counted as dropped is what was added.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same in each run
		q, added, told := untimed(), map[Key]int{}, map[Key]int{}
		taking := func(n int) {
			for _, o := range q.Take(n) {
				if o.Event != nil {
					told[mustKey(t, o.Event)] += o.Event.Signals()
					assert.False(t, o.Event.Count == 1 || o.Event.Count > 1 && o.Event.LastTime.Before(o.Event.Time))
				}
			}
		}
		targets := 1 + random.IntN(10_000)
		for i := range 30_000 {
			e := sends(uint32(random.IntN(3)*500), 1+random.IntN(4), 100+random.IntN(targets), kill.SIGHUP, i)
			added[mustKey(t, e)]++
			switch random.IntN(400) {
			case 0:
				taking(random.IntN(2000))
			case 1:
				q.tell()
			case 2:
				q.Add(source.Ends([]*kill.End{{PID: 100 + random.IntN(targets)}}))
			}
			add(q, e)
			require.LessOrEqual(t, q.weight, Max)
		}
		q.Finish()
		taking(1 << 30)
		require.Zero(t, q.TakeDropped())
		require.Equal(t, added, told, "seed %d", seed)
		assert.Zero(t, q.weight)
		assert.Empty(t, q.shares)
	}
}

// Too many kinds of signals are dropped, and counted.
func TestSumsAreBounded(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range maxSums + 5 {
		q.Join(mustKey(t, sends(0, 7, 1+i, kill.SIGHUP, 1)), 2, epoch, epoch, func() *kill.Event {
			return sends(0, 7, 1+i, kill.SIGHUP, 1)
		})
	}
	assert.EqualValues(t, 10, q.TakeDropped())
	q.Abandon()
	assert.EqualValues(t, 2*maxSums, q.TakeDropped())
}

// However many kinds of signals an ordinary user makes, and even if they are released at once because their target has
// ended, those of others and ends are kept.
func TestOneUserLeavesRoom(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range maxSums {
		add(q, sends(1000, 100+i, 8, kill.SIGTERM, i))
	}
	assert.LessOrEqual(t, len(q.sums.all), maxSums/4)
	q.TakeDropped() // his own
	q.Add(source.Ends([]*kill.End{{PID: 8}}))
	add(q, sends(0, 9, 10, kill.SIGKILL, 5), sends(1001, 9, 10, kill.SIGKILL, 5))
	q.Add(source.Ends([]*kill.End{{PID: 10}}))
	assert.Zero(t, q.TakeDropped())
	q.Abandon()
}

// Whoever has many user ids leaves the last quarter to root.
func TestManyUsersLeaveRoom(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range Max {
		add(q, sends(100_000+uint32(i%9), 100+i, 8, kill.SIGTERM, i))
	}
	assert.LessOrEqual(t, q.weight, Max-reserve)
	q.Abandon()
}

// A call to a group that exceeds the share of its user is told by target.
func TestGroupsHaveAShare(t *testing.T) {
	t.Parallel()
	q := untimed()
	toGroup := func(user uint32, at int) *kill.Event {
		e := sends(user, 7, 8, kill.SIGTERM, at)
		e.AddTarget().PID = 9
		e.TargetCount = 2
		return e
	}
	for i := range Max {
		add(q, toGroup(1000, i))
	}
	assert.LessOrEqual(t, q.weight, share)
	add(q, toGroup(0, Max))
	q.Add(source.Ends([]*kill.End{{PID: 10}}))
	assert.Zero(t, q.TakeDropped())
	told := map[int]int{}
	q.Finish()
	for _, e := range eventsOf(q) {
		for i := range e.Targets {
			told[e.Targets[i].PID] += e.Signals()
		}
	}
	assert.Equal(t, map[int]int{8: Max + 1, 9: Max + 1}, told)
}

// Sums of one target that grow quiet are forgotten together.
func TestQuietSumsAreForgotten(t *testing.T) {
	t.Parallel()
	q := untimed()
	for i := range 1000 {
		add(q, sends(1000, 100+i, 8, kill.SIGTERM, i))
	}
	add(q, sends(1000, 7, 9, kill.SIGTERM, 1))
	for range 2 {
		q.tell()
	}
	assert.Empty(t, q.sums.all)
	assert.Empty(t, q.sums.byKey)
	assert.Empty(t, q.sums.of)
	assert.Empty(t, q.sums.users)
	q.Abandon()
}

// What the kernel sends to a user's processes takes his share, not root's: he can have as many timers and faults as he likes.
func TestKernelSignalsTakeTheTargetsShare(t *testing.T) {
	t.Parallel()
	q := untimed()
	for range 2 {
		for target := range 8000 {
			for signal := range 14 {
				e := sends(0, 0, 10000+target, kill.Signal(signal+1), target)
				e.Origin, e.Sender = kill.OriginKernel, kill.Process{}
				e.Targets[0].User.ID = kill.NewID(1001)
				add(q, e)
			}
		}
	}
	q.TakeDropped()
	add(q, sends(1000, 7, 9, kill.SIGKILL, 1))
	assert.Zero(t, q.TakeDropped(), "another user's signal")
	q.Abandon()
}
