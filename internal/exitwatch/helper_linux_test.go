// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/outcome"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// forever is longer than anything takes.
const forever = time.Minute

// role is set for a copy of the test binary that is a target.
const role = "OUTCOME_TARGET"

func init() {
	if os.Getenv(role) == "leader exits first" {
		go func() { // on another thread, as init locks the first one
			fmt.Println("ready")
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		for runtime.NumGoroutine() < 2 {
			runtime.Gosched()
		}
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // this thread only
	}
}

// target is a process that a test may end.
type target struct {
	*exec.Cmd
	stdin io.WriteCloser
	start time.Duration
}

// run starts a program, and kills it at the end of the test.
func run(tb testing.TB, name string, args ...string) *target {
	tb.Helper()
	return begin(tb, exec.Command(name, args...))
}

func begin(tb testing.TB, command *exec.Cmd) *target {
	tb.Helper()
	p := &target{Cmd: command}
	var err error
	p.stdin, err = p.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, p.Start())
	tb.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	p.start = p.stat(tb).Start
	return p
}

// ready starts a command and waits until it says that it is ready, so that its traps are set.
func ready(tb testing.TB, command *exec.Cmd) *target {
	tb.Helper()
	read, write, err := os.Pipe()
	require.NoError(tb, err)
	defer read.Close()
	command.Stdout = write
	p := begin(tb, command)
	require.NoError(tb, write.Close())
	_, err = bufio.NewReader(read).ReadString('\n')
	require.NoError(tb, err)
	return p
}

// script runs a shell script in a folder of its own, where it may dump core.
func script(tb testing.TB, text string) *target {
	tb.Helper()
	command := exec.Command("sh", "-c", strings.Replace(text, "READY", "echo ready", 1)) //nolint:gosec // a test's own script
	command.Dir = tb.TempDir()
	p := ready(tb, command)
	if strings.Contains(text, "trap") { // a shell does not notice a signal that comes right before it begins to read
		require.Eventually(tb, func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
			return err == nil && bytes.Contains(text, []byte(") S "))
		}, forever, time.Millisecond)
	}
	return p
}

func (p *target) pid() int { return p.Process.Pid }

// stat is what /proc shows of the process until it is reaped.
func (p *target) stat(tb testing.TB) procstat.Stat {
	tb.Helper()
	var buffer [procstat.MaxSize]byte
	s, err := procstat.ReadExit(fmt.Sprintf("/proc/%d/stat", p.pid()), buffer[:])
	require.NoError(tb, err)
	return s
}

func (p *target) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	require.NoError(tb, p.Process.Signal(signal))
}

// dies waits until the process is dead, without reaping it.
func (p *target) dies(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, unix.Waitid(unix.P_PID, p.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil))
}

// reap waits for the process and returns its status, which is what the Watcher should report.
func (p *target) reap(tb testing.TB) kill.Exit {
	tb.Helper()
	_ = p.Wait()
	status, ok := p.ProcessState.Sys().(syscall.WaitStatus)
	require.True(tb, ok)
	return kill.Exit{Known: true, Status: int(status)}
}

func (p *target) target() outcome.Target {
	return outcome.Target{PID: p.pid(), Start: p.start}
}

// watching is a Watcher and what it has reported.
type watching struct {
	*Watcher
	reported chan *kill.End
}

// watcher starts a Watcher without running it.
func watcher(tb testing.TB, config Config) *watching {
	tb.Helper()
	if config.Warn == nil {
		config.Warn = func(p *problem.Problem) { tb.Log(p) }
	}
	if config.Logger == nil {
		config.Logger = zaptest.NewLogger(tb)
	}
	w := &watching{Watcher: New(config), reported: make(chan *kill.End, outcome.MaxWatches)}
	require.NoError(tb, w.Start())
	tb.Cleanup(func() { assert.NoError(tb, w.Close()) })
	return w
}

// run runs the Watcher until the end of the test.
func (w *watching) run(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, func(ends []*kill.End) {
			for _, end := range ends {
				w.reported <- end
			}
		})
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
}

func runningWatcher(tb testing.TB) *watching {
	tb.Helper()
	w := watcher(tb, Config{})
	w.run(tb)
	return w
}

// watched is how many processes it watches.
func (w *watching) watched() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.watches)
}

// next returns the next end that is reported.
func (w *watching) next(tb testing.TB) *kill.End {
	tb.Helper()
	select {
	case e := <-w.reported:
		return e
	case <-time.After(forever):
		require.FailNow(tb, "no end was reported")
		return nil
	}
}

func (w *watching) watch(tb testing.TB, p *target) {
	tb.Helper()
	start, err := w.Watch(p.target())
	require.NoError(tb, err)
	require.Equal(tb, p.start, start)
}

// end is the end of a target.
func (p *target) end(name string, at time.Time, exit kill.Exit) *kill.End {
	return &kill.End{PID: p.pid(), Start: p.start, Time: at, Exit: exit, Command: name}
}

func needCapability(tb testing.TB, c capability.Cap, why string) {
	tb.Helper()
	audittest.Privileged(tb)
	if has, err := privilege.Has(c); err != nil || !has {
		audittest.Skip(tb, "it takes CAP_%s (be root) %s", strings.ToUpper(c.String()), why)
	}
}
