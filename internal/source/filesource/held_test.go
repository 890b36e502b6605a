// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

// waiting are settings with which each event waits so long for facts.
func (b *bench) waiting(wait time.Duration) filesource.Settings {
	settings := b.withFacts()
	settings.Correlation.Timeout = time.Hour
	settings.Correlation.Wait = func(*kill.Event) time.Duration { return wait }
	return settings
}

// TestEventsWaitForFacts appends the facts while events wait for them.
func TestEventsWaitForFacts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, event(1))
	r := start(t, b.waiting(time.Hour))
	require.Eventually(t, func() bool { return b.counts.Records.Load() == 3 }, patience, look)
	b.append(t, login(2, 17))
	r.awaitStory("login 17")
	b.append(t, event(3)+sudo(3_600_002, 17, "reboot"))
	r.awaitStory("login 17, reboot, event 1")
	b.append(t, sudo(3_600_004, 17, "halt"))
	r.awaitStory("login 17, reboot, event 1, halt, event 3")
}

// TestEventsWaitByTheClock at the end of the log.
func TestEventsWaitByTheClock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const wait = 150 * time.Millisecond
	r := start(t, b.waiting(wait))
	before := time.Now()
	b.append(t, event(1))
	r.await(1)
	assert.GreaterOrEqual(t, time.Since(before), wait)
}

// TestEventsWaitNoLongerThanTheLog is read to its end only.
func TestEventsWaitNoLongerThanTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, event(1)+login(2, 17))
	settings := b.waiting(time.Hour)
	settings.Follow = false
	r := start(t, settings)
	r.awaitStory("login 17, event 1")
	require.Eventually(t, func() bool { return b.storage.checkpoint(t, b.path).Offset == int64(len(b.everything(t))) }, patience, look)
}

// TestCheckpointWaitsForHeld stops or kills a source while an event waits: it comes again, with what was told meanwhile.
func TestCheckpointWaitsForHeld(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stopped", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			before := login(1, 17)
			b.append(t, before)
			settings := b.waiting(time.Hour)
			r := start(t, settings)
			b.append(t, event(2)+logout(3, 17)+sudo(4, 17, "reboot"))
			r.awaitStory("login 17, logout 17, reboot")
			require.Eventually(t, func() bool {
				return b.storage.checkpoint(t, b.path).Offset == int64(len(before)) && strings.Contains(b.stored(t), `"17"`)
			}, patience, look)
			if how == "killed" {
				settings.Store = b.storage.copy(t)
			}
			r.stop()
			assert.Equal(t, int64(len(before)), b.storage.checkpoint(t, b.path).Offset)
			r = start(t, settings)
			b.append(t, sudo(3_600_003, 18, "halt"))
			r.awaitStory("login 17, logout 17, reboot, halt, event 2")
		})
	}
}

// TestHeldAnytime stops and kills a source at random. Each event is delivered at least once after the facts that it
// waits for, and in the order of the log.
func TestHeldAnytime(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64() //nolint:gosec // not a secret
	t.Logf("seed %d", seed)
	c := &chaos{bench: newBench(t), t: t, rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // not a secret
	c.settings = c.waiting(time.Hour)
	const events = 200
	for n := 1; n <= events; n++ {
		c.appendInPieces(event(n))
		if c.rand.IntN(8) == 0 {
			c.restart()
		}
		c.appendInPieces(sudo(n, n, "fact"))
		if c.rand.IntN(40) == 0 {
			c.rename()
		}
		if c.rand.IntN(8) == 0 {
			c.restart()
		}
	}
	if c.run == nil {
		c.launch()
	}
	c.append(t, sudo(3_700_000, 1, "end"))
	explained := map[uint32]bool{}
	assert.Eventually(t, func() bool {
		for _, s := range append(c.ended, c.run) {
			s.explained(explained)
		}
		return len(explained) == events
	}, patience, look)
	c.end()
	for _, s := range c.ended {
		last := uint32(0)
		for _, e := range s.events() {
			assert.Greater(t, e.Audit.Serial, last)
			last = e.Audit.Serial
		}
	}
}

// explained adds the events that were delivered after the fact of the same number.
func (s *sink) explained(all map[uint32]bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	facts := map[string]bool{}
	for _, o := range s.seen {
		switch {
		case o.Fact != nil:
			facts[strconv.Itoa(o.Fact.Command.PID)] = true
		case facts[strconv.Itoa(int(o.Event.Audit.Serial))]:
			all[o.Event.Audit.Serial] = true
		}
	}
}
