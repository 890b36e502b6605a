// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// bySystemd is a signal of the host's systemd to a process of a unit.
func bySystemd(pid int, unit string) source.Observation {
	o := sent(kill.SIGTERM, "server")
	e := o.Event
	e.Sender = kill.Process{PID: 1, Command: "systemd", Executable: "/usr/lib/systemd/systemd", Instance: &kill.Instance{Cgroup: "/init.scope"}}
	e.Targets[0] = kill.Process{
		PID: pidBase + pid, Command: "server", Instance: &kill.Instance{SinceBoot: time.Second, Cgroup: "/system.slice/" + unit},
	}
	return o
}

// byHand is a signal of somebody else to the same process.
func byHand(pid int) source.Observation {
	o := sent(kill.SIGKILL, "server")
	o.Event.Targets[0].PID = pidBase + pid
	return o
}

func endOf(pid int) source.Observation {
	o := end("server", 9)
	o.End.PID = pidBase + pid
	return o
}

func stopJob(unit string) *attribution.Fact {
	return &attribution.Fact{Job: &attribution.Job{Time: time.Now(), Manager: 1, ID: 1, Unit: unit, Type: "stop"}}
}

// newBehindTest returns what waits for a systemd that reports its jobs.
func newBehindTest() *behind {
	table := attribution.New(attribution.Config{})
	table.Follow(1, true, false)
	return newBehind(table, 200*time.Millisecond, true, new(atomic.Int64))
}

func TestHold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBehindTest()
	first, second, other := bySystemd(1, "a.service"), byHand(1), byHand(2)
	require.True(t, b.hold(first, now), "systemd may still say more")
	require.False(t, b.hold(other, now), "it is about another process")
	require.True(t, b.hold(second, now), "it is after the first")
	require.True(t, b.hold(endOf(1), now))
	require.Empty(t, b.release(now))

	b.learn(stopJob("a.service"))
	assert.Empty(t, b.release(now), "nobody who has asked is known, and may still be")
	assert.Equal(t, []source.Observation{first, second}, b.release(now.Add(200 * time.Millisecond))[:2])
	assert.Equal(t, kill.CauseServiceStop, first.Event.Cause)
	assert.Empty(t, b.held)
	assert.Empty(t, b.pids)
	assert.Zero(t, b.missed.Load())

	require.True(t, b.hold(bySystemd(3, "b.service"), now))
	require.Len(t, b.release(now.Add(200*time.Millisecond)), 1)
	assert.EqualValues(t, 1, b.missed.Load(), "nothing was said of b.service")
}

// TestHoldIsBounded fills it up. What is beyond goes on, but not past what is before it.
func TestHoldIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBehindTest()
	for i := range maxHeld {
		require.True(t, b.hold(bySystemd(i, "a.service"), now))
	}
	assert.False(t, b.hold(bySystemd(maxHeld, "a.service"), now))
	assert.EqualValues(t, 1, b.missed.Load())
	assert.True(t, b.hold(endOf(0), now), "it is after a signal that waits")
	assert.Len(t, b.release(now.Add(time.Second)), maxHeld+1)
}

// TestHoldOfOne has a user's systemd send so many signals that not all can wait: those of the host's can.
func TestHoldOfOne(t *testing.T) {
	t.Parallel()
	const group = "/user.slice/user-1000.slice/user@1000.service"
	now := time.Now()
	b := newBehindTest()
	b.table.Follow(50, true, false)
	held := 0
	for i := range 2 * maxHeldOfOne {
		o := bySystemd(i, "a.service")
		o.Event.Sender.PID, o.Event.Sender.Instance = 50, &kill.Instance{Cgroup: group + "/init.scope"}
		o.Event.Targets[0].Instance = &kill.Instance{SinceBoot: time.Second, Cgroup: group + "/app.slice/a.service"}
		if b.hold(o, now) {
			held++
		}
	}
	assert.Equal(t, maxHeldOfOne, held)
	assert.True(t, b.hold(bySystemd(2*maxHeldOfOne, "b.service"), now))
	b.release(now.Add(time.Hour))
	assert.Empty(t, b.bySender)
}

