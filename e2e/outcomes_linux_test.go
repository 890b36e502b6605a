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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
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
	c      *collector
	// program is that of the senders, of which soft strikes first and hard last.
	program    string
	soft, hard *sender
}

// newStage starts a collector with more of a receiver's settings and such pipelines.
func newStage(t *testing.T, source liveSource, settings string, pipelines ...string) *stage {
	t.Helper()
	source.prepare(t)
	s := &stage{t: t, source: source, sink: newSink(t, "grpc"), program: nativeSender(t)}
	s.soft, s.hard = newSender(t, s.program), newSender(t, s.program)
	s.soft.rename("soft")
	s.hard.rename("hard")
	s.c = start(t, config{
		receiver: fmt.Sprintf("{%s, %s}", source.receiver, settings), exporter: s.sink.exporter, pipelines: pipelines,
	})
	s.c.ready()
	return s
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
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: attributes(command).Pgid, Pdeathsig: syscall.SIGKILL}
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
func startScript(t *testing.T, name, script string, reap bool) *target {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return startTarget(t, exec.Command(path), reap) //nolint:gosec // was just written
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

// story is what must be told of a termination.
type story struct {
	verdict string
	// how is the exit code, or the name of the signal that has ended it; nil if
	// nobody knows.
	how any
	// sent are the signals from the first fatal one on.
	sent []string
	// lasts is how long it takes at least.
	lasts     time.Duration
	escalated bool
	lastName  string
	severity  plog.SeverityNumber
	// message is a pattern of the span's status, which is unset without one.
	message string
}

// late is how much later than this process the collector may see that another one
// has ended, where it has to look.
const late = 2 * time.Second

// outcomes returns what is told of the ends of a process.
func (s *stage) outcomes(pid int) []record { return s.told(pid, "kill.outcome") }

func (s *stage) told(pid int, event string) []record {
	var found []record
	for _, r := range s.sink.records() {
		if r.Event == event && r.Attributes["kill.target.pid"] == int64(pid) {
			found = append(found, r)
		}
	}
	return found
}

// awaitOutcome returns the only outcome of a process.
func (s *stage) awaitOutcome(pid int) record {
	s.t.Helper()
	var found []record
	eventually(s.t, func() bool {
		found = s.outcomes(pid)
		return len(found) > 0
	}, "the outcome of process %d", pid)
	assert.Len(s.t, found, 1, "outcomes of process %d", pid)
	return found[0]
}

// awaitSpan returns the only span that a log record belongs to.
func (s *stage) awaitSpan(r record) ptrace.Span {
	s.t.Helper()
	return s.awaitSpanOf(r.TraceID, r.SpanID)
}

func (s *stage) awaitSpanOf(trace pcommon.TraceID, id pcommon.SpanID) ptrace.Span {
	s.t.Helper()
	var found []ptrace.Span
	eventually(s.t, func() bool {
		found = found[:0]
		for _, span := range s.sink.spans() {
			if span.TraceID() == trace && span.SpanID() == id {
				found = append(found, span)
			}
		}
		return len(found) > 0
	}, "span %s of trace %s", id, trace)
	assert.Len(s.t, found, 1, "spans %s", id)
	return found[0]
}

// check compares what is told of a target that was struck by soft first and, if more
// than once, by hard last.
func (s *stage) check(target *target, want story) (record, ptrace.Span) {
	s.t.Helper()
	outcome := s.awaitOutcome(target.pid)
	last := s.soft
	if len(want.sent) > 1 {
		last = s.hard
	}
	attributes := map[string]any{
		"kill.outcome": want.verdict, "process.exit.code": nil, "kill.exit.signal.name": nil,
		"kill.signal.name": want.sent[0], "kill.signal.count": int64(len(want.sent)), "kill.escalated": want.escalated,
		"kill.last_signal.name": want.sent[len(want.sent)-1], "kill.target.last_name": nil,
		"process.pid": int64(s.soft.pid), "process.command": "soft",
		"kill.last_sender.pid": int64(last.pid), "kill.last_sender.name": last.name,
		"kill.target.name": name16(target), "kill.complete": true,
	}
	switch how := want.how.(type) {
	case int:
		attributes["process.exit.code"] = int64(how)
	case string:
		attributes["kill.exit.signal.name"] = how
	}
	if want.lastName != "" {
		attributes["kill.target.last_name"] = want.lastName
	}
	if want.severity == 0 {
		want.severity = plog.SeverityNumberInfo
	}
	assertAttributes(s.t, outcome, attributes)
	assert.Equal(s.t, want.severity, outcome.Severity, "severity of %q", outcome.Body)
	s.checkTimes(target, want, outcome)

	span := s.awaitSpan(outcome)
	assert.Equal(s.t, "terminate "+name16(target), span.Name())
	assert.Equal(s.t, ptrace.SpanKindInternal, span.Kind())
	assert.Equal(s.t, outcome.Time, span.EndTimestamp().AsTime())
	assertAttributes(s.t, record{Body: span.Name(), Attributes: span.Attributes().AsRaw()}, attributes)
	code := ptrace.StatusCodeUnset
	if want.message != "" {
		code = ptrace.StatusCodeError
	}
	assert.Equal(s.t, code, span.Status().Code(), "status of %q", span.Name())
	assert.Regexp(s.t, "^"+want.message+"$", span.Status().Message())
	s.checkSignals(target, want, outcome, span)
	return outcome, span
}

// name16 is what the kernel calls a target.
func name16(target *target) string {
	name := filepath.Base(target.command.Path)
	return name[:min(len(name), 15)] // TASK_COMM_LEN
}

// checkTimes compares when a termination began and ended with what was seen here.
func (s *stage) checkTimes(target *target, want story, outcome record) {
	s.t.Helper()
	coarse, slack := 20*time.Millisecond, late // audit records bear the time of the last tick
	if s.source.traced() {
		coarse, slack = 5*time.Millisecond, 20*time.Millisecond
	}
	took, _ := outcome.Attributes["kill.duration"].(float64)
	assert.GreaterOrEqual(s.t, took, (want.lasts - coarse).Seconds(), "duration in %q", outcome.Body)
	if want.verdict == "survived" {
		return
	}
	<-target.dead
	assert.WithinRange(s.t, outcome.Time, target.struck.Add(want.lasts-coarse), target.died.Add(slack), "end in %q", outcome.Body)
	assert.LessOrEqual(s.t, took, (target.died.Sub(target.struck) + slack + coarse).Seconds(), "duration in %q", outcome.Body)
}

// checkSignals compares the signals in the log with those in the span.
func (s *stage) checkSignals(target *target, want story, outcome record, span ptrace.Span) {
	s.t.Helper()
	for _, r := range s.told(target.pid, "kill.abend") {
		assert.Equal(s.t, outcome.SpanID, r.SpanID, "span of %q", r.Body)
	}
	var sent []string
	events := span.Events()
	for _, r := range s.told(target.pid, "kill.signal") {
		name, _ := r.Attributes["kill.signal.name"].(string)
		if name == "SIGSTOP" {
			assert.Zero(s.t, r.SpanID, "nobody dies of %q", r.Body)
			continue
		}
		assert.Equal(s.t, outcome.TraceID, r.TraceID, "trace of %q", r.Body)
		assert.Equal(s.t, outcome.SpanID, r.SpanID, "span of %q", r.Body)
		if len(sent) == 0 {
			assert.Equal(s.t, r.Time, span.StartTimestamp().AsTime(), "start of %q", span.Name())
			assert.InDelta(s.t, outcome.Time.Sub(r.Time).Seconds(), outcome.Attributes["kill.duration"], 1e-6)
		}
		if i := len(sent); i < events.Len() {
			event := events.At(i)
			assert.Equal(s.t, "signal", event.Name())
			assert.Equal(s.t, r.Time, event.Timestamp().AsTime())
			assertAttributes(s.t, record{Body: r.Body, Attributes: event.Attributes().AsRaw()}, map[string]any{
				"kill.signal.name": name, "process.pid": r.Attributes["process.pid"], "kill.result": "success",
				"kill.syscall": r.Attributes["kill.syscall"],
			})
		}
		sent = append(sent, name)
	}
	assert.Equal(s.t, want.sent, sent, "signals in the log to %q", span.Name())
	assert.Equal(s.t, len(want.sent), events.Len(), "signals in %q", span.Name())
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
