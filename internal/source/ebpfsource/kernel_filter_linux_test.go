// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Names without wildcards are compared in the kernel, with the name of the thread and of the process.
func TestTargetsInTheKernel(t *testing.T) {
	for name, tt := range map[string]struct {
		targets []string
		// toThread and toProcess say whether signals to a thread with a name of its own, and to its
		// process, are reported; toOther is a signal to a sleep.
		toThread, toProcess, toOther bool
	}{
		"the thread":            {[]string{threadName[:15]}, true, false, false},
		"the process":           {[]string{"a target"}, true, true, false},
		"longer than the names": {[]string{threadName}, true, false, false},
		"two of them":           {[]string{threadName, "sleep"}, true, false, true},
		"part of a name":        {[]string{"thread", "a", "slee"}, false, false, false},
		"globs are for others":  {[]string{"a thr*"}, true, true, true},
		"so are paths":          {[]string{threadName, "/bin/x"}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(s *Settings) { s.Targets = slices.Concat(tt.targets, []string{"end"}) })
			target := help(t, "target", nil)
			var thread int
			target.read(&thread)
			other := sleeper(t)
			sender := w.fencing
			toThread, errno := sender.send(order{call: "tgkill", pid: target.pid, thread: thread, signal: 1})
			require.Zero(t, errno)
			toProcess, errno := sender.send(order{call: "kill", pid: target.pid, signal: 1})
			require.Zero(t, errno)
			toOther, errno := sender.send(order{call: "kill", pid: other, signal: 1})
			require.Zero(t, errno)
			end := run(t, command(endProgram(t)))
			last, errno := sender.send(order{call: "kill", pid: end, signal: 15})
			require.Zero(t, errno)
			w.find(t, byThread(last))
			assert.Equal(t, tt.toThread, len(w.all(byThread(toThread))) == 1)
			assert.Equal(t, tt.toProcess, len(w.all(byThread(toProcess))) == 1)
			assert.Equal(t, tt.toOther, len(w.all(byThread(toOther))) == 1)
		})
	}
}

// endProgram is a program called end.
func endProgram(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/end"
	writeProgram(t, path, pause)
	return path
}

// With names of targets, only those targets of a call to a group are reported.
func TestGroupWithTargetsInTheKernel(t *testing.T) {
	w := start(t, func(s *Settings) { s.Targets = []string{"end"} })
	members := startGroup(t, 2)
	c := command(endProgram(t))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: leaderOf(t, members[0])}
	end := run(t, c)
	_, errno := w.fencing.send(order{call: "kill", pid: -leaderOf(t, members[0]), signal: 15})
	require.Zero(t, errno)
	e := w.find(t, to(end, kill.SIGTERM))
	assert.Equal(t, []int{end}, tell(e).Targets)
	assert.Equal(t, -1, e.TargetCount, "the other targets are not known")
	assert.True(t, e.Complete)
}

func TestSendersInTheKernel(t *testing.T) {
	w := start(t, func(s *Settings) { s.Senders = []string{"sh"} })
	target := sleeper(t)
	_, errno := w.fencing.send(order{call: "kill", pid: target, signal: int(kill.SIGTERM)})
	require.Zero(t, errno)
	_, errno = w.fencing.send(order{call: "kill", pid: nobodys, signal: int(kill.SIGTERM)})
	require.Equal(t, syscall.ESRCH, errno)
	last := sleeper(t)
	shell(t, "kill -TERM $0; kill -TERM 4194305 2> /dev/null; :", last)
	e := w.find(t, to(last, kill.SIGTERM))
	assert.Equal(t, "sh", e.Sender.Command)
	w.find(t, func(f *kill.Event) bool { return by(e.Sender.PID)(f) && f.Result.Error == "ESRCH" })
	assert.Empty(t, w.all(by(w.fencing.pid)))
}

// A collector that reported its own signals could go on forever.
func TestOwnSignals(t *testing.T) {
	w := start(t, nil)
	target := sleeper(t)
	require.NoError(t, unix.Kill(target, unix.SIGSTOP))
	require.ErrorIs(t, unix.Kill(nobodys, unix.SIGTERM), unix.ESRCH)
	require.NoError(t, unix.Kill(target, unix.SIGTERM))
	w.none(t, toAny(target))
	w.none(t, by(unix.Getpid()))
}

func TestSignalsInTheKernel(t *testing.T) {
	w := start(t, func(s *Settings) { s.Signals = []kill.Signal{kill.SIGHUP, 34, 64} })
	target := help(t, "target", nil)
	var thread int
	target.read(&thread)
	for signal := 1; signal <= 64; signal++ {
		if signal == int(kill.SIGKILL) || signal == int(kill.SIGSTOP) || signal == 32 || signal == 33 {
			continue // these cannot be dealt with
		}
		_, errno := w.fencing.send(order{call: "kill", pid: target.pid, signal: signal})
		require.Zero(t, errno)
	}
	w.fence(t)
	var signals []kill.Signal
	for _, e := range w.all(toAny(target.pid)) {
		signals = append(signals, e.Signal)
	}
	assert.Equal(t, []kill.Signal{kill.SIGHUP, 34, 64}, signals)
}
