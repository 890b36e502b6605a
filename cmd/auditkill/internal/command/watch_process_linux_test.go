// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

const (
	// asAuditkill is set where this program is auditkill instead of its tests.
	asAuditkill = "AUDITKILL_TEST_AS_AUDITKILL"
	// limit is more than anything here takes.
	limit  = 30 * time.Second
	nobody = 65534
)

func init() {
	if os.Getenv(asAuditkill) == "" {
		return
	}
	ctx, stop := Interruptible(context.Background()) // as main does
	code := Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// auditkill prepares the program, which ends with the test.
func auditkill(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", arguments...) // another user may not reach the program by its path
	cmd.Env = append(os.Environ(), asAuditkill+"=1", "TERM=xterm", "NO_COLOR=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // if the test is interrupted
	return cmd
}

// needRoot skips the test for others.
func needRoot(t *testing.T) {
	t.Helper()
	audittest.Root(t, "see the signals of all processes")
}

// row is what was printed of a signal or of an outcome, and when.
type row struct {
	event, signal, target, result, source string
	at                                    time.Time
}

// watching is a watch that runs.
type watching struct {
	t      *testing.T
	cmd    *exec.Cmd
	errors lockedBuffer
	rows   chan row
	ended  chan struct{}
}

// startWatch starts a watch, and waits until it sees signals.
func startWatch(t *testing.T, arguments ...string) *watching {
	t.Helper()
	w := launchWatch(t, nil, arguments...)
	require.Eventually(t, func() bool { return w.sees(250 * time.Millisecond) }, limit, time.Millisecond,
		"a signal is seen; it says: %s", &w.errors)
	return w
}

// launchWatch starts a watch.
func launchWatch(t *testing.T, as *syscall.Credential, arguments ...string) *watching {
	t.Helper()
	w := &watching{
		t: t, cmd: auditkill(t, append([]string{"watch", "-o", "csv"}, arguments...)...),
		rows: make(chan row, 1<<16), ended: make(chan struct{}),
	}
	w.cmd.SysProcAttr.Credential = as
	w.cmd.Stderr = &w.errors
	out, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, w.cmd.Start())
	go func() {
		defer close(w.ended)
		defer close(w.rows)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			at := time.Now()
			fields, err := csv.NewReader(strings.NewReader(lines.Text())).Read()
			if assert.NoError(t, err) && fields[0] != "time" {
				w.rows <- row{fields[1], fields[2], fields[3], fields[10], fields[12], at}
			}
		}
		_ = w.cmd.Wait() // the state has the result
	}()
	t.Cleanup(func() {
		w.signal(syscall.SIGTERM)
		w.wait()
	})
	return w
}

func (w *watching) signal(signal syscall.Signal) { _ = w.cmd.Process.Signal(signal) } // it may have ended

// wait waits for the end and returns the exit code, -1 if it was killed.
func (w *watching) wait() int {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(limit):
		assert.Fail(w.t, "the watch does not end")
		w.signal(syscall.SIGKILL)
		<-w.ended
	}
	return w.cmd.ProcessState.ExitCode()
}

// end ends it as Ctrl-C does.
func (w *watching) end() int {
	w.t.Helper()
	w.signal(syscall.SIGINT)
	return w.wait()
}

// next returns the next row of an event of a process, or fails.
func (w *watching) next(event string, pid int) row {
	w.t.Helper()
	r, ok := w.find(event, pid, limit)
	require.True(w.t, ok, "a %s of %d comes; it says: %s", event, pid, &w.errors)
	return r
}

func (w *watching) find(event string, pid int, patience time.Duration) (row, bool) {
	deadline := time.After(patience)
	for {
		select {
		case r, more := <-w.rows:
			if !more {
				return row{}, false
			}
			if r.event == event && r.target == strconv.Itoa(pid) {
				return r, true
			}
		case <-deadline:
			return row{}, false
		}
	}
}

// sees reports whether it sees a signal.
func (w *watching) sees(patience time.Duration) bool {
	v := newVictim(w.t)
	defer v.gone()
	v.kill(syscall.SIGTERM)
	_, ok := w.find("kill.signal", v.pid, patience)
	return ok
}

// victim is a process that is to be killed.
type victim struct {
	t   *testing.T
	cmd *exec.Cmd
	pid int
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	// Start returns once execve(2) has closed its files, which is before it renames the process
	// (fs/exec.c, begin_new_exec).
	require.Eventually(t, func() bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		return err == nil && string(name) == "sleep\n"
	}, limit, time.Millisecond)
	return &victim{t, cmd, cmd.Process.Pid}
}

// sendSignal is kill(2), called by the test itself or, while the test has the audit system, by
// another process (audit).
var sendSignal = syscall.Kill

// kill sends a signal, and returns when.
func (v *victim) kill(signal syscall.Signal) time.Time {
	at := time.Now()
	require.NoError(v.t, sendSignal(v.pid, signal))
	return at
}

// gone lets the process be forgotten.
func (v *victim) gone() {
	_ = v.cmd.Process.Kill() // it may have ended
	_ = v.cmd.Wait()         // it was killed
}

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}
