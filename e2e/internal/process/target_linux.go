// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Target is a child process that signals are sent to.
type Target struct {
	t       *testing.T
	Command *exec.Cmd
	PID     int
	// Input is the write end of its standard input.
	Input *os.File
	// SignaledAt is the time just before the first signal was sent to it.
	SignaledAt time.Time
	// Dead is closed once the target has died, and DiedAt is when that was seen. The target
	// stays a zombie unless it is reaped.
	Dead   chan struct{}
	DiedAt time.Time
}

// StartTarget starts a program, and waits until it writes to its standard output or closes it,
// which means that it is ready.
func StartTarget(t *testing.T, command *exec.Cmd, reap bool) *Target {
	t.Helper()
	command.Dir = t.TempDir() // where its core is written
	harness.Attributes(command).Setpgid, harness.Attributes(command).Pdeathsig = true, syscall.SIGKILL
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	command.Stdin = reader
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	require.NoError(t, reader.Close())
	target := &Target{t: t, Command: command, PID: command.Process.Pid, Input: writer, Dead: make(chan struct{})}
	go func() {
		defer close(target.Dead)
		for errors.Is(unix.Waitid(unix.P_PID, target.PID, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
		target.DiedAt = time.Now()
		if reap {
			_ = command.Wait() // the process state has the result
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // fails if it has died
		<-target.Dead
		_ = command.Wait() // fails if it was reaped
		_ = writer.Close()
	})
	_, _ = bufio.NewReader(output).ReadByte() // an error means that the output was closed
	return target
}

// StartScript starts a shell script with a command name.
func StartScript(t *testing.T, name, script string, reap bool, options ...func(*exec.Cmd)) *Target {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	command := exec.Command(path) //nolint:gosec // was just written
	for _, option := range options {
		option(command)
	}
	target := StartTarget(t, command, reap)
	if strings.Contains(script, "trap") { // a shell does not notice a signal that comes right before it begins to read
		target.AwaitState("S")
	}
	return target
}

// AwaitState waits until the first thread of a process is in a state (proc(5)).
func (target *Target) AwaitState(state string) {
	target.t.Helper()
	harness.Eventually(target.t, func() bool {
		stat := harness.Stat(target.PID)
		return len(stat) > 0 && stat[0] == state
	}, "process %d is in state %s", target.PID, state)
}

// AwaitReaped waits until the target is reaped and its pid is free.
func (target *Target) AwaitReaped() {
	target.t.Helper()
	harness.Eventually(target.t, func() bool { return syscall.Kill(target.PID, 0) != nil }, "process %d is gone", target.PID)
}

// SecondThread returns a thread of a process other than its first.
func SecondThread(t *testing.T, pid int) int {
	t.Helper()
	thread := 0
	harness.Eventually(t, func() bool {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		require.NoError(t, err)
		thread = harness.Number(tasks[len(tasks)-1].Name())
		return thread != pid
	}, "process %d has a second thread", pid)
	return thread
}

// CommandName returns the command name of a process.
func CommandName(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	require.NoError(t, err)
	return strings.TrimSuffix(string(name), "\n")
}
