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
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// limit is longer than anything here takes.
const limit = 20 * time.Second

// played is a source that reports what a test gives it, including ends, as eBPF does.
type played struct {
	batches  [][]source.Observation
	refuses  error
	fails    error
	refused  error // the error of its handler
	closed   int
	finished chan struct{} // once all was delivered
}

func play(batches ...[]source.Observation) *played {
	return &played{batches: batches, finished: make(chan struct{})}
}

func (p *played) Start(context.Context) error { return p.refuses }

func (*played) Traits() source.Traits {
	return source.Traits{Way: "played", Live: true, TracksProcesses: true, Watch: func(int, time.Duration) {}}
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

// fakeConfig watches no host that there is.
func fakeConfig(asked selection.Config) (Config, *said) {
	s := &said{}
	return Config{Source: Auto, Path: "/nowhere", Asked: asked, OutcomeTimeout: time.Minute, CommandLine: redact.Redacted, Say: s.say}, s
}

// newFake returns a watch by a source that plays.
func newFake(t *testing.T, asked selection.Config, p *played) (*Watch, *said) {
	t.Helper()
	config, s := fakeConfig(asked)
	w, err := open(t.Context(), config, []capture.Candidate{capture.Custom("played", p)})
	require.NoError(t, err)
	return w, s
}

// pidBase is beyond all pids, so that nothing is known of these processes.
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

var errBroken = errors.New("broken")
