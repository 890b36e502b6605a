// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// epoch is when the tests begin, uptime how long the host has been up by then.
var epoch = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

const uptime = time.Hour

// fakeExits knows when processes were created, until they are gone.
type fakeExits struct {
	starts    map[int]time.Duration
	err       error
	watched   []Target
	resumed   []int
	unwatched []int
}

func (f *fakeExits) Watch(target Target) (time.Duration, error) {
	f.watched = append(f.watched, target)
	start, ok := f.starts[target.PID]
	switch {
	case f.err != nil:
		return 0, f.err
	case !ok, target.Start != 0 && target.Start != start:
		return 0, ErrGone
	}
	return start, nil
}

func (f *fakeExits) Resume(pid int, start time.Duration) error {
	f.resumed = append(f.resumed, pid)
	if !f.Alive(pid, start) {
		return ErrGone
	}
	return nil
}

func (f *fakeExits) Unwatch(pid int) { f.unwatched = append(f.unwatched, pid) }

func (f *fakeExits) Alive(pid int, start time.Duration) bool { return f.starts[pid] == start }

// fixture is a table whose clock stands still until it is set.
type fixture struct {
	*Table
	exits  *fakeExits
	warned []*problem.Problem
	at     time.Duration
}

func newFixture(t *testing.T, ordered bool) *fixture {
	t.Helper()
	f := &fixture{exits: &fakeExits{starts: map[int]time.Duration{}}}
	f.Table = NewTable(Config{
		Timeout: 2 * time.Minute, HostID: "0123", BootID: "boot", Exits: f.exits, Ordered: ordered,
		Conceal:   func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") },
		SinceBoot: func() time.Duration { return uptime + f.at }, Warn: func(p *problem.Problem) { f.warned = append(f.warned, p) },
	})
	f.now = func() time.Time { return epoch.Add(f.at) }
	return f
}

// born starts a process.
func (f *fixture) born(pid int) { f.exits.starts[pid] = time.Duration(pid) * time.Second }

// send sends a signal now.
func (f *fixture) send(signal kill.Signal, pids ...int) *kill.Event {
	return f.sendWith(signal, func(*kill.Event) {}, pids...)
}

// sendWith changes the event of a signal, and sends it.
func (f *fixture) sendWith(signal kill.Signal, change func(*kill.Event), pids ...int) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: f.now(), Signal: signal, SignalKnown: true, Syscall: "kill", Origin: kill.OriginUser,
		Scope: kill.ScopeProcess, Result: kill.Success(), Delivery: kill.DeliveryDelivered, Complete: true, Source: "test",
		Sender:      kill.Process{PID: 1, ThreadID: 1, Command: "systemd"},
		TargetCount: len(pids),
	}
	if len(pids) > 1 {
		e.Scope = kill.ScopeProcessGroup
	}
	for _, pid := range pids {
		target := e.AddTarget()
		target.PID, target.Command = pid, "mysqld"
		if start, ok := f.exits.starts[pid]; ok {
			target.Instance = &kill.Instance{SinceBoot: start}
		}
	}
	change(e)
	f.Signal(e)
	return e
}

// died ends a process now.
func (f *fixture) died(pid, status int) {
	start := f.exits.starts[pid]
	delete(f.exits.starts, pid)
	f.Exited(&kill.End{
		PID: pid, Start: start, Time: f.now(), Exit: kill.Exit{Known: true, Status: status}, Command: "mysqld",
	})
}

// pass lets time pass.
func (f *fixture) pass(d time.Duration) {
	f.at += d
	f.Expire()
}

// from returns a change that sets the sender of an event.
func from(command string, pid int) func(*kill.Event) {
	return func(e *kill.Event) { e.Sender = kill.Process{PID: pid, ThreadID: pid, Command: command} }
}

var errFull = errors.New("no file descriptor is left")
