// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// The tests in the files kernel_* load the programs into the kernel. They see all signals on this
// machine, so each test considers only those of its own processes.

// watch is a source on the real kernel.
type watch struct {
	*Source
	t *testing.T
	// fencing sends signals to itself; fences is how many of them have been seen.
	fencing *helper
	fences  int

	mutex  sync.Mutex
	events []*kill.Event
	asked  []*attribution.Request
}

func newSettings(t *testing.T) Settings {
	t.Helper()
	return Settings{
		RingBuffer: 4 << 20, Signals: kill.DefaultSignals(), IncludeFailed: true,
		Processes:          process.NewTable(process.Config{}),
		CorrelationTimeout: 2 * time.Second, MaxPending: 1000,
		Counts: new(source.Counts), Logger: zaptest.NewLogger(t), Health: func(err error) { assert.NoError(t, err) },
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	audittest.Root(t, "load programs into the kernel")
}

// start loads the programs into the kernel, until the test ends.
func start(t *testing.T, change func(*Settings)) *watch {
	t.Helper()
	needRoot(t)
	settings := newSettings(t)
	if change != nil {
		change(&settings)
	}
	s := New(settings)
	require.NoError(t, s.Start(t.Context()))
	return watchWith(t, s)
}

// startWith is start with a chosen way to see the ends of calls.
func startWith(t *testing.T, ends callEnds, change func(*Settings)) *watch {
	t.Helper()
	return startBy(t, ends, "", change)
}

// startBy is startWith with a chosen way to see requests.
func startBy(t *testing.T, ends callEnds, requests connects, change func(*Settings)) *watch {
	t.Helper()
	needRoot(t)
	settings := newSettings(t)
	if change != nil {
		change(&settings)
	}
	s := New(settings)
	var err error
	s.programs, err = load(wish{
		ring: settings.RingBuffer, signals: settings.Signals, includeFailed: settings.IncludeFailed,
		targets: settings.Targets, senders: settings.Senders, calls: ends,
		sockets: settings.Sockets, connects: requests,
	})
	require.NoError(t, err)
	require.NoError(t, s.programs.attachProcesses())
	require.NoError(t, settings.Processes.Prime())
	require.NoError(t, s.programs.attachSignals())
	ring, err := ringbuf.NewReader(s.programs.collection.Maps[kernelMapRing])
	require.NoError(t, err)
	require.NoError(t, s.begin(t.Context(), ring))
	return watchWith(t, s)
}

func watchWith(t *testing.T, s *Source) *watch {
	t.Helper()
	w := &watch{Source: s, t: t}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx, w.deliver) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		assert.NoError(t, w.Close())
	})
	w.fencing = help(t, "sender", nil)
	return w
}

func (w *watch) deliver(seen []source.Observation) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.events = append(w.events, asEvents(seen)...)
	for _, o := range seen {
		if o.Fact != nil {
			w.asked = append(w.asked, o.Fact.Request)
		}
	}
	return nil
}

// endKind is the kind of the end of a process, which is listed among the events of a test so that
// their order can be checked.
const endKind kill.Kind = "end"

func asEvents(seen []source.Observation) []*kill.Event {
	var events []*kill.Event
	for _, o := range seen {
		e := o.Event
		if o.Fact != nil {
			continue
		}
		if o.End != nil {
			e = &kill.Event{Kind: endKind, Time: o.End.Time, Outcome: &kill.Outcome{Exit: o.End.Exit}}
			*e.AddTarget() = kill.Process{
				PID: o.End.PID, Command: o.End.Command, Instance: &kill.Instance{SinceBoot: o.End.Start},
			}
		}
		events = append(events, e)
	}
	return events
}

// all returns the events that match.
func (w *watch) all(matches func(*kill.Event) bool) []*kill.Event {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var all []*kill.Event
	for _, e := range w.events {
		if matches(e) {
			all = append(all, e)
		}
	}
	return all
}

// find waits for an event, which must be the only one that matches so far.
func (w *watch) find(t *testing.T, matches func(*kill.Event) bool) *kill.Event {
	t.Helper()
	return w.several(t, 1, matches)[0]
}

// some waits for an event, which need not be the only one that matches, and returns the first.
func (w *watch) some(t *testing.T, matches func(*kill.Event) bool) *kill.Event {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.all(matches)) > 0 }, limit, time.Millisecond)
	return w.all(matches)[0]
}

// several waits for the given number of events.
func (w *watch) several(t *testing.T, count int, matches func(*kill.Event) bool) []*kill.Event {
	t.Helper()
	var found []*kill.Event
	require.Eventually(t, func() bool {
		found = w.all(matches)
		return len(found) >= count
	}, limit, time.Millisecond)
	require.Len(t, found, count)
	return found
}

// none makes sure that no event of what has happened up to now matches.
func (w *watch) none(t *testing.T, matches func(*kill.Event) bool) {
	t.Helper()
	w.fence(t)
	for _, e := range w.all(matches) {
		assert.Fail(t, "should not be reported", "%+v", tell(e))
	}
}

// fence waits until everything that has happened up to now has been reported.
func (w *watch) fence(t *testing.T) {
	t.Helper()
	_, errno := w.fencing.send(order{call: "kill", pid: w.fencing.pid, signal: int(kill.SIGHUP)})
	require.Zero(t, errno)
	w.fences++
	w.several(t, w.fences, func(e *kill.Event) bool { return by(w.fencing.pid)(e) && toAny(w.fencing.pid)(e) })
	// Kills that may be the OOM killer's are held back, and no event shows that there are none.
	time.Sleep(2 * oomWindow)
}

// to matches a signal to a process.
func to(pid int, signal kill.Signal) func(*kill.Event) bool {
	return func(e *kill.Event) bool {
		return e.Kind == kill.KindSignal && e.Signal == signal && len(e.Targets) > 0 && e.Targets[0].PID == pid
	}
}

// toAny matches everything that is reported of a process as a target.
func toAny(pid int) func(*kill.Event) bool {
	return func(e *kill.Event) bool {
		for i := range e.Targets {
			if e.Targets[i].PID == pid {
				return true
			}
		}
		return false
	}
}

// by matches what a process sends.
func by(pid int) func(*kill.Event) bool {
	return func(e *kill.Event) bool { return e.Sender.PID == pid }
}

// byThread matches what a thread sends.
func byThread(thread int) func(*kill.Event) bool {
	return func(e *kill.Event) bool { return e.Sender.ThreadID == thread }
}

// unprivileged makes a process run as nobody.
func unprivileged() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
