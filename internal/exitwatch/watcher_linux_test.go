// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/outcome"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestHowItEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script  string
		signal  syscall.Signal
		verdict kill.Verdict
	}{
		"handles it and exits":       {`trap 'exit 0' TERM; READY; read x`, syscall.SIGTERM, kill.VerdictExited},
		"with a code":                {`trap 'exit 42' TERM; READY; read x`, syscall.SIGTERM, kill.VerdictExited},
		"killed":                     {`READY; read x`, syscall.SIGKILL, kill.VerdictKilled},
		"by another than was sent":   {`trap 'kill -USR1 $$' TERM; READY; read x`, syscall.SIGTERM, kill.VerdictKilled},
		"dumps core":                 {`ulimit -c unlimited; READY; read x`, syscall.SIGABRT, kill.VerdictCoreDumped},
		"would dump core, may not":   {`ulimit -c 0; READY; read x`, syscall.SIGSEGV, kill.VerdictKilled},
		"after a while":              {`trap 'sleep 0.2; exit 7' TERM; READY; read x`, syscall.SIGTERM, kill.VerdictExited},
		"ignores one, dies of other": {`trap '' TERM; READY; kill -TERM $$; read x`, syscall.SIGINT, kill.VerdictKilled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := runningWatcher(t)
			p := script(t, test.script)
			w.watch(t, p)
			assert.True(t, w.Alive(p.pid(), p.start))
			before := time.Now()
			p.signal(t, test.signal)
			want := p.reap(t)
			e := w.next(t)
			assert.Equal(t, p.end(e.Command, e.Time, want), e)
			assert.WithinRange(t, e.Time, before, time.Now())
			if verdict := want.Verdict(); test.verdict == kill.VerdictCoreDumped && verdict == kill.VerdictKilled {
				t.Skip("SKIPPED in part: the host's core_pattern or limits let nobody dump core")
			}
			assert.Equal(t, test.verdict, e.Exit.Verdict())
			assert.False(t, w.Alive(p.pid(), p.start))
			_, err := w.Watch(p.target())
			require.ErrorIs(t, err, outcome.ErrGone)
		})
	}
}

// Its parent never reaps it, so it exists as long as the parent does.
func TestZombie(t *testing.T) {
	t.Parallel()
	const (
		watched = iota
		die
	)
	for name, order := range map[string][]int{
		"when it dies":        {watched, die},
		"that it was already": {die, watched},
		"watched once again":  {watched, die, watched},
		"watched twice alive": {watched, watched, die},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watcher(t, Config{})
			w.trusted = true
			p := script(t, `trap 'exit 9' TERM; READY; read x`)
			before := time.Now()
			for _, step := range order {
				if step == watched {
					w.watch(t, p)
					continue
				}
				p.signal(t, syscall.SIGTERM)
				p.dies(t)
			}
			assert.False(t, w.Alive(p.pid(), p.start))
			w.run(t)
			e := w.next(t)
			assert.Equal(t, p.end("sh", e.Time, kill.Exit{Known: true, Status: 9 << 8}), e)
			assert.WithinRange(t, e.Time, before, time.Now())
			assert.Zero(t, w.watched())
		})
	}
}

// To a process that may not see the status of a zombie, /proc shows 0, which must not be
// taken for the status.
func TestZombieOfOthers(t *testing.T) {
	t.Parallel()
	for name, reaped := range map[string]bool{"never reaped": false, "reaped after all": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needExitInfo(t)
			w := watcher(t, Config{})
			w.trusted = false
			p := script(t, `READY; read x; exit 0`)
			w.watch(t, p)
			require.NoError(t, p.stdin.Close())
			p.dies(t)
			dead := time.Now()

			var ended []*kill.End
			ended = append(ended, w.ends(reports(t, w), dead)...)
			require.Empty(t, ended)
			require.Equal(t, dead.Add(statusTimeout), w.due())
			want := kill.Exit{}
			if reaped {
				want = p.reap(t)
				ended = append(ended, w.ends(reports(t, w), dead.Add(statusTimeout/2))...)
			} else {
				require.Empty(t, w.ends(nil, dead.Add(statusTimeout-1)))
				ended = append(ended, w.ends(nil, dead.Add(statusTimeout))...)
			}
			assert.Equal(t, []*kill.End{p.end("sh", dead, want)}, ended)
			w.ends(nil, dead.Add(time.Hour))
			assert.Zero(t, w.due())
		})
	}
}

