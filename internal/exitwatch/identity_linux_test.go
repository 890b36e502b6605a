// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

func TestWhoItIs(t *testing.T) {
	t.Parallel()
	const start = time.Hour
	born := procstat.Stat{Command: "mysqld", Start: start}
	for name, test := range map[string]struct {
		target outcome.Target
		is     bool
	}{
		"start known":                    {outcome.Target{Start: start}, true},
		"another start":                  {outcome.Target{Start: start + procstat.Tick, At: start + time.Hour}, false},
		"born long before":               {outcome.Target{At: start + time.Minute}, true},
		"at the end of the tick":         {outcome.Target{At: start + procstat.Tick}, true},
		"perhaps":                        {outcome.Target{At: start + procstat.Tick - 1}, true},
		"perhaps, as the clock is late":  {outcome.Target{At: start - procstat.RecordLag}, true},
		"it has become another program":  {outcome.Target{At: start + procstat.Tick - 1, Command: "sh"}, true},
		"killed, long before":            {outcome.Target{At: start + procstat.Tick, Command: "nginx", Killed: true}, true},
		"killed, perhaps, by its name":   {outcome.Target{At: start + procstat.Tick - 1, Command: "mysqld", Killed: true}, true},
		"killed, perhaps, by another":    {outcome.Target{At: start + procstat.Tick - 1, Command: "nginx", Killed: true}, false},
		"killed, perhaps, by no name":    {outcome.Target{At: start + procstat.Tick - 1, Killed: true}, false},
		"born after the event":           {outcome.Target{At: start - procstat.RecordLag - 1, Command: "mysqld"}, false},
		"nothing known, not even a name": {outcome.Target{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.is, is(test.target, born))
		})
	}
}

func TestWatchByTime(t *testing.T) {
	t.Parallel()
	w := runningWatcher(t)
	p := run(t, "sleep", "1000")
	_, err := w.Watch(outcome.Target{PID: p.pid(), Command: "sleep", At: p.start - time.Minute})
	require.ErrorIs(t, err, outcome.ErrGone, "the event was about an earlier process with the pid")
	for range 2 { // then it is watched already
		var start time.Duration
		start, err = w.Watch(outcome.Target{PID: p.pid(), At: p.start + time.Minute})
		require.NoError(t, err)
		assert.Equal(t, p.start, start)
		assert.Equal(t, 1, w.watched())
	}
	_, err = w.Watch(outcome.Target{PID: p.pid(), Start: p.start + procstat.Tick})
	require.ErrorIs(t, err, outcome.ErrGone)
	require.NoError(t, w.Resume(p.pid(), p.start))
	require.ErrorIs(t, w.Resume(p.pid(), p.start-procstat.Tick), outcome.ErrGone)
	assert.False(t, w.Alive(p.pid(), p.start+procstat.Tick))
	assert.Equal(t, 1, w.watched())
}

func TestGone(t *testing.T) {
	t.Parallel()
	w := runningWatcher(t)
	p := run(t, "true")
	p.reap(t)
	_, err := w.Watch(outcome.Target{PID: p.pid(), At: time.Hour})
	require.ErrorIs(t, err, outcome.ErrGone)
	require.EqualError(t, err, fmt.Sprintf("process %d: the process has ended already", p.pid()))
	assert.False(t, w.Alive(p.pid(), p.start))
	w.Unwatch(p.pid())
}

// A process that /proc hides from us has not ended.
func TestHidden(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w := watcher(t, Config{Root: root})
	p := run(t, "sleep", "1000")
	_, err := w.Watch(p.target())
	require.ErrorIs(t, err, unix.ENOENT)
	require.NotErrorIs(t, err, outcome.ErrGone)
	lacks := ""
	if len(privilege.Lacking(capability.CAP_SYS_PTRACE)) > 0 {
		lacks = ": the process lacks CAP_SYS_PTRACE"
	}
	require.EqualError(t, err, fmt.Sprintf("watching process %d: reading %s/proc/%d/stat: no such file or directory%s; "+
		"mount /proc without hidepid", p.pid(), root, p.pid(), lacks))
	assert.Zero(t, w.watched())
	p.signal(t, syscall.SIGKILL)
	p.dies(t)
	_, err = w.Watch(p.target())
	require.ErrorIs(t, err, outcome.ErrGone)
}

// reuse returns two processes, the second with the pid of the first. It calls before while the
// first is alive.
func reuse(t *testing.T, before func(first *target)) (first, second *target) {
	t.Helper()
	const lastPID = "/proc/sys/kernel/ns_last_pid"
	needCapability(t, capability.CAP_SYS_ADMIN, "to choose the pid of a process")
	for range 100 {
		first = run(t, "sleep", "1000")
		before(first)
		first.signal(t, syscall.SIGKILL)
		first.dies(t)
		died := process.SinceBoot()
		require.Eventually(t, func() bool { return process.SinceBoot() > died+2*procstat.Tick }, forever, time.Millisecond)
		first.reap(t)
		require.NoError(t, os.WriteFile(lastPID, []byte(strconv.Itoa(first.pid()-1)), 0))
		if second = run(t, "cat"); second.pid() == first.pid() {
			return first, second
		}
	}
	t.Skip("SKIPPED: others were always faster to take the pid")
	return nil, nil
}

func TestPIDReuse(t *testing.T) { //nolint:paralleltest // the fewer processes start, the sooner the pid is free
	t.Run("before it is watched", func(t *testing.T) { //nolint:paralleltest // as above
		w := watcher(t, Config{})
		var at time.Duration
		first, second := reuse(t, func(*target) { at = process.SinceBoot() })
		_, err := w.Watch(first.target())
		require.ErrorIs(t, err, outcome.ErrGone)
		_, err = w.Watch(outcome.Target{PID: first.pid(), Command: "sleep", At: at})
		require.ErrorIs(t, err, outcome.ErrGone)
		assert.False(t, w.Alive(first.pid(), first.start))
		assert.True(t, w.Alive(second.pid(), second.start))
	})
	t.Run("while it is watched", func(t *testing.T) { //nolint:paralleltest // as above
		w := watcher(t, Config{})
		first, second := reuse(t, func(p *target) { w.watch(t, p) })
		assert.False(t, w.Alive(first.pid(), first.start))
		w.watch(t, second)
		second.signal(t, syscall.SIGTERM)
		second.dies(t)
		w.run(t)
		ends := map[time.Duration]*kill.End{}
		for ends[first.start] == nil || ends[second.start] == nil {
			e := w.next(t)
			ends[e.Start] = e
		}
		assert.Equal(t, kill.VerdictKilled, ends[second.start].Exit.Verdict())
		assert.Equal(t, kill.SIGTERM, ends[second.start].Exit.Signal())
		if kernelReportsExit() {
			assert.Equal(t, kill.SIGKILL, ends[first.start].Exit.Signal())
		}
		assert.Zero(t, w.watched())
	})
}
