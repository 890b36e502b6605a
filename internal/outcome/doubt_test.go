// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// sentToAll is kill(-1) of a user: nothing says which processes it reached.
func sentToAll(e *kill.Event) {
	from("nobody", 901)(e)
	e.Scope, e.Delivery = kill.ScopeAll, kill.DeliveryUnknown
	for i := range e.Targets {
		e.Targets[i].Result = &kill.Result{}
	}
}

// Whoever sends a signal to all processes is not said to have ended those that it may not have reached.
func TestSentToAll(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		signal kill.Signal
		then   func(f *fixture)
		// want is the sender of the outcome; empty if none is told.
		want      string
		escalated bool
	}{
		"lives on":                      {kill.SIGKILL, func(f *fixture) { f.pass(3 * time.Minute) }, "", false},
		"exits later":                   {kill.SIGTERM, func(f *fixture) { f.pass(time.Minute); f.died(pid, 0) }, "", false},
		"is gone":                       {kill.SIGKILL, func(f *fixture) { delete(f.exits.starts, pid); f.pass(3 * time.Minute) }, "", false},
		"dies of it":                    {kill.SIGKILL, func(f *fixture) { f.died(pid, 9) }, "nobody", false},
		"dies of another":               {kill.SIGTERM, func(f *fixture) { f.died(pid, 9) }, "", false},
		"is then killed by another":     {kill.SIGKILL, func(f *fixture) { f.sendWith(kill.SIGKILL, from("bash", 7), pid); f.died(pid, 9) }, "bash", false},
		"is then stopped, and exits":    {kill.SIGKILL, func(f *fixture) { f.send(kill.SIGTERM, pid); f.died(pid, 0) }, "systemd", false},
		"is then stopped, and killed":   {kill.SIGTERM, func(f *fixture) { f.send(kill.SIGTERM, pid); f.send(kill.SIGKILL, pid); f.died(pid, 9) }, "systemd", true},
		"the kernel reports its death":  {kill.SIGABRT, func(f *fixture) { f.abend(); f.died(pid, 0x86) }, "nobody", false},
		"the kernel reports another":    {kill.SIGTERM, func(f *fixture) { f.abend(); f.died(pid, 0x86) }, "kernel", false},
		"the collector stops before":    {kill.SIGKILL, func(f *fixture) { f.Abandon() }, "", false},
		"the collector stops afterward": {kill.SIGKILL, func(f *fixture) { f.died(pid, 9); f.Abandon() }, "nobody", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			f.sendWith(tt.signal, sentToAll, pid)
			f.at += time.Millisecond
			tt.then(f)
			got := f.TakeOutcomes()
			if tt.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, tt.want, got[0].Sender.Command)
			assert.Equal(t, tt.escalated, got[0].Outcome.Escalated)
		})
	}
}

func (f *fixture) abend() {
	f.sendWith(kill.SIGABRT, func(e *kill.Event) { e.Kind, e.Sender = kill.KindAbend, kill.Process{Command: "kernel"} }, pid)
}

// A signal that may have been refused does not make a stopped service one that was killed.
func TestSentToAllAfterAStop(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	f.send(kill.SIGTERM, pid)
	f.at += time.Millisecond
	f.sendWith(kill.SIGKILL, sentToAll, pid)
	f.died(pid, 0)
	e := f.only(t)
	assert.False(t, e.Outcome.Escalated)
	assert.Equal(t, "systemd", e.Outcome.LastSender.Command)
	assert.Equal(t, kill.SIGTERM, e.Outcome.LastSignal)
	assert.Len(t, e.Outcome.Signals, 2)
}

// The processes that a signal to all may have reached leave half of the room to others.
func TestSentToAllLeavesRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	var all []int
	for i := range MaxWatches {
		f.born(10 + i)
		all = append(all, 10+i)
	}
	f.sendWith(kill.SIGKILL, sentToAll, all...)
	assert.EqualValues(t, MaxWatches/2, f.Watched())
	assert.EqualValues(t, MaxWatches/2, f.Unwatched(), "counted, but no reason to warn")
	assert.Empty(t, f.warned)
	f.pass(3 * time.Minute)
	assert.Empty(t, f.TakeOutcomes(), "neither of a process nor of the call")
	assert.Empty(t, f.calls)
}
