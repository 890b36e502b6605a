// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcomes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The ends of many targets at once, and of targets whose pid is reused.

// scenes are played while the targets of the endings end.
var scenes = map[string]func(s *stage){
	"process group":  (*stage).signalGroup,
	"control group":  (*stage).killControlGroup,
	"500 at once":    (*stage).killCrowd,
	"500 in a row":   (*stage).killEach,
	"pid is reused":  (*stage).reuse,
	"late collector": (*stage).resumeLate,
	"aborts":         (*stage).abort,
}

// inGroup returns an option that puts a target into a process group.
func inGroup(leader int) func(*exec.Cmd) {
	return func(command *exec.Cmd) { harness.Attributes(command).Pgid = leader }
}

// parent returns the common parent of spans.
func (s *stage) parent(spans []ptrace.Span) ptrace.Span {
	s.t.Helper()
	ids, parents := make(map[pcommon.SpanID]bool), make(map[pcommon.SpanID]bool)
	for _, span := range spans {
		assert.Equal(s.t, spans[0].TraceID(), span.TraceID())
		ids[span.SpanID()], parents[span.ParentSpanID()] = true, true
	}
	assert.Len(s.t, ids, len(spans), "each has a span of its own")
	require.Len(s.t, parents, 1)
	parent := s.awaitSpanOf(spans[0].TraceID(), spans[0].ParentSpanID())
	assert.True(s.t, parent.ParentSpanID().IsEmpty(), "the parent is the root span")
	assert.Equal(s.t, ptrace.SpanKindInternal, parent.Kind())
	var end pcommon.Timestamp
	for _, span := range spans {
		end = max(end, span.EndTimestamp())
	}
	assert.Equal(s.t, end, parent.EndTimestamp(), "end of %q", parent.Name())
	return parent
}

func (s *stage) signalGroup() {
	var members []*process.Target
	endings := []ending{endings["exits late"], endings["dies"], endings["dies"]}
	for i, ending := range endings {
		var options []func(*exec.Cmd)
		if i > 0 {
			options = append(options, inGroup(members[0].PID))
		}
		members = append(members, process.StartScript(s.t, fmt.Sprint("member-", i), ending.script, ending.reap, options...))
	}
	s.call(s.soft, orders.Order{Call: "kill", PID: -members[0].PID, Signal: int(unix.SIGTERM)}, members...)
	var spans []ptrace.Span
	for i, member := range members {
		spans = append(spans, s.check(member, endings[i].want))
	}
	root := s.parent(spans)
	assert.Equal(s.t, "terminate process group", root.Name())
	assert.Equal(s.t, spans[0].StartTimestamp(), root.StartTimestamp())
	assert.Equal(s.t, ptrace.StatusCodeUnset, root.Status().Code())
	otlp.AssertAttributes(s.t, attributesOf(root), map[string]any{
		"kill.signal.name": "SIGTERM", "kill.syscall": "kill", "kill.scope": "process_group",
		"kill.target.count": int64(3), "kill.target.pid": nil, "process.pid": int64(s.soft.PID), "process.command": "soft",
		"kill.outcomes.exited": int64(1), "kill.outcomes.killed": int64(2), "kill.outcomes.ended": nil,
	})
}

// killControlGroup has the kernel kill a control group, which the audit system does not record.
func (s *stage) killControlGroup() {
	if !s.source.traced() {
		s.t.Skip("the audit system does not record it")
	}
	group := process.NewKillableCgroup(s.t, "/auditkill-e2e.slice/outcomes.scope")
	var pids []int
	for range 3 {
		pids = append(pids, process.StartScript(s.t, "member", dies, true, process.InCgroup(s.t, group)).PID)
	}
	killer := process.KillCgroup(s.t, group)
	root := s.parent(s.awaitKilled(pids))
	assert.Equal(s.t, "terminate several processes", root.Name())
	otlp.AssertAttributes(s.t, attributesOf(root), map[string]any{
		"kill.signal.name": "SIGKILL", "kill.syscall": nil, "kill.origin": "kernel",
		"process.pid": int64(killer), "process.command": "sh", "kill.outcomes.killed": int64(3),
	})
}

// awaitKilled waits until the outcomes of processes are reported, all of them killed by SIGKILL, and
// returns their spans.
func (s *stage) awaitKilled(pids []int) []ptrace.Span {
	s.t.Helper()
	ours := make(map[int64]bool)
	for _, pid := range pids {
		ours[int64(pid)] = true
	}
	var reported []otlp.Record
	harness.Eventually(s.t, func() bool {
		reported = reported[:0]
		for _, r := range s.sink.Records() {
			if r.Event == "kill.outcome" && ours[r.Number("kill.target.pid")] {
				reported = append(reported, r)
			}
		}
		return len(reported) >= len(pids)
	}, "%d outcomes", len(pids))
	require.Len(s.t, reported, len(pids))
	for _, r := range reported {
		otlp.AssertAttributes(s.t, r, map[string]any{"kill.outcome": "killed", "kill.exit.signal.name": "SIGKILL"})
	}
	return s.awaitSpans(reported)
}

// awaitSpans returns the spans of log records.
func (s *stage) awaitSpans(reported []otlp.Record) []ptrace.Span {
	s.t.Helper()
	wanted := make(map[pcommon.SpanID]bool)
	for _, r := range reported {
		wanted[r.SpanID] = true
	}
	var spans []ptrace.Span
	harness.Eventually(s.t, func() bool {
		spans = spans[:0]
		for _, span := range s.sink.Spans() {
			if wanted[span.SpanID()] {
				spans = append(spans, span)
			}
		}
		return len(spans) >= len(reported)
	}, "%d spans", len(reported))
	require.Len(s.t, spans, len(reported))
	return spans
}

