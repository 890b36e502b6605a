// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Signals that the kernel sends (docs/events.md, "What the kernel sends").

func init() { harness.Roles["hog"] = hog }

// hog waits for a line, and then uses more and more memory, 4 GiB at most: bit by bit, because
// the kernel refuses at once what it does not have at all.
func hog() {
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	var memory [][]byte
	for range 256 {
		memory = append(memory, bytes.Repeat([]byte{1}, 16<<20))
	}
	fmt.Println("no limit stops it", len(memory))
}

// newHog returns the process, and what tells it to begin.
func newHog(t *testing.T) (*exec.Cmd, func()) {
	t.Helper()
	hog := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this program
	hog.Env = append(os.Environ(), harness.RoleVariable+"=hog")
	input, err := hog.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, hog.Start())
	return hog, func() {
		_, err := io.WriteString(input, "go\n")
		require.NoError(t, err)
		require.EqualError(t, hog.Wait(), "signal: killed")
	}
}

// awaitFromKernel waits for the log record about a signal from the kernel to a process.
func awaitFromKernel(t *testing.T, sink *otlp.Sink, event string, pid int) otlp.Record {
	t.Helper()
	return awaitRecord(t, sink, fmt.Sprintf("%s of process %d", event, pid), func(r otlp.Record) bool {
		return r.Event == event && r.Attributes["kill.origin"] == "kernel" && r.Attributes["kill.target.pid"] == int64(pid)
	})
}

// awaitRecord waits for a record, and returns the first that is the one.
func awaitRecord(t *testing.T, sink *otlp.Sink, what string, is func(otlp.Record) bool) (found otlp.Record) {
	t.Helper()
	harness.Eventually(t, func() bool {
		for _, found = range sink.Records() {
			if is(found) {
				return true
			}
		}
		return false
	}, "%s", what)
	return found
}

func TestReportsAnOutOfMemoryKill(t *testing.T) {
	harness.NeedRoot(t)
	const limit = 64 << 20
	file, mount := "memory.limit_in_bytes", process.CgroupMount(t, "memory")
	if mount == "" {
		if file, mount = "memory.max", process.CgroupMount(t, ""); mount == "" {
			harness.Skip(t, "no hierarchy of control groups is mounted that could limit memory")
		}
		enable(t, mount, "memory")
	}
	group := process.NewCgroupIn(t, mount, "/auditkill-e2e-memory")
	require.NoError(t, os.WriteFile(filepath.Join(group, file), fmt.Append(nil, limit), 0))

	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	hog, eat := newHog(t)
	pid := hog.Process.Pid
	process.MoveTo(t, group, pid)
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("77"), 0))
	eat()

	r := awaitFromKernel(t, sink, "kill.signal", pid)
	c.Stop()
	name := filepath.Base(os.Args[0])
	assert.Regexp(t, fmt.Sprintf(`^the kernel sent SIGKILL to %[1]s\[%[2]d\]: out of memory: (probably )?/auditkill-e2e-memory reached its limit of 64 MiB, `+
		`%[1]s\[%[2]d\] held \d+(\.\d)? MiB and asked for more$`, regexp.QuoteMeta(name), pid), r.Body)
	assert.Equal(t, plog.SeverityNumberError, r.Severity)
	otlp.AssertAttributes(t, r, map[string]any{
		"kill.cause": "oom", "kill.signal.number": int64(unix.SIGKILL), "kill.scope": "process", "kill.result": "success",
		"kill.delivery": "delivered", "kill.target.count": int64(1), "kill.complete": true, "kill.source": "ebpf",
		"kill.target.name": name, "kill.target.executable.path": os.Args[0], "kill.target.cgroup": "/auditkill-e2e-memory",
		"kill.syscall": nil, "process.pid": nil,
		"kill.oom.constraint": "memcg", "kill.oom.cgroup": "/auditkill-e2e-memory", "kill.oom.limit": int64(limit),
		"kill.oom.score_adj": int64(77), "kill.oom.invoker.pid": int64(pid), "kill.oom.invoker.name": name[:min(len(name), 15)],
	})
	assert.Contains(t, []any{"inferred", "observed"}, r.Attributes["kill.evidence"])
	assert.InDelta(t, limit, r.Attributes["kill.oom.usage"], 2<<20)
	// Most of the limit is its own memory; what it had before it was moved to the group counts elsewhere.
	assert.InDelta(t, limit-10<<20, r.Attributes["kill.oom.anon_rss"], 22<<20)
	assert.Greater(t, r.Attributes["kill.oom.total_vm"], r.Attributes["kill.oom.anon_rss"])
	assert.Greater(t, r.Attributes["kill.oom.page_tables"], int64(limit/4096*8/2))
	for _, key := range []string{"kill.oom.file_rss", "kill.oom.shmem_rss"} {
		assert.GreaterOrEqual(t, r.Attributes[key], int64(0), key)
	}
	outcome := awaitFromKernel(t, sink, "kill.outcome", pid)
	assert.Equal(t, r.Attributes["kill.oom.anon_rss"], outcome.Attributes["kill.oom.anon_rss"])
	assert.Equal(t, r.Attributes["kill.oom.cgroup"], outcome.Attributes["kill.oom.cgroup"])
}

