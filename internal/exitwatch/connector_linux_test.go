// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"encoding/binary"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/problem"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// connectedWatcher is a Watcher that learns the status only from the connector.
func connectedWatcher(t *testing.T, pidfds bool) *watching {
	t.Helper()
	needCapability(t, capability.CAP_NET_ADMIN, "for the process connector")
	w := watcher(t, Config{Connector: true})
	require.NotNil(t, w.connector, "it takes CONFIG_PROC_EVENTS, which every distribution sets")
	w.trusted = false
	if !pidfds {
		w.pidfdOpen = func(int, int) (int, error) { return 0, unix.ENOSYS }
	}
	return w
}

func TestConnector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		signal syscall.Signal
	}{
		"exits":  {`trap 'exit 0' TERM; READY; read x`, syscall.SIGTERM},
		"code":   {`trap 'exit 42' TERM; READY; read x`, syscall.SIGTERM},
		"killed": {`READY; read x`, syscall.SIGKILL},
		"dumps":  {`ulimit -c unlimited; READY; read x`, syscall.SIGABRT},
	} {
		for with, pidfds := range map[string]bool{"with a pidfd": true, "without": false} {
			t.Run(name+" "+with, func(t *testing.T) {
				t.Parallel()
				w := connectedWatcher(t, pidfds)
				w.run(t)
				p := script(t, test.script)
				w.watch(t, p)
				w.watch(t, p)
				assert.True(t, w.Alive(p.pid(), p.start))
				before := time.Now()
				p.signal(t, test.signal)
				want := p.reap(t)
				e := w.next(t)
				assert.Equal(t, p.end(e.Command, e.Time, want), e)
				assert.WithinRange(t, e.Time, before, time.Now())
				assert.False(t, w.Alive(p.pid(), p.start))
				_, err := w.Watch(p.target())
				require.ErrorIs(t, err, outcome.ErrGone)
			})
		}
	}
}

// Without a pidfd, the end of a zombie would never be reported.
func TestConnectorZombie(t *testing.T) {
	t.Parallel()
	w := connectedWatcher(t, false)
	p := run(t, "true")
	p.dies(t)
	_, err := w.Watch(p.target())
	require.ErrorIs(t, err, outcome.ErrGone)
}

// The status of the first thread is of no use if the others live on for longer.
func TestConnectorFirstThread(t *testing.T) {
	t.Parallel()
	w := connectedWatcher(t, true)
	command := exec.Command(os.Args[0]) //nolint:gosec // this test
	command.Env = append(os.Environ(), role+"=leader exits first")
	p := ready(t, command)
	w.watch(t, p)
	now := time.Now()
	for w.watches[1].guessed.IsZero() {
		require.Empty(t, w.ends(reports(t, w), now))
	}
	p.signal(t, syscall.SIGKILL)
	p.reap(t)
	later := now.Add(statusTimeout)
	for w.due().IsZero() {
		require.Empty(t, w.ends(reports(t, w), later))
	}
	require.Empty(t, w.ends(nil, later.Add(statusTimeout-1)))
	assert.Equal(t, []*kill.End{p.end("", later, kill.Exit{})}, w.ends(nil, later.Add(statusTimeout)))
}

// Killed threads die one by one. The first may report its status before the last is dead.
func TestConnectorGuess(t *testing.T) {
	t.Parallel()
	w := connectedWatcher(t, true)
	p := run(t, "sleep", "1000")
	w.watch(t, p)
	now := time.Now()
	w.watches[1].guess, w.watches[1].guessed = kill.Exit{Known: true, Status: 9}, now.Add(-statusTimeout/2)
	w.watches[1].hasEnded(now)
	w.awaitingStatus = append(w.awaitingStatus, w.watches[1])
	assert.Equal(t, []*kill.End{p.end("", now, kill.Exit{Known: true, Status: 9})}, w.ends(nil, now.Add(statusTimeout)))
}