// reports returns what epoll reports.
func reports(t *testing.T, w *watching) []unix.EpollEvent {
	t.Helper()
	ready, err := w.wait(t.Context())
	require.NoError(t, err)
	return ready
}

func needExitInfo(t *testing.T) {
	t.Helper()
	if !kernelReportsExit() {
		t.Skip("SKIPPED: it takes Linux 6.15, whose pidfds have the exit status")
	}
}

func TestReapedBeforeItIsHandled(t *testing.T) {
	t.Parallel()
	needExitInfo(t)
	w := watcher(t, Config{})
	p := script(t, `READY; read x; exit 5`)
	w.watch(t, p)
	require.NoError(t, p.stdin.Close())
	want := p.reap(t)
	w.run(t)
	e := w.next(t)
	assert.Equal(t, p.end("", e.Time, want), e)
}

func TestExec(t *testing.T) {
	t.Parallel()
	w := watcher(t, Config{})
	w.trusted = true
	w.run(t)
	p := script(t, `READY; read x; exec sleep 1000`)
	w.watch(t, p)
	require.NoError(t, p.stdin.Close())
	require.Eventually(t, func() bool { return p.stat(t).Command == "sleep" }, forever, time.Millisecond)
	p.signal(t, syscall.SIGTERM)
	e := w.next(t)
	assert.Equal(t, p.end("sleep", e.Time, kill.Exit{Known: true, Status: int(syscall.SIGTERM)}), e)
}

// A process lives as long as one of its threads does.
func TestFirstThreadEndsFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before bool
		signal syscall.Signal
		want   int
	}{
		"before it is watched": {true, syscall.SIGTERM, int(syscall.SIGTERM)},
		"exits by itself":      {false, 0, 3 << 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := runningWatcher(t)
			command := exec.Command(os.Args[0]) //nolint:gosec // this test
			command.Env = append(os.Environ(), role+"=leader exits first")
			p := ready(t, command)
			zombie := func() bool {
				data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
				return assert.NoError(t, err) && strings.Contains(string(data), "State:\tZ")
			}
			if test.before {
				require.Eventually(t, zombie, forever, time.Millisecond)
			}
			w.watch(t, p)
			require.Eventually(t, zombie, forever, time.Millisecond)
			assert.True(t, w.Alive(p.pid(), p.start))
			w.Unwatch(p.pid())
			assert.True(t, w.Alive(p.pid(), p.start), "by /proc")
			w.watch(t, p)
			assert.Empty(t, w.reported)
			if test.signal != 0 {
				p.signal(t, test.signal)
			}
			require.NoError(t, p.stdin.Close())
			e := w.next(t)
			assert.Equal(t, kill.Exit{Known: true, Status: p.reap(t).Status}, e.Exit)
			if test.signal == 0 {
				assert.Equal(t, test.want, e.Exit.Status)
			}
		})
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	w := runningWatcher(t)
	p := run(t, "sleep", "1000")
	w.watch(t, p)
	p.signal(t, syscall.SIGSTOP)
	require.NoError(t, unix.Waitid(unix.P_PID, p.pid(), nil, unix.WSTOPPED|unix.WNOWAIT, nil))
	p.signal(t, syscall.SIGTERM)
	assert.True(t, w.Alive(p.pid(), p.start))
	assert.Empty(t, w.reported)
	before := time.Now()
	p.signal(t, syscall.SIGCONT)
	e := w.next(t)
	assert.Equal(t, p.reap(t), e.Exit)
	assert.Equal(t, kill.SIGTERM, e.Exit.Signal())
	assert.WithinRange(t, e.Time, before, time.Now())
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	count := 500
	if testing.Short() { // an emulated machine would take a minute
		count = 100
	}
	w := runningWatcher(t)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	targets := map[int]*target{}
	for i := range count {
		var p *target
		if i%2 == 0 {
			command := exec.Command("sh", "-c", fmt.Sprintf("read x <&3; exit %d", i%250+1)) //nolint:gosec // a test's own script
			command.ExtraFiles = []*os.File{read}
			p = begin(t, command)
		} else {
			p = run(t, "sleep", "1000")
		}
		targets[p.pid()] = p
		w.watch(t, p)
	}
	require.NoError(t, errors.Join(read.Close(), write.Close()))
	for _, p := range targets {
		if p.Args[0] == "sleep" {
			p.signal(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGUSR1}[p.pid()%3]) // nohup(1) lets them ignore SIGHUP
		}
	}
	want := map[int]kill.Exit{}
	for pid, p := range targets {
		want[pid] = p.reap(t)
	}
	got := map[int]kill.Exit{}
	for range count {
		e := w.next(t)
		got[e.PID] = e.Exit
	}
	if kernelReportsExit() {
		assert.Equal(t, want, got)
	}
	assert.Len(t, got, count)
	assert.Empty(t, w.reported)
}