// enable enables a controller for groups of version 2 until the test ends.
func enable(t *testing.T, mount, controller string) {
	t.Helper()
	path := filepath.Join(mount, "cgroup.subtree_control")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	if slices.Contains(strings.Fields(string(before)), controller) {
		return
	}
	if err := os.WriteFile(path, []byte("+"+controller), 0); err != nil {
		harness.Skip(t, "control groups cannot limit memory here: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(path, []byte("-"+controller), 0)) })
}

// TestHostRunsOutOfMemory has a process take all memory of the machine.
func TestHostRunsOutOfMemory(t *testing.T) {
	harness.NeedMachine(t, 1)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	hog, eat := newHog(t)
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", hog.Process.Pid), []byte("1000"), 0))
	eat()
	r := awaitFromKernel(t, sink, "kill.signal", hog.Process.Pid)
	c.Running()
	c.Stop()
	assert.Regexp(t, fmt.Sprintf(`^the kernel sent SIGKILL to %[1]s\[%[2]d\]: out of memory: (probably )?the host had none left, %[1]s\[%[2]d\] held `,
		regexp.QuoteMeta(filepath.Base(os.Args[0])), hog.Process.Pid), r.Body)
	otlp.AssertAttributes(t, r, map[string]any{
		"kill.cause": "oom", "kill.target.executable.path": os.Args[0], "kill.complete": true,
		"kill.oom.constraint": "none", "kill.oom.cgroup": nil, "kill.oom.limit": nil, "kill.oom.score_adj": int64(1000),
	})
}

// The kill of a control group is reported for each of its processes.
func TestReportsTheKillOfAControlGroup(t *testing.T) {
	group := process.NewKillableCgroup(t, "/auditkill-e2e.slice/killed.scope")
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	// None of them is a child of another: its parent's death would signal it (PR_SET_PDEATHSIG), perhaps before
	// cgroup.kill does.
	program := process.NativeSender(t)
	var victims []int
	for range 4 {
		victims = append(victims, process.NewSender(t, program, process.InCgroup(t, group)).PID)
	}
	killer := process.KillCgroup(t, group)
	for _, victim := range victims {
		r := awaitFromKernel(t, sink, "kill.signal", victim)
		assert.Regexp(t, fmt.Sprintf(`^the kernel sent SIGKILL to sender-\w+\[%d\]: kill of control group `+
			`/auditkill-e2e.slice/killed.scope, prompted by sh\[%d\] \(/\S+, uid 0\)`, victim, killer), r.Body)
		assert.Equal(t, plog.SeverityNumberWarn, r.Severity)
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "cgroup_kill", "kill.scope": nil, "kill.target.count": int64(len(victims)), "kill.syscall": nil,
			"kill.target.cgroup": "/auditkill-e2e.slice/killed.scope", "kill.target.systemd.unit": "killed.scope",
			"process.pid": int64(killer), "process.parent_pid": int64(os.Getpid()), "process.command": "sh",
		})
	}
	c.Stop()
}

// A crash leads to two events: the signal, and the death from it.
func TestReportsACrash(t *testing.T) {
	harness.NeedRoot(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	s := process.NewSender(t, process.NativeSender(t))
	s.Dies(orders.Order{Call: orders.Fault, Signal: int(unix.SIGSEGV)})
	raised, died := awaitFromKernel(t, sink, "kill.signal", s.PID), awaitFromKernel(t, sink, "kill.abend", s.PID)
	c.Stop()
	assert.Equal(t, fmt.Sprintf("the kernel sent SIGSEGV to %s[%d] (crash: no permission for the address, %s)", s.Name, s.PID,
		raised.Attributes["kill.fault.address"]), raised.Body)
	assert.Regexp(t, "^0x[0-9a-f]+000$", raised.Attributes["kill.fault.address"], "the beginning of a page")
	assert.NotContains(t, died.Attributes, "kill.fault.address")
	assert.Equal(t, plog.SeverityNumberWarn, raised.Severity)
	assert.Equal(t, plog.SeverityNumberError, died.Severity)
	for _, r := range []otlp.Record{raised, died} {
		otlp.AssertAttributes(t, r, map[string]any{
			"kill.cause": "crash", "kill.signal.name": "SIGSEGV", "kill.signal.code": "SEGV_ACCERR", "kill.complete": true,
			"kill.target.name": s.Name, "kill.target.executable.path": s.Command.Path, "process.pid": nil, "kill.syscall": nil,
		})
	}
}
