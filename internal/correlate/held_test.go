// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// whole returns the records of the n-th event, which waits so many milliseconds for facts.
func whole(n, wait int) []string {
	return []string{syscall(n, "64", "9"), target(n, 1000+wait), title(n)}
}

// waitOf is how long an event waits.
func waitOf(e *kill.Event) time.Duration {
	if len(e.Targets) == 0 {
		return 0
	}
	return time.Duration(e.Targets[0].PID-1000) * time.Millisecond
}

// job is a fact.
func job(n int) string {
	return unset(statement(n, "SERVICE_STOP", 1, fmt.Sprintf(`unit=f%d comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success`, n)))
}

// storyBench notes events and facts in their order.
type storyBench struct {
	*bench
	story []string
}

func newStoryBench() *storyBench {
	s := &storyBench{bench: newBench(Config{Wait: waitOf, Fact: func(*attribution.Fact) {}})}
	s.emit = func(e *kill.Event) { s.story = append(s.story, strconv.Itoa(int(e.Audit.Serial))) }
	s.config.Fact = func(f *attribution.Fact) { s.story = append(s.story, strings.TrimSuffix(f.Job.Unit, ".service")) }
	return s
}

// told returns what was noted, and forgets it.
func (s *storyBench) told() string {
	text := strings.Join(s.story, " ")
	s.story = nil
	return text
}

func TestHeld(t *testing.T) {
	t.Parallel()
	s := newStoryBench()
	s.feed(whole(1, 0)...)
	assert.Equal(t, "1", s.told(), "nothing to wait for")
	start := s.position
	s.feed(whole(2, 100)...)
	s.feed(whole(3, 0)...)
	s.feed(job(50))
	assert.Equal(t, "f50", s.told(), "the fact comes first")
	assert.Equal(t, 2, s.Held())
	assert.Equal(t, start, s.Safe(s.position))
	s.feed(other(102), title(102))
	assert.Empty(t, s.told(), "there may be more of that time")
	s.feed(job(102), other(103))
	assert.Equal(t, "f102 2 3", s.told())
	assert.Equal(t, s.position, s.Safe(s.position))

	s.feed(whole(200, 100)...)
	s.feed(whole(201, 50)...)
	assert.Equal(t, 60*time.Millisecond, s.Expire(s.now.Add(40*time.Millisecond)))
	assert.Zero(t, s.Expire(s.now.Add(100*time.Millisecond)))
	assert.Equal(t, "200 201", s.told(), "at the end of the log the clock counts")

	s.feed(whole(300, 1000)...)
	s.feed(syscall(301, "64", "9"))
	s.Flush()
	assert.Equal(t, "300 301", s.told())
	assert.Zero(t, s.Held())
	assert.Equal(t, s.position, s.Safe(s.position))
	assert.Zero(t, s.Counts().Hurried)
}

// TestHeldTogether holds what consists of one record, and what is not told at all.
func TestHeldTogether(t *testing.T) {
	t.Parallel()
	b := newBench(Config{PID: 100, Wait: func(e *kill.Event) time.Duration {
		if e.Kind == kill.KindSignal {
			return time.Hour
		}
		return 0
	}})
	b.feed(whole(1, 0)...)
	b.feed("type=ANOM_ABEND msg=" + stamp(2) + `: auid=1 uid=1 gid=1 ses=1 pid=9 comm="a" sig=11`)
	ours := b.position
	b.feed("type=CONFIG_CHANGE msg="+stamp(3)+`: op=remove_rule key="audit_kill" list=4 res=1`,
		strings.Replace(other(3), "syscall=257", "syscall=44", 1), title(3))
	require.Greater(t, b.position, ours)
	assert.Empty(t, b.take())
	assert.Zero(t, b.Safe(b.position))
	b.Flush()
	events := b.take()
	require.Len(t, events, 2, "our own change is none")
	assert.Equal(t, kill.KindAbend, events[1].Kind)
}

// TestHeldIsBounded lets events go on before their time if there are too many.
func TestHeldIsBounded(t *testing.T) {
	t.Parallel()
	s := newStoryBench()
	s.config.Wait = func(*kill.Event) time.Duration { return time.Hour }
	for n := range maxHeld + 10 {
		s.feed(whole(1+n%2, 0)...)
		s.done = recent{}
	}
	assert.Equal(t, maxHeld, s.Held())
	assert.Len(t, s.story, 10)
	assert.EqualValues(t, 10, s.Counts().Hurried)
	s.held.bytes += maxHeldBytes
	s.feed(whole(5, 0)...)
	assert.Zero(t, s.Held())
}

// TestHeldWhileClockIsSetBack does not wait for a time that comes again much later.
func TestHeldWhileClockIsSetBack(t *testing.T) {
	t.Parallel()
	s := newStoryBench()
	s.feed(whole(900_000, 100)...)
	for n := range waitRecords {
		s.feed(job(n))
	}
	assert.Equal(t, 1, s.Held())
	s.feed(job(1))
	assert.Zero(t, s.Held())
}

// TestHeldAlways mixes records of events that wait and of some that do not with facts, and rests at times. All events
// come, in the order of one that never waits; each has the facts that it waits for; and wherever reading starts again,
// no event is lost or seen in part.
func TestHeldAlways(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // an order, no secret
			stream := interleaved(random, 150)
			for i, line := range stream {
				if strings.Contains(line, "OBJ_PID") && random.IntN(2) == 0 {
					stream[i] = strings.Replace(line, "opid=5", fmt.Sprint("opid=", 1000+random.IntN(20)), 1)
				} else {
					stream[i] = strings.Replace(line, "opid=5", "opid=1000", 1)
				}
				if strings.Contains(line, "PROCTITLE") && random.IntN(3) == 0 {
					stream[i] = line + "\n" + job(1+i/3)
				}
			}
			stream = strings.Split(strings.Join(stream, "\n"), "\n")
			plain := newBench(Config{})
			plain.feed(stream...)
			var order []string
			for _, e := range plain.events {
				order = append(order, strconv.Itoa(int(e.Audit.Serial)))
			}

			b := newBench(Config{Wait: waitOf})
			var got []string
			facts, rested := map[int]bool{}, false
			b.config.Fact = func(f *attribution.Fact) { facts[int(f.Job.Time.UnixMilli()-1450214919000)] = true }
			b.emit = func(e *kill.Event) {
				b.events = append(b.events, e)
				got = append(got, strconv.Itoa(int(e.Audit.Serial)))
				if until := e.Time.Add(waitOf(e)); !rested {
					require.True(t, waitOf(e) == 0 || b.latest > until.UnixMilli(), "event %d has waited", e.Audit.Serial)
				}
			}
			for i, line := range stream {
				b.feed(line)
				checkRestart(t, stream[:i+1], stream, int(b.Safe(b.position)), len(b.events))
				if random.IntN(20) == 0 {
					rested = true
					b.now = b.now.Add(time.Duration(random.IntN(20)) * time.Millisecond)
					b.Expire(b.now)
					rested = false
				}
			}
			rested = true
			b.Flush()
			assert.Equal(t, order, got)
			assert.Equal(t, strings.Count(strings.Join(stream, "\n"), "SERVICE_STOP") > 0, len(facts) > 0)
			assert.Equal(t, b.position, b.Safe(b.position))
		})
	}
}
