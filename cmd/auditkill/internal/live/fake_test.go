// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// limit is more than anything here takes.
const limit = 20 * time.Second

// played is a source that plays what it is given, and tells of ends as eBPF does.
type played struct {
	batches  [][]*kill.Event
	refuses  error
	fails    error
	refused  error // by whom it has delivered to
	started  int
	closed   int
	finished chan struct{} // once all was delivered
}

func play(batches ...[]*kill.Event) *played {
	return &played{batches: batches, finished: make(chan struct{})}
}

func (p *played) Start(context.Context) error {
	p.started++
	return p.refuses
}

func (p *played) Run(ctx context.Context, deliver source.Deliver) {
	for _, batch := range p.batches {
		if p.refused = deliver(batch); p.refused != nil {
			return
		}
	}
	close(p.finished)
	<-ctx.Done()
}

func (p *played) Close() error {
	p.closed++
	return p.fails
}

func (*played) Follow(int, time.Duration) {}

// said is what was said to the person.
type said struct {
	mutex sync.Mutex
	texts []string
}

func (s *said) say(text string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.texts = append(s.texts, text)
}

func (s *said) all() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.texts
}

// newFake returns a watch that has opened nothing.
func newFake(t *testing.T, asked selection.Config) (*Watch, *said) {
	t.Helper()
	var s said
	w, err := newWatch(Config{Source: Auto, Path: "/nowhere", Asked: asked, OutcomeTimeout: time.Minute, Say: s.say})
	require.NoError(t, err)
	return w, &s
}

// pidBase is beyond all pids, so that nothing is known of these processes.
const pidBase = 1 << 23

// sent is a signal to a process.
func sent(signal kill.Signal, to string) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.Now(), Signal: signal, SignalKnown: true, Syscall: "kill",
		Origin: kill.OriginUser, Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: 1, Complete: true,
		Sender: kill.Process{PID: pidBase, Command: "kill"},
	}
	*e.AddTarget() = kill.Process{
		PID: pidBase + len(to), Command: to, Instance: &kill.Instance{SinceBoot: time.Second},
	}
	return e
}

// end is the end of a process.
func end(of string, status int) *kill.Event {
	e := &kill.Event{Kind: kill.KindExit, Time: time.Now(), Exit: &kill.Exit{Known: true, Status: status}, TargetCount: 1}
	*e.AddTarget() = kill.Process{PID: pidBase + len(of), Command: of, Instance: &kill.Instance{SinceBoot: time.Second}}
	return e
}

var errBroken = errors.New("broken")