// TestHoldOfMany has the systemds of a user's containers, or one of these and he himself, send so many signals that not all can
// wait: those of the host's can.
func TestHoldOfMany(t *testing.T) {
	t.Parallel()
	const group = "/user.slice/user-1000.slice/user@1000.service"
	now := time.Now()
	byOther := func(pid, manager int) source.Observation {
		o := bySystemd(pid, "a.service")
		o.Event.Sender.PID, o.Event.Sender.Instance = manager, &kill.Instance{Cgroup: group + "/init.scope"}
		o.Event.Targets[0].Instance = &kill.Instance{SinceBoot: time.Second, Cgroup: group + "/app.slice/a.service"}
		return o
	}
	for name, flood := range map[string]func(*behind){
		"many systemds": func(b *behind) {
			for n := range 2 * maxHeld {
				b.table.Follow(50+n/maxHeldOfOne, true, false)
				b.hold(byOther(n, 50+n/maxHeldOfOne), now)
			}
		},
		"signals to what waits": func(b *behind) {
			b.table.Follow(50, true, false)
			require.True(t, b.hold(byOther(1, 50), now))
			for n := range maxBlocked {
				b.hold(byHand(1), now)
				if n%maxHeld == 0 {
					b.release(now)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBehindTest()
			first, last := bySystemd(100_000, "b.service"), bySystemd(100_001, "b.service")
			require.True(t, b.hold(first, now))
			flood(b)
			assert.True(t, b.hold(last, now))
			left := b.release(now.Add(time.Millisecond))
			assert.NotContains(t, left, first)
			assert.NotContains(t, left, last)
			b.release(now.Add(time.Hour))
			assert.Empty(t, b.bySender)
			assert.Zero(t, b.others)
		})
	}
}

// TestHoldIsHurried has somebody send very many signals to a process to which a signal waits.
func TestHoldIsHurried(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBehindTest()
	b.hold(bySystemd(1, "a.service"), now)
	for range maxBlocked {
		require.True(t, b.hold(byHand(1), now))
	}
	assert.Len(t, b.release(now), 1+maxBlocked)
}

// TestHoldSurvivesPanics has whatever explains an event panic.
func TestHoldSurvivesPanics(t *testing.T) {
	t.Parallel()
	wrong := false
	table := attribution.New(attribution.Config{Session: func(int, string) (attribution.Login, bool) {
		if wrong {
			panic("a bug")
		}
		return attribution.Login{}, false
	}})
	table.Follow(1, true, false)
	b := newBehind(table, 200*time.Millisecond, true, new(atomic.Int64))
	b.panics = panics.NewGuard(zap.NewNop())
	now := time.Now()
	o := bySystemd(1, "session-5.scope")
	o.Event.Targets[0].Instance = &kill.Instance{Cgroup: "/user.slice/user-1000.slice/session-5.scope"}
	require.True(t, b.hold(o, now), "nothing is known of the session yet")
	require.True(t, b.hold(byHand(1), now))
	wrong = true
	b.learn(stopJob("session-5.scope"))
	assert.Len(t, b.release(now), 2)
	assert.EqualValues(t, 1, b.panics.Count())
	assert.Empty(t, b.held)
	assert.False(t, b.hold(o, now), "it panics at once")
	b.learn(stopJob("a.service"))
	assert.True(t, b.hold(bySystemd(2, "a.service"), now), "and goes on")
}

// TestHoldKeepsTheOrder compares the order in which random observations come and go.
func TestHoldKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same in each run
		b, now := newBehindTest(), time.Now()
		came, went := make([][]source.Observation, 8), make([][]source.Observation, 8)
		pass := func(o source.Observation) {
			eachPID(o, func(pid int) { went[pid-pidBase] = append(went[pid-pidBase], o) })
		}
		for range 300 {
			pid, unit := random.IntN(len(came)), string(rune('a'+random.IntN(3)))+".service"
			o := []source.Observation{bySystemd(pid, unit), byHand(pid), endOf(pid)}[random.IntN(3)]
			came[pid] = append(came[pid], o)
			if !b.hold(o, now) {
				pass(o)
			}
			if random.IntN(4) == 0 {
				b.learn(stopJob(unit))
			}
			now = now.Add(time.Duration(random.IntN(60)) * time.Millisecond)
			for _, o := range b.release(now) {
				pass(o)
			}
		}
		for _, o := range b.release(now.Add(time.Hour)) {
			pass(o)
		}
		require.Equal(t, came, went, "seed %d", seed)
		require.Empty(t, b.pids)
	}
}

// TestCaptureWaits waits for a fact, and passes on what waits at the end.
func TestCaptureWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := play(tracing())
		settings, _ := newSettings(t, Custom("played", p))
		settings.Attribution = Attribution{Enabled: true, Timeout: DefaultAttributionTimeout}
		c, err := Open(t.Context(), settings)
		require.NoError(t, err)
		c.behind.table.Follow(1, true, false)
		ctx, stop := context.WithCancel(t.Context())
		var h handler
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Run(ctx, &h)
		}()
		p.seen <- []source.Observation{bySystemd(1, "a.service")}
		time.Sleep(DefaultAttributionTimeout / 2)
		signals, _ := h.taken()
		assert.Zero(t, signals)
		time.Sleep(DefaultAttributionTimeout)
		signals, _ = h.taken()
		assert.Equal(t, 1, signals)

		p.seen <- []source.Observation{bySystemd(2, "a.service")}
		synctest.Wait()
		stop()
		<-done
		signals, _ = h.taken()
		assert.Equal(t, 2, signals, "what waits is passed on at the end")
		require.NoError(t, c.Close())
	})
}
