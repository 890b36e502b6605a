// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func TestOpensTheFirstThatCanBe(t *testing.T) {
	t.Parallel()
	refusing, unchecked, third, fourth := play(tracing()), play(tracing()), play(source.Traits{Way: "file"}), play(tracing())
	refusing.err, refusing.left = errors.New("no BTF"), errBroken
	checked := Custom("second", unchecked)
	checked.Check = func() error { return errors.New("it lacks a right") }
	settings, _ := newSettings(t, Custom("first", refusing), checked, Custom("third", third), Custom("fourth", fourth))
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	assert.Equal(t, "third", c.Source())
	assert.Equal(t, "file", c.Traits().Way)
	assert.False(t, c.KnowsOutcomes(), "an event in a log may be old")
	var refused []string
	for _, r := range c.Refusals() {
		refused = append(refused, fmt.Sprintf("%s: %v, %v", r.Name, r.Err, r.Cleanup))
	}
	assert.Equal(t, []string{"first: no BTF, broken", "second: it lacks a right, <nil>"}, refused)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close(), "only once")
	assert.Equal(t, []int{1, 0, 1, 0}, []int{refusing.started, unchecked.started, third.started, fourth.started})
	assert.Equal(t, []int{1, 0, 1, 0}, []int{refusing.closed, unchecked.closed, third.closed, fourth.closed})
}

func TestNoneCanBeOpened(t *testing.T) {
	t.Parallel()
	first, second := play(tracing()), play(tracing())
	first.err, second.err = errors.New("no BTF"), errBroken
	settings, _ := newSettings(t, Custom("ebpf", first), Custom("netlink", second))
	_, err := Open(t.Context(), settings)
	require.EqualError(t, err, "ebpf: no BTF; netlink: broken")
	require.ErrorIs(t, err, errBroken)
}

// A signal, the outcome of its target and a reused pid arrive in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	p := play(tracing())
	settings, _ := newSettings(t, Custom("played", p))
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	h := &handler{wants: func(e *kill.Event) bool { return e.Signal != 10 }}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, h)
	}()
	next := sent(kill.SIGTERM, "mysqld")
	next.Event.Targets[0].Instance = &kill.Instance{SinceBoot: 2 * time.Second}
	p.seen <- []source.Observation{sent(kill.SIGTERM, "mysqld"), sent(10, "mysqld"), end("mysqld", 15), next}
	require.Eventually(t, func() bool {
		signals, outcomes := h.taken()
		return signals == 2 && outcomes == 1
	}, limit, time.Millisecond)
	assert.EqualValues(t, 1, c.Watched())
	stop()
	<-done
	assert.Len(t, h.outcomes, 2, "the second one gets its outcome at the end")
	assert.Equal(t, kill.VerdictKilled, h.outcomes[0].Outcome.Verdict)
	assert.True(t, h.outcomes[0].Complete)
	assert.Equal(t, kill.VerdictEnded, h.outcomes[1].Outcome.Verdict, "no process has that pid")
	assert.NotEqual(t, h.signals[0].Targets[0].Span, h.signals[1].Targets[0].Span)
	require.NoError(t, c.Close())
}

// A panic costs only the event that caused it.
func TestPanic(t *testing.T) {
	t.Parallel()
	p := play(tracing())
	settings, said := newSettings(t, Custom("played", p))
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	h := &handler{signal: func(e *kill.Event) error {
		if e.Signal == kill.SIGABRT {
			nothing := e.Targets[1:]
			_ = nothing[len(e.Targets)-1]
		}
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, h)
	}()
	p.seen <- []source.Observation{sent(kill.SIGABRT, "mysqld"), sent(kill.SIGABRT, "nginx"), sent(kill.SIGTERM, "postgres")}
	p.seen <- []source.Observation{sent(kill.SIGTERM, "redis")}
	stop()
	<-done
	assert.EqualValues(t, 2, c.Panics())
	assert.Len(t, h.signals, 4)
	faults := said.logs.FilterMessageSnippet("this program panicked while working on an event")
	require.Equal(t, 1, faults.Len(), "once in a while")
	fields := faults.All()[0].ContextMap()
	assert.Equal(t, "runtime error: index out of range [0] with length 0", fields["panic"])
	assert.Contains(t, fields["stack"], "capture_test.go")
	require.NoError(t, c.Close())
}

// Observations are handled one batch at a time.
func TestInTurn(t *testing.T) {
	t.Parallel()
	settings, _ := newSettings(t)
	c := newCapture(settings)
	var inside atomic.Int32
	h := &handler{flush: func() error {
		assert.EqualValues(t, 1, inside.Add(1), "one at a time")
		runtime.Gosched()
		inside.Add(-1)
		return nil
	}}
	c.handler = h
	const times = 500
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range times {
				assert.NoError(t, c.deliver([]source.Observation{sent(kill.SIGTERM, "mysqld")}))
			}
		})
	}
	both.Wait()
	assert.Equal(t, 2*times, h.flushes)
}

// A source learns that the handler takes nothing more.
func TestNothingMoreIsTaken(t *testing.T) {
	t.Parallel()
	p := play(tracing())
	settings, _ := newSettings(t, Custom("played", p))
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, &handler{flush: func() error { return errBroken }})
	}()
	p.seen <- []source.Observation{sent(kill.SIGTERM, "mysqld")}
	require.ErrorIs(t, <-p.refused, errBroken)
	stop()
	<-done
	require.NoError(t, c.Close())
}

// A loss is a problem like any other, unless its source reports it with what it knows.
func TestWarnsOfLosses(t *testing.T) {
	t.Parallel()
	settings, said := newSettings(t, Custom("played", play(tracing())))
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	c.Counts().Lose(source.RingSignals, 3)
	c.Counts().Lose(source.RotatedFiles, 1)
	assert.Equal(t, []*problem.Problem{source.RingSignals.Problem(3)}, said.warnings())
	require.NoError(t, c.Close())
}

// If processes cannot be watched, signals are still reported.
func TestCannotWatch(t *testing.T) {
	t.Parallel()
	settings, said := newSettings(t, Custom("played", play(source.Traits{Way: "unicast", Live: true, TracksProcesses: true})))
	c := newCapture(settings)
	c.newExits = func(*Settings, *panics.Guard) exits { return unable{} }
	require.NoError(t, c.choose(t.Context()))
	c.openOutcomes()
	assert.False(t, c.KnowsOutcomes())
	require.Len(t, said.warnings(), 1)
	require.ErrorIs(t, said.warnings()[0], errBroken)
	assert.Zero(t, c.Watched()+c.Unwatched())
	require.NoError(t, c.Close())
}

// unable are exits in a container that cannot see the host's processes.
type unable struct{ outcome.Exits }

func (unable) Start() error { return errBroken }

func (unable) Run(context.Context, func([]*kill.End)) {}

func (unable) Close() error { return nil }

// No process is watched if outcomes are not wanted.
func TestNobodyWantsOutcomes(t *testing.T) {
	t.Parallel()
	settings, _ := newSettings(t, Custom("played", play(tracing())))
	settings.OutcomeTimeout = 0
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	assert.False(t, c.KnowsOutcomes())
	require.NoError(t, c.Close())
}
