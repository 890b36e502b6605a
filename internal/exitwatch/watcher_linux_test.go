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
			w.follow(t, p)
			assert.True(t, w.Lives(p.pid(), p.start))
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
			assert.False(t, w.Lives(p.pid(), p.start))
			_, err := w.Follow(p.target())
			require.ErrorIs(t, err, outcome.ErrGone)
		})
	}
}

// Its parent never asks for its end, so that it is there as long as the parent is.
func TestZombie(t *testing.T) {
	t.Parallel()
	const (
		follow = iota
		die
	)
	for name, order := range map[string][]int{
		"when it dies":         {follow, die},
		"that it was already":  {die, follow},
		"followed once again":  {follow, die, follow},
		"followed twice alive": {follow, follow, die},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watcher(t, Config{})
			w.trusted = true
			p := script(t, `trap 'exit 9' TERM; READY; read x`)
			before := time.Now()
			for _, step := range order {
				if step == follow {
					w.follow(t, p)
					continue
				}
				p.signal(t, syscall.SIGTERM)
				p.dies(t)
			}
			assert.False(t, w.Lives(p.pid(), p.start))
			w.run(t)
			e := w.next(t)
			assert.Equal(t, p.end("sh", e.Time, kill.Exit{Known: true, Status: 9 << 8}), e)
			assert.WithinRange(t, e.Time, before, time.Now())
			assert.Zero(t, w.watched())
		})
	}
}

// Who may not see the status of a zombie is told 0, which is no status to believe.
func TestZombieOfOthers(t *testing.T) {
	t.Parallel()
	for name, reaped := range map[string]bool{"never reaped": false, "reaped after all": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needExitInfo(t)
			w := watcher(t, Config{})
			w.trusted = false
			p := script(t, `READY; read x; exit 0`)
			w.follow(t, p)
			require.NoError(t, p.stdin.Close())
			p.dies(t)
			dead := time.Now()

			var told []*kill.End
			told = append(told, w.ends(reports(t, w), dead)...)
			require.Empty(t, told)
			require.Equal(t, dead.Add(patience), w.due())
			want := kill.Exit{}
			if reaped {
				want = p.reap(t)
				told = append(told, w.ends(reports(t, w), dead.Add(patience/2))...)
			} else {
				require.Empty(t, w.ends(nil, dead.Add(patience-1)))
				told = append(told, w.ends(nil, dead.Add(patience))...)
			}
			assert.Equal(t, []*kill.End{p.end("sh", dead, want)}, told)
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
	if !kernelTellsExit() {
		t.Skip("SKIPPED: it takes Linux 6.15, whose pidfds tell how a process has ended")
	}
}

func TestReapedBeforeItIsHandled(t *testing.T) {
	t.Parallel()
	needExitInfo(t)
	w := watcher(t, Config{})
	p := script(t, `READY; read x; exit 5`)
	w.follow(t, p)
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
	w.follow(t, p)
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
		"before it is followed": {true, syscall.SIGTERM, int(syscall.SIGTERM)},
		"exits by itself":       {false, 0, 3 << 8},
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
			w.follow(t, p)
			require.Eventually(t, zombie, forever, time.Millisecond)
			assert.True(t, w.Lives(p.pid(), p.start))
			w.Forget(p.pid())
			assert.True(t, w.Lives(p.pid(), p.start), "by /proc")
			w.follow(t, p)
			assert.Empty(t, w.told)
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
	w.follow(t, p)
	p.signal(t, syscall.SIGSTOP)
	require.NoError(t, unix.Waitid(unix.P_PID, p.pid(), nil, unix.WSTOPPED|unix.WNOWAIT, nil))
	p.signal(t, syscall.SIGTERM)
	assert.True(t, w.Lives(p.pid(), p.start))
	assert.Empty(t, w.told)
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
		w.follow(t, p)
	}
	require.NoError(t, errors.Join(read.Close(), write.Close()))
	for _, p := range targets {
		if p.Args[0] == "sleep" {
			p.signal(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGHUP}[p.pid()%3])
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
	if kernelTellsExit() {
		assert.Equal(t, want, got)
	}
	assert.Len(t, got, count)
	assert.Empty(t, w.told)
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := runningWatcher(t)
	forgotten, followed := run(t, "sleep", "1000"), run(t, "sleep", "1000")
	w.follow(t, forgotten)
	w.follow(t, followed)
	w.Forget(forgotten.pid())
	forgotten.signal(t, syscall.SIGKILL)
	forgotten.reap(t)
	followed.signal(t, syscall.SIGKILL)
	followed.reap(t)
	assert.Equal(t, followed.pid(), w.next(t).PID)
	assert.Empty(t, w.told)
}

// A pipeline that takes nothing keeps nobody from following, and the end does not wait.
func TestDeliverBlocks(t *testing.T) {
	t.Parallel()
	w := watcher(t, Config{})
	first, second := run(t, "sleep", "1000"), run(t, "sleep", "1000")
	w.follow(t, first)
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
	w.follow(t, second)
	assert.True(t, w.Lives(second.pid(), second.start))
	w.Forget(second.pid())
	cancel()
	<-done
}

func TestFull(t *testing.T) {
	t.Parallel()
	w := watcher(t, Config{})
	p := run(t, "sleep", "1000")
	w.follow(t, p)
	for i := range outcome.MaxWatches - 1 {
		require.NoError(t, w.add(&watch{pid: -i - 1, pidfd: none}))
	}
	w.follow(t, p)
	_, err := w.Follow(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, ErrFull)
	w.Forget(-1)
	second := run(t, "sleep", "1000")
	w.follow(t, second)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	w := New(Config{})
	require.NoError(t, w.Close(), "not started")
	_, err := w.Follow(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, os.ErrClosed)

	w = New(Config{})
	require.NoError(t, w.Start())
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	_, err = w.Follow(outcome.Target{PID: os.Getpid()})
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestDescriptorsAreClosed(t *testing.T) { //nolint:paralleltest // counts what the whole process has open
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	dies, lives, forgotten := run(t, "sleep", "1000"), run(t, "sleep", "1000"), run(t, "sleep", "1000")
	before := open()
	t.Run("watch", func(t *testing.T) { //nolint:paralleltest // as above
		w := runningWatcher(t)
		for _, p := range []*target{dies, lives, forgotten, lives} {
			w.follow(t, p)
		}
		w.Forget(forgotten.pid())
		_, err := w.Follow(outcome.Target{PID: forgotten.pid(), Start: 1})
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
