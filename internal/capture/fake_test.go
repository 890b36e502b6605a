// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// limit is longer than anything here takes.
const limit = 20 * time.Second

var errBroken = errors.New("broken")

// handler takes everything that a test wants.
type handler struct {
	wants  func(e *kill.Event) bool
	signal func(e *kill.Event) error
	flush  func() error

	mutex             sync.Mutex
	signals, outcomes []*kill.Event
	flushes           int
	// unsettled is true while batches are under way.
	unsettled atomic.Bool
}

func (h *handler) Wants(e *kill.Event) bool { return h.wants == nil || h.wants(e) }

func (h *handler) WantsEnd(e *kill.Event) bool { return h.Wants(e) }

func (h *handler) Signal(e *kill.Event) error {
	h.mutex.Lock()
	h.signals = append(h.signals, e)
	h.mutex.Unlock()
	if h.signal == nil {
		return nil
	}
	return h.signal(e)
}

func (h *handler) Outcome(e *kill.Event) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.outcomes = append(h.outcomes, e)
	return nil
}

func (h *handler) Flush() error {
	h.mutex.Lock()
	h.flushes++
	h.mutex.Unlock()
	if h.flush == nil {
		return nil
	}
	return h.flush()
}

func (h *handler) Settled() bool { return !h.unsettled.Load() }

// last is the last event that was taken.
func (h *handler) last() *kill.Event {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.signals[len(h.signals)-1]
}

func (h *handler) taken() (signals, outcomes int) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.signals), len(h.outcomes)
}

// played is a source that reports what a test sends it.
type played struct {
	traits  source.Traits
	err     error
	left    error
	seen    chan []source.Observation
	refused chan error
	// started and closed count calls.
	started, closed int
}

func play(traits source.Traits) *played {
	return &played{traits: traits, seen: make(chan []source.Observation), refused: make(chan error, 100)}
}

// tracing are the traits of the source ebpf.
func tracing() source.Traits {
	return source.Traits{Way: "ebpf", Live: true, TracksProcesses: true, Watch: func(int, time.Duration) {}}
}

func (p *played) Start(context.Context) error {
	p.started++
	return p.err
}

func (p *played) Traits() source.Traits { return p.traits }

func (p *played) Run(ctx context.Context, deliver source.Deliver) {
	for {
		select {
		case seen := <-p.seen:
			if err := deliver(seen); err != nil {
				p.refused <- err
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *played) Close() error {
	p.closed++
	return p.left
}

// said holds the warnings and the log of a capture.
type said struct {
	logs *observer.ObservedLogs

	mutex  sync.Mutex
	warned []*problem.Problem
}

func (s *said) warnings() []*problem.Problem {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.warned
}

func newSettings(t *testing.T, candidates ...Candidate) (Settings, *said) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	s := &said{logs: logs}
	return Settings{
		Candidates: candidates, OutcomeTimeout: time.Minute, Conceal: func(text string) string { return text },
		Logger: zap.New(core), Health: func(error) {},
		Warn: func(p *problem.Problem) {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.warned = append(s.warned, p)
		},
	}, s
}

// pidBase is beyond all pids, so that the host knows no such processes.
const pidBase = 1 << 23

// sent is a signal to a process.
func sent(signal kill.Signal, to string) source.Observation {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.Now(), Signal: signal, SignalKnown: true, Syscall: "kill",
		Origin: kill.OriginUser, Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: 1, Complete: true,
		Sender: kill.Process{PID: pidBase, Command: "kill"},
	}
	*e.AddTarget() = kill.Process{
		PID: pidBase + len(to), Command: to, Instance: &kill.Instance{SinceBoot: time.Second},
	}
	return source.Observation{Event: e}
}

// end is the end of a process.
func end(of string, status int) source.Observation {
	return source.Observation{End: &kill.End{
		PID: pidBase + len(of), Start: time.Second, Time: time.Now(), Exit: kill.Exit{Known: true, Status: status}, Command: of,
	}}
}
