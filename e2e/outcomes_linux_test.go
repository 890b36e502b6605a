// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

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

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What became of the targets, told in log records and spans.

// liveSource is a way to learn of signals as they are sent.
type liveSource struct {
	name, receiver string
	// daemon says whether auditd runs beside the collector.
	daemon bool
}

var liveSources = []liveSource{
	{name: "ebpf", receiver: "ebpf: {}"},
	{name: "unicast", receiver: "netlink: {mode: unicast}"},
	{name: "multicast", receiver: "netlink: {mode: multicast}", daemon: true},
}

// traced reports whether the kernel itself tells the source how each target ends.
func (l liveSource) traced() bool { return l.name == "ebpf" }

// prepare makes the audit system ready, of which the kernel has one only.
func (l liveSource) prepare(t *testing.T) {
	t.Helper()
	useAudit(t)
	if l.daemon {
		newAuditd(t, "log_format = RAW").run()
	}
	auditctl(t, "-e", "1") // the kernel records no processes from before
}

// stage is where targets are struck while a collector looks on.
type stage struct {
	t      *testing.T
	source liveSource
	sink   *sink
	config config
	c      *collector
	// program is that of the senders, of which soft strikes first and hard last.
	program    string
	soft, hard *sender
}

// newStage starts a collector with more of a receiver's settings. It has both kinds of
// pipelines unless an option says otherwise.
func newStage(t *testing.T, source liveSource, settings string, options ...func(*config)) *stage {
	t.Helper()
	source.prepare(t)
	s := &stage{t: t, source: source, sink: newSink(t, "grpc"), program: nativeSender(t)}
	s.soft, s.hard = newSender(t, s.program), newSender(t, s.program)
	s.soft.rename("soft")
	s.hard.rename("hard")
	s.config = config{
		receiver: fmt.Sprintf("{%s, %s}", source.receiver, settings), exporter: s.sink.exporter,
		pipelines: []string{"logs", "traces"},
	}
	for _, option := range options {
		option(&s.config)
	}
	s.begin()
	return s
}

// begin starts the collector, for the first time or again.
func (s *stage) begin() {
	s.t.Helper()
	s.c = start(s.t, s.config, func(command *exec.Cmd) {
		attributes(command).Pdeathsig = syscall.SIGTERM // if the test is interrupted
	})
	s.c.ready()
}

// target is a process of which this one is the parent.
type target struct {
	t       *testing.T
	command *exec.Cmd
	pid     int
	input   *os.File
	// struck is when the first signal was about to be sent to it.
	struck time.Time
	// dead is closed once it has died, which was seen at died. It stays a zombie if
	// its parent waits no further.
	dead chan struct{}
	died time.Time
}

// startTarget starts a program that says or shows by closing its output that it is
// ready.
func startTarget(t *testing.T, command *exec.Cmd, reap bool) *target {
	t.Helper()
	command.Dir = t.TempDir() // which takes its core
	attributes(command).Setpgid, attributes(command).Pdeathsig = true, syscall.SIGKILL
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	command.Stdin = reader
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	require.NoError(t, reader.Close())
	target := &target{t: t, command: command, pid: command.Process.Pid, input: writer, dead: make(chan struct{})}
	go func() {
		defer close(target.dead)
		for errors.Is(unix.Waitid(unix.P_PID, target.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
		target.died = time.Now()
		if reap {
			_ = command.Wait() // the state tells
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // unless it has died
		<-target.dead
		_ = command.Wait() // a second time, perhaps
		_ = writer.Close()
	})
	_, _ = bufio.NewReader(output).ReadByte() // the end of the output is as good
	return target
}

// startScript starts a shell script, which bears a name.
func startScript(t *testing.T, name, script string, reap bool, options ...func(*exec.Cmd)) *target {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	command := exec.Command(path) //nolint:gosec // was just written
	for _, option := range options {
		option(command)
	}
	target := startTarget(t, command, reap)
	if strings.Contains(script, "trap") { // a shell does not notice a signal that comes right before it begins to read
		target.awaitState("S")
	}
	return target
}

// awaitState waits until the first thread of a process is in a state (proc(5)).
func (target *target) awaitState(state string) {
	target.t.Helper()
	eventually(target.t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", target.pid))
		return err == nil && strings.Contains(string(stat), ") "+state+" ")
	}, "process %d is in state %s", target.pid, state)
}

// strike sends a signal.
func (s *stage) strike(sender *sender, target *target, signal syscall.Signal) {
	s.t.Helper()
	s.call(sender, orders.Order{Call: "kill", PID: target.pid, Signal: int(signal)}, target)
}

// call sends a signal in any way.
func (s *stage) call(sender *sender, order orders.Order, targets ...*target) {
	s.t.Helper()
	for _, target := range targets {
		if target.struck.IsZero() {
			target.struck = time.Now()
		}
	}
	for _, truth := range sender.order(order) {
		require.Zero(s.t, truth.Errno, "%+v", order)
	}
}

// needCores skips a test where a core would not fall into the working directory.
func needCores(t *testing.T) {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	require.NoError(t, err)
	if strings.ContainsAny(string(pattern), "/|") {
		skip(t, "cores would not stay in the test's folder (sysctl kernel.core_pattern is %q)", pattern)
	}
}
