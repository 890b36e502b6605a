// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is a program that runs beside the test.
type Process struct {
	Command *exec.Cmd
	// Output holds its standard output and error.
	Output *Output
	ended  chan struct{}
}

// StartProcess starts a program, and appends its output to output. The caller has to end the
// program.
func StartProcess(t *testing.T, command *exec.Cmd, output *Output) *Process {
	t.Helper()
	p := &Process{Command: command, Output: output, ended: make(chan struct{})}
	command.Stdout, command.Stderr = output, output
	require.NoError(t, command.Start())
	go func() {
		defer close(p.ended)
		_ = command.Wait() // the process state has the result
	}()
	return p
}

// PID returns its process id.
func (p *Process) PID() int { return p.Command.Process.Pid }

// Gone reports whether it has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Kill kills it, unless it has ended.
func (p *Process) Kill() {
	_ = p.Command.Process.Kill()
	<-p.ended
}

// Terminate asks it to end, as systemd would. If it does not, Terminate kills it and returns false.
func (p *Process) Terminate() bool {
	_ = p.Command.Process.Signal(syscall.SIGTERM) // fails if it has ended
	if _, ended := p.Wait(); ended {
		return true
	}
	p.Kill()
	return false
}

// Wait waits until it has ended by itself, and returns its exit status. ended is false if it does not end.
func (p *Process) Wait() (status int, ended bool) {
	select {
	case <-p.ended:
		return p.Command.ProcessState.ExitCode(), true
	case <-time.After(Patience):
		return -1, false
	}
}

// Stat returns the fields of /proc/pid/stat from the third, which is the state; nil if there is no such process. The
// second, its name, may look like those that follow (proc_pid_stat(5)).
func Stat(pid int) []string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}
