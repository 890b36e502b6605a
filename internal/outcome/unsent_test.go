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

// unexplained ends the process now; the source has seen no signal to it.
func (f *fixture) unexplained() {
	start := f.exits.starts[pid]
	delete(f.exits.starts, pid)
	f.Exited(&kill.End{
		PID: pid, Start: start, Time: f.now(), Exit: kill.Exit{Known: true, Status: int(kill.SIGTERM)}, Command: "mysqld",
		Process: &kill.Process{PID: pid, Command: "mysqld"}, Complete: true, Source: "ebpf",
	})
}

// An end that no signal explains is an outcome without a sender, unless signals to the process were seen.
func TestUnsent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before func(f *fixture)
		want   bool
	}{
		"nothing was sent":        {func(*fixture) {}, true},
		"another was struck":      {func(f *fixture) { f.born(pid + 1); f.send(kill.SIGTERM, pid+1) }, true},
		"it has survived another": {func(f *fixture) { f.send(kill.SIGKILL, pid); f.pass(3 * time.Minute); f.TakeOutcomes() }, true},
		"it has survived this":    {func(f *fixture) { f.send(kill.SIGTERM, pid); f.pass(3 * time.Minute); f.TakeOutcomes() }, false},
		"it has survived this, and later another": {func(f *fixture) {
			f.send(kill.SIGTERM, pid)
			f.pass(3 * time.Minute)
			f.send(kill.SIGKILL, pid)
			f.pass(3 * time.Minute)
			f.TakeOutcomes()
		}, false},
		"the pid was another's": {func(f *fixture) {
			f.send(kill.SIGKILL, pid)
			f.died(pid, 9)
			f.TakeOutcomes()
			f.exits.starts[pid] = 2 * uptime
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			tt.before(f)
			start := f.exits.starts[pid]
			f.unexplained()
			got := f.TakeOutcomes()
			if !tt.want {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			e := got[0]
			assert.True(t, e.Outcome.Unsent)
			assert.Equal(t, kill.VerdictKilled, e.Outcome.Verdict)
			assert.Zero(t, e.Sender)
			assert.Equal(t, e.Time, e.Outcome.Began)
			assert.Equal(t, e.Outcome.Span, e.Targets[0].Span)
			assert.Equal(t, "ebpf", e.Source)
			f.exits.starts[pid] = start
			f.unexplained()
			assert.Empty(t, f.TakeOutcomes(), "each end is told once")
		})
	}
}

// A signal to the zombie belongs to the end that was told.
func TestSignalAfterAnUnsentEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true)
	f.born(pid)
	start := f.exits.starts[pid]
	f.unexplained()
	span := f.only(t).Outcome.Span
	f.exits.starts[pid] = start
	assert.Equal(t, span, f.send(kill.SIGKILL, pid).Targets[0].Span)
	assert.Empty(t, f.TakeOutcomes())
}

// What has survived a signal is remembered over a restart, but not over a boot.
func TestSurvivorsOverARestart(t *testing.T) {
	t.Parallel()
	for boot, want := range map[string]int{"boot": 0, "another": 1} {
		f := newFixture(t, true)
		f.born(pid)
		f.send(kill.SIGTERM, pid)
		f.pass(3 * time.Minute)
		data, err := f.Save()
		require.NoError(t, err)
		next := newFixture(t, true)
		next.config.BootID, next.exits.starts = boot, f.exits.starts
		require.NoError(t, next.Restore(data))
		next.unexplained()
		assert.Len(t, next.TakeOutcomes(), want, boot)
	}
}

// TestInjected has a process die of a signal that was not among those that were seen.
func TestInjected(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sees, lost bool
		sent       []kill.Signal
		want       kill.Signal
		survived   []kill.Signal
	}{
		"nobody has sent it": {true, false, []kill.Signal{kill.SIGHUP}, kill.SIGKILL, nil},
		"somebody has":       {true, false, []kill.Signal{kill.SIGHUP, kill.SIGKILL}, 0, nil},
		"not all are seen":   {false, false, []kill.Signal{kill.SIGHUP}, 0, nil},
		"it was survived":    {true, false, []kill.Signal{kill.SIGHUP}, 0, []kill.Signal{kill.SIGKILL}},
		"some were lost":     {true, true, []kill.Signal{kill.SIGHUP}, 0, nil},
		"it is the only one": {true, false, []kill.Signal{kill.SIGKILL}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.config.Sees = func(kill.Signal) bool { return tt.sees }
			f.born(pid)
			for _, signal := range tt.survived {
				f.send(signal, pid)
				f.pass(3 * time.Minute)
				f.TakeOutcomes()
			}
			for _, signal := range tt.sent {
				f.send(signal, pid)
			}
			f.Exited(&kill.End{
				PID: pid, Start: f.exits.starts[pid], Time: f.now(), Exit: kill.Exit{Known: true, Status: int(kill.SIGKILL)}, Complete: !tt.lost,
			})
			f.pass(time.Second)
			got := f.TakeOutcomes()
			require.Len(t, got, 1)
			assert.Equal(t, tt.want, got[0].Outcome.Injected)
		})
	}
}