func TestUnwatch(t *testing.T) {
	t.Parallel()
	w := runningWatcher(t)
	unwatched, watched := run(t, "sleep", "1000"), run(t, "sleep", "1000")
	w.watch(t, unwatched)
	w.watch(t, watched)
	w.Unwatch(unwatched.pid())
	unwatched.signal(t, syscall.SIGKILL)
	unwatched.reap(t)
	watched.signal(t, syscall.SIGKILL)
	watched.reap(t)
	assert.Equal(t, watched.pid(), w.next(t).PID)
	assert.Empty(t, w.reported)
}

// While the pipeline takes nothing, other processes can be watched, and the end is not delayed.
func TestDeliverBlocks(t *testing.T) {
	t.Parallel()
	w := watcher(t, Config{})
	first, second := run(t, "sleep", "1000"), run(t, "sleep", "1000")
	w.watch(t, first)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	blocked, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, func([]*kill.End) {
			close(blocked)
			<-ctx.Done()
		})
	}()
	first.signal(t, syscall.SIGKILL)
	<-blocked
	w.watch(t, second)
	assert.True(t, w.Alive(second.pid(), second.start))
	w.Unwatch(second.pid())
	cancel()
	<-done
}

func TestFull(t *testing.T) {
	t.Parallel()
	w := watcher(t, Config{})
	p := run(t, "sleep", "1000")
	w.watch(t, p)
	for i := range outcome.MaxWatches - 1 {
		require.NoError(t, w.add(&watch{pid: -i - 1, pidfd: none}))
	}
	w.watch(t, p)
	_, err := w.Watch(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, ErrFull)
	w.Unwatch(-1)
	second := run(t, "sleep", "1000")
	w.watch(t, second)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	w := New(Config{})
	require.NoError(t, w.Close(), "not started")
	_, err := w.Watch(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, os.ErrClosed)

	w = New(Config{})
	require.NoError(t, w.Start())
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	_, err = w.Watch(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestDescriptorsAreClosed(t *testing.T) { //nolint:paralleltest // counts what the whole process has open
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	dies, lives, unwatched := run(t, "sleep", "1000"), run(t, "sleep", "1000"), run(t, "sleep", "1000")
	before := open()
	t.Run("watch", func(t *testing.T) { //nolint:paralleltest // as above
		w := runningWatcher(t)
		for _, p := range []*target{dies, lives, unwatched, lives} {
			w.watch(t, p)
		}
		w.Unwatch(unwatched.pid())
		_, err := w.Watch(outcome.Target{PID: unwatched.pid(), Start: 1})
		require.ErrorIs(t, err, outcome.ErrGone)
		own := 1 // epoll
		if w.connector != nil {
			own++
		}
		require.Equal(t, before+own+2, open(), "two pidfds and what the watcher itself has open")
		dies.signal(t, syscall.SIGKILL)
		w.next(t)
		require.Equal(t, before+own+1, open())
	})
	assert.Equal(t, before, open())
}