const many = 500

// startCrowd starts a process group, and returns its pids. The first member is the parent of the
// others and reaps them.
func (s *stage) startCrowd() []int {
	leader := process.StartScript(s.t, "crowd", fmt.Sprintf(
		"i=0; while [ $i -lt %d ]; do sleep 1000 & echo $! >>pids; i=$((i+1)); done; echo ready; wait", many), true)
	s.t.Cleanup(func() { _ = syscall.Kill(-leader.PID, syscall.SIGKILL) }) // fails unless the test has failed
	list, err := os.ReadFile(filepath.Join(leader.Command.Dir, "pids"))
	require.NoError(s.t, err)
	pids := []int{leader.PID}
	for line := range strings.FieldsSeq(string(list)) {
		pids = append(pids, harness.Number(line))
	}
	require.Len(s.t, pids, 1+many)
	return pids
}

func (s *stage) killCrowd() {
	pids := s.startCrowd()
	s.call(s.soft, orders.Order{Call: "kill", PID: -pids[0], Signal: int(unix.SIGKILL)})
	root := s.parent(s.awaitKilled(pids))
	assert.Equal(s.t, "terminate process group", root.Name())
	assert.Equal(s.t, ptrace.StatusCodeError, root.Status().Code())
	assert.Equal(s.t, "501 of 501 were killed by SIGKILL, dumped core or survived", root.Status().Message())
	otlp.AssertAttributes(s.t, attributesOf(root), map[string]any{
		"kill.target.count": int64(1 + many), "kill.outcomes.killed": int64(1 + many),
	})
}

func (s *stage) killEach() {
	pids := s.startCrowd()
	for _, pid := range pids[1:] {
		s.call(s.soft, orders.Order{Call: "kill", PID: pid, Signal: int(unix.SIGKILL)})
	}
	traces := make(map[pcommon.TraceID]bool)
	for _, span := range s.awaitKilled(pids[1:]) {
		assert.True(s.t, span.ParentSpanID().IsEmpty(), "it was signaled by a call of its own")
		traces[span.TraceID()] = true
	}
	assert.Len(s.t, traces, many)
}

// startAs starts a script with a certain pid, which must be free.
func (s *stage) startAs(pid int, name, script string) *process.Target {
	s.t.Helper()
	const path = "/proc/sys/kernel/ns_last_pid"
	before, err := os.ReadFile(path)
	require.NoError(s.t, err)
	defer func() { assert.NoError(s.t, os.WriteFile(path, before, 0)) }() // so that no other pid is reused
	for range 1000 {
		require.NoError(s.t, os.WriteFile(path, strconv.AppendInt(nil, int64(pid-1), 10), 0))
		target := process.StartScript(s.t, name, script, true)
		if target.PID == pid {
			return target
		}
		_ = target.Command.Process.Kill() // another process took the pid
	}
	require.FailNow(s.t, "other processes took the pid every time", "pid %d", pid)
	return nil
}

func (s *stage) reuse() {
	first := process.StartScript(s.t, "first", endings["exits late"].script, true)
	s.term(first)
	first.AwaitReaped()
	second := s.startAs(first.PID, "second", dies)
	before := s.check(first, endings["exits late"].want)

	s.term(second)
	var reported []otlp.Record
	harness.Eventually(s.t, func() bool {
		reported = s.outcomes(second.PID)
		return len(reported) > 1
	}, "the second target has an outcome")
	require.Len(s.t, reported, 2)
	assert.NotEqual(s.t, before.TraceID(), reported[1].TraceID)
	otlp.AssertAttributes(s.t, reported[1], map[string]any{"kill.target.name": "second", "kill.signal.count": int64(1)})
	for _, r := range s.records(second.PID, "kill.signal") {
		trace := before.TraceID()
		if r.Attributes["kill.target.name"] == "second" {
			trace = reported[1].TraceID
		}
		assert.Equal(s.t, trace, r.TraceID, r.Body)
	}
}

// resumeLate stops the collector until all targets are gone. Without traced exits, only the outcome
// of SIGKILL is certain then. After other signals it is unknown how a target ended, even if another
// process has its pid now.
func (s *stage) resumeLate() {
	require.NoError(s.t, s.c.Command.Process.Signal(syscall.SIGSTOP))
	termed, replaced, shot := process.StartScript(s.t, "termed", dies, true), process.StartScript(s.t, "replaced", dies, true),
		process.StartScript(s.t, "shot", dies, true)
	s.term(termed)
	s.term(replaced)
	s.kill(shot)
	for _, target := range []*process.Target{termed, replaced, shot} {
		target.AwaitReaped()
	}
	time.Sleep(50 * time.Millisecond) // more than a tick of the kernel, the resolution of the time of audit records
	s.startAs(replaced.PID, "other", dies)
	require.NoError(s.t, s.c.Command.Process.Signal(syscall.SIGCONT))

	want := endings["dies"].want
	if !s.source.traced() {
		want.verdict, want.how = "ended", nil
	}
	s.check(termed, want)
	s.check(replaced, want)
	s.check(shot, endings["is killed"].want)
}

// abort sends SIGABRT to many targets: the audit system reports some of the crashes before the signals.
func (s *stage) abort() {
	var targets []*process.Target
	for range 20 {
		targets = append(targets, process.StartScript(s.t, "aborts", "ulimit -c 0; "+dies, true))
	}
	for _, target := range targets {
		s.signal(s.soft, target, unix.SIGABRT)
	}
	for _, target := range targets {
		s.check(target, story{verdict: "killed", how: "SIGABRT", sent: []string{"SIGABRT"}})
	}
}