func TestConnectorOverflows(t *testing.T) {
	t.Parallel()
	const count = 200
	w := connectedWatcher(t, false)
	require.NoError(t, unix.SetsockoptInt(w.connector.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	targets := make([]*target, count)
	for i := range targets {
		targets[i] = run(t, "sleep", "1000")
		w.watch(t, targets[i])
	}
	for _, p := range targets {
		p.signal(t, syscall.SIGKILL)
		p.reap(t)
	}
	w.run(t)
	unknown := 0
	for range targets {
		if e := w.next(t); e.Exit.Known {
			assert.Equal(t, kill.SIGKILL, e.Exit.Signal())
		} else {
			unknown++
		}
	}
	assert.Positive(t, unknown, "none was lost, so this has tested nothing")
}

// Without the connector, a status that /proc does not show is not known, and not waited for.
func TestConnectorNotAllowed(t *testing.T) {
	t.Parallel()
	var warned []*problem.Problem
	w := &watching{Watcher: New(Config{
		Connector: true, Logger: zap.NewNop(), Warn: func(p *problem.Problem) { warned = append(warned, p) },
	})}
	w.connectorOpen = func() (*connector, error) { return nil, unix.EPERM }
	require.NoError(t, w.Start())
	defer func() { assert.NoError(t, w.Close()) }()
	require.Len(t, warned, 1)
	assert.Contains(t, warned[0].What, "the process connector")
	require.ErrorIs(t, warned[0], unix.EPERM)

	w.trusted = false
	zombie, reaped := script(t, `READY; read x; exit 0`), script(t, `READY; read x; exit 3`)
	now := time.Now()
	for _, p := range []*target{zombie, reaped} {
		w.watch(t, p)
		require.NoError(t, p.stdin.Close())
		p.dies(t)
		name := "sh"
		if p == reaped {
			p.reap(t)
			name = ""
		}
		assert.Equal(t, []*kill.End{p.end(name, now, kill.Exit{})}, w.ends(reports(t, w), now))
	}
}

// message is a message of the connector. Values that are not named are zero.
func message(values map[int]uint32) []byte {
	m := make([]byte, exitSize)
	binary.NativeEndian.PutUint32(m[cnMsg:], cnIdxProc)
	binary.NativeEndian.PutUint32(m[cnMsg+4:], cnValProc)
	for at, value := range values {
		binary.NativeEndian.PutUint32(m[at:], value)
	}
	return m
}

func TestParseConnector(t *testing.T) {
	t.Parallel()
	exit := message(map[int]uint32{procEvent: procEventExit, exitPID: 7, exitTGID: 7, exitStatus: 0x8b})
	pid, status, ok := parseExit(exit)
	assert.Equal(t, []any{7, 0x8b, true}, []any{pid, status, ok})
	answer := message(map[int]uint32{cnMsgAck: 6, eventData: uint32(unix.EPERM)})
	code, ok := parseAnswer(answer, 5)
	assert.Equal(t, []any{uint32(unix.EPERM), true}, []any{code, ok})

	for name, m := range map[string][]byte{
		"cut short":   exit[:exitSize-1],
		"nothing":     nil,
		"of a thread": message(map[int]uint32{procEvent: procEventExit, exitPID: 8, exitTGID: 7}),
		"no pid":      message(map[int]uint32{procEvent: procEventExit}),
		"of others":   message(map[int]uint32{procEvent: procEventExit, exitPID: 7, exitTGID: 7, cnMsg: 2}),
		"a fork":      message(map[int]uint32{procEvent: 1, exitPID: 7, exitTGID: 7}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, ok := parseExit(m)
			assert.False(t, ok)
			_, ok = parseAnswer(m, 5)
			assert.False(t, ok)
		})
	}
}

func FuzzParseConnector(f *testing.F) {
	f.Add(message(map[int]uint32{procEvent: procEventExit, exitPID: 7, exitTGID: 7, exitStatus: 9}))
	f.Add(message(nil))
	f.Fuzz(func(t *testing.T, m []byte) {
		pid, _, exits := parseExit(m)
		_, answers := parseAnswer(m, 0)
		assert.False(t, exits && answers)
		assert.Equal(t, exits, pid > 0 && exits)
	})
}
