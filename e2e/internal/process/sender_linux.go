// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package process starts the processes that a test needs: senders and targets of signals. It also
// makes the control groups that they run in.
package process

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// Sender is a process that sends signals on a test's orders (see e2e/programs/sender). If the
// kernel has to record what it sends, it must be started after audit.Use.
type Sender struct {
	T       *testing.T
	Command *exec.Cmd
	input   io.WriteCloser
	output  *json.Decoder

	// PID is its pid in the initial pid namespace, Inside that in its own.
	PID, Inside int
	// Victims maps the pids of its victims in its own pid namespace to those in the initial one.
	Victims map[int]int
	// Name is its command name.
	Name string
	arch string
	// Want are the reports that its calls must lead to, in this order.
	Want []Report
	// Took are the durations of all calls, in nanoseconds.
	Took []int64
}

// NewSender starts a sender in a process group of its own.
func NewSender(t *testing.T, program string, options ...func(*exec.Cmd)) *Sender {
	t.Helper()
	audit.NoteSender(t)
	s := &Sender{
		T: t, Command: exec.Command(program), Name: filepath.Base(program), arch: auditArch(program),
		Victims: make(map[int]int),
	}
	s.Name = s.Name[:min(len(s.Name), 15)] // TASK_COMM_LEN
	s.Command.Stderr = os.Stderr
	s.Command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, option := range options {
		option(s.Command)
	}
	var err error
	s.input, err = s.Command.StdinPipe()
	require.NoError(t, err)
	output, err := s.Command.StdoutPipe()
	require.NoError(t, err)
	s.output = json.NewDecoder(output)
	require.NoError(t, s.Command.Start())
	t.Cleanup(func() {
		_ = s.input.Close()  // the process ends with its input
		_ = s.Command.Wait() // fails if it has killed itself
	})
	s.PID = s.Command.Process.Pid
	var hello orders.Truth
	require.NoError(t, s.output.Decode(&hello))
	s.Inside = hello.PID
	s.Victims[s.Inside] = s.PID
	return s
}

// InPIDNamespace makes the sender the first process of a pid namespace.
func InPIDNamespace(command *exec.Cmd) { command.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID }

// AsUser makes the sender an unprivileged user.
func AsUser(command *exec.Cmd) {
	command.SysProcAttr.Credential = &syscall.Credential{Uid: harness.NobodyID, Gid: harness.NobodyID}
}

// Order has the sender carry out an order, and returns all truths but the last, which only ends them.
func (s *Sender) Order(order orders.Order) []orders.Truth {
	s.T.Helper()
	require.NoError(s.T, json.NewEncoder(s.input).Encode(order))
	var truths []orders.Truth
	for {
		var truth orders.Truth
		require.NoError(s.T, s.output.Decode(&truth), "the sender has ended")
		if truth.Done {
			return truths
		}
		truths = append(truths, truth)
	}
}

// Start has the sender start victims, and returns their pids in the sender's pid namespace.
func (s *Sender) Start(count int, group bool) []int {
	s.T.Helper()
	inside := s.Order(orders.Order{Call: orders.Start, Count: count, Group: group})[0].Victims
	outside := s.outside()
	for _, pid := range inside {
		require.Contains(s.T, outside, pid)
		s.Victims[pid] = outside[pid]
	}
	return inside
}

// outside maps the pids of all processes in the sender's pid namespace to those in the initial one.
func (s *Sender) outside() map[int]int {
	s.T.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(s.T, err)
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.PID))
	require.NoError(s.T, err)
	pids := make(map[int]int)
	for _, process := range processes {
		namespace, err := os.Readlink(filepath.Join(process, "ns/pid"))
		if err != nil || namespace != own {
			continue // in another namespace, or gone
		}
		status, err := os.ReadFile(filepath.Join(process, "status"))
		if err != nil {
			continue // gone
		}
		_, line, _ := strings.Cut(string(status), "\nNSpid:")
		line, _, _ = strings.Cut(line, "\n")
		seen := strings.Fields(line)
		pids[harness.Number(seen[len(seen)-1])] = harness.Number(filepath.Base(process))
	}
	return pids
}

// Rename changes the sender's command name.
func (s *Sender) Rename(name string) {
	s.T.Helper()
	s.Order(orders.Order{Call: orders.Rename, Name: name})
	s.Name = name
}

// Send carries out an order, and adds the reports that must follow: one for each target, or a
// single one if the call does not get that far.
func (s *Sender) Send(order orders.Order, targets ...int) {
	s.T.Helper()
	want := s.expect(order, targets)
	for _, truth := range s.Order(order) {
		s.Took = append(s.Took, truth.Nanoseconds)
		s.add(want, truth.Errno)
	}
}

// Unreported carries out an order that must not be reported.
func (s *Sender) Unreported(order orders.Order) {
	s.T.Helper()
	for _, truth := range s.Order(order) {
		s.Took = append(s.Took, truth.Nanoseconds)
	}
}

// Dies carries out an order that ends the sender.
func (s *Sender) Dies(order orders.Order) {
	s.T.Helper()
	want := s.expect(order, []int{s.Inside})
	require.NoError(s.T, json.NewEncoder(s.input).Encode(order))
	require.ErrorIs(s.T, s.output.Decode(&orders.Truth{}), io.EOF)
	var failed *exec.ExitError
	require.ErrorAs(s.T, s.Command.Wait(), &failed)
	status, ok := failed.Sys().(syscall.WaitStatus)
	require.True(s.T, ok)
	require.Equal(s.T, syscall.Signal(order.Signal), status.Signal())
	s.add(want, 0)
}

// Kill sends a signal to a target with kill(2).
func (s *Sender) Kill(target *Target, signal syscall.Signal) {
	s.T.Helper()
	s.Signal(orders.Order{Call: "kill", PID: target.PID, Signal: int(signal)}, target)
}

// Signal carries out an order that must succeed, and notes when each target was first signaled.
func (s *Sender) Signal(order orders.Order, targets ...*Target) {
	s.T.Helper()
	for _, target := range targets {
		if target.SignaledAt.IsZero() {
			target.SignaledAt = time.Now()
		}
	}
	for _, truth := range s.Order(order) {
		require.Zero(s.T, truth.Errno, "%+v", order)
	}
}
