// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// Kills for lack of memory, which the audit system does not see, as the kernel's log tells of them.

// newMemoryGroup makes a control group with a limit, and returns its path in the file system and its name.
func newMemoryGroup(t *testing.T, limit int) (folder, name string) {
	t.Helper()
	harness.NeedRoot(t)
	if !harness.Exists("/dev/kmsg") {
		harness.Skip(t, "there is no /dev/kmsg")
	}
	file, mount := "memory.limit_in_bytes", process.CgroupMount(t, "memory")
	if mount == "" {
		if file, mount = "memory.max", process.CgroupMount(t, ""); mount == "" {
			harness.Skip(t, "no hierarchy of control groups is mounted that could limit memory")
		}
		enable(t, mount, "memory")
	}
	name = "/auditkill-e2e-kernel-log"
	folder = process.NewCgroupIn(t, mount, name)
	require.NoError(t, os.WriteFile(filepath.Join(folder, file), fmt.Append(nil, limit), 0))
	return folder, name
}

// oomKills returns the log records of kills of a process by the kernel.
func oomKills(sink *otlp.Sink, event string, pid int) (found []otlp.Record) {
	for _, r := range sink.Records() {
		if r.Event == event && r.Attributes["kill.target.pid"] == int64(pid) && r.Attributes["kill.cause"] == "oom" {
			found = append(found, r)
		}
	}
	return found
}

func TestReportsAnOutOfMemoryKillBesideAudit(t *testing.T) {
	const limit = 64 << 20
	group, path := newMemoryGroup(t, limit)
	audit.Use(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink)
	hog, eat := newHog(t)
	pid := hog.Process.Pid
	process.MoveTo(t, group, pid)
	eat()
	r := awaitFromKernel(t, sink, "kill.signal", pid)
	harness.Eventually(t, func() bool { return len(oomKills(sink, "kill.outcome", pid)) == 1 }, "the outcome of process %d", pid)
	c.Stop()
	assert.Len(t, oomKills(sink, "kill.signal", pid), 1)
	name := filepath.Base(os.Args[0])
	assert.Regexp(t, fmt.Sprintf(`^the kernel sent SIGKILL to %s\[%d\]: out of memory: %s reached its limit of 64 MiB, %[1]s\[%[2]d\] held [\d.]+ MiB`,
		name, pid, path), r.Body)
	assert.Equal(t, plog.SeverityNumberError, r.Severity)
	otlp.AssertAttributes(t, r, map[string]any{
		"kill.cause": "oom", "kill.signal.number": int64(unix.SIGKILL), "kill.scope": "process", "kill.result": "success",
		"kill.target.count": int64(1), "kill.complete": true, "kill.source": "kmsg", "kill.target.name": name,
		"kill.oom.constraint": "memcg", "kill.oom.cgroup": path, "kill.oom.limit": int64(limit), "kill.evidence": "observed",
		"kill.oom.invoker.name": name, "kill.target.user.id": int64(0),
		"kill.syscall": nil, "process.pid": nil,
	})
	if invoker := r.Attributes["kill.oom.invoker.pid"]; invoker != nil { // the log names a thread, which may be gone already
		assert.EqualValues(t, pid, invoker)
	}
	assert.InDelta(t, limit, r.Attributes["kill.oom.usage"], 2<<20)
	held := r.Attributes["kill.oom.anon_rss"].(int64) + r.Attributes["kill.oom.file_rss"].(int64)
	assert.Greater(t, held, int64(limit/2))
	assert.LessOrEqual(t, held, hog.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10+2<<20, "of getrusage(2)")
}

// ebpf sees the kill itself, and tells it once; neither do others if they are told not to.
func TestReadsNoKernelLog(t *testing.T) {
	for name, receiver := range map[string]string{"ebpf": `{ebpf: {}}`, "turned off": `{netlink: {}, kernel_log: false}`} {
		t.Run(name, func(t *testing.T) {
			group, _ := newMemoryGroup(t, 64<<20)
			audit.Use(t)
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, receiver, sink)
			hog, eat := newHog(t)
			process.MoveTo(t, group, hog.Process.Pid)
			eat()
			after := exec.CommandContext(t.Context(), "sh", "-c", "kill $$")
			require.Error(t, after.Run())
			harness.Eventually(t, func() bool {
				for _, r := range sink.Records() {
					if r.Attributes["kill.target.pid"] == int64(after.Process.Pid) {
						return true
					}
				}
				return false
			}, "a later signal")
			c.Stop()
			for _, r := range oomKills(sink, "kill.signal", hog.Process.Pid) {
				assert.Equal(t, "ebpf", r.Attributes["kill.source"])
			}
		})
	}
}
