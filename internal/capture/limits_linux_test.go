// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// inferring are the traits of the source ebpf where the kernel's functions cannot be traced.
func inferring() source.Traits {
	traits := tracing()
	traits.InfersLimits = true
	return traits
}

// hogLimit is how much memory the group of a hog may use.
const hogLimit = 32 << 20

// newHog makes a control group whose name looks like a part of the kernel's message, and returns its path and a process that uses up all its
// memory.
func newHog(t *testing.T) (group string, hog *exec.Cmd) {
	t.Helper()
	audittest.Root(t, "make control groups and read the kernel's log")
	group = fmt.Sprintf("/capture-%d-%s,oom_memcg=,task_memcg=", os.Getpid(), t.Name())
	folder := filepath.Join("/sys/fs/cgroup/memory", group)
	if err := os.Mkdir(folder, 0o755); err != nil {
		audittest.Skip(t, "the memory controller of cgroup v1 cannot be used: %v", err)
	}
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return unix.Rmdir(folder) == nil }, limit, time.Millisecond)
	})
	require.NoError(t, os.WriteFile(filepath.Join(folder, "memory.limit_in_bytes"), fmt.Append(nil, hogLimit), 0))
	return group, exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec tail /dev/zero`, folder) //nolint:gosec // the folder is the test's
}

// mostTries is how often a process is killed: the kernel leaves out the group if others are killed at the same time
// (internal/kernellog).
const mostTries = 5

// again returns the same command once the kernel writes whole reports again.
func again(hog *exec.Cmd) *exec.Cmd {
	time.Sleep(5 * time.Second)
	return exec.Command(hog.Path, hog.Args[1:]...) //nolint:gosec // it is the test's
}

// The log of this kernel decides about a real kill that a source has seen, and makes no event of its own.
func TestLimitsOfTheKernelLog(t *testing.T) {
	t.Parallel()
	group, hog := newHog(t)

	s := play(inferring())
	settings, said := newSettings(t, Custom("ebpf", s))
	settings.Attribution = Attribution{Enabled: true, Timeout: limit}
	c, err := Open(t.Context(), settings)
	require.NoError(t, err)
	if c.memory == nil {
		require.NoError(t, c.Close())
		audittest.Skip(t, "the kernel's log cannot be read: %v", said.logs.All())
	}
	h := &handler{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, h) })

	kills := 0
	for range mostTries {
		require.EqualError(t, hog.Run(), "signal: killed")
		s.seen <- []source.Observation{starved(time.Now(), hog.Process.Pid-pidBase)}
		kills++
		require.Eventually(t, func() bool { n, _ := h.taken(); return n == kills }, limit, time.Millisecond)
		if h.last().OutOfMemory.Cgroup == group {
			break
		}
		hog = again(hog)
	}
	cancel()
	running.Wait()
	require.NoError(t, c.Close())

	require.Len(t, h.signals, kills, "the log's own word is no second event")
	found := h.last().OutOfMemory
	assert.False(t, found.Inferred)
	assert.Equal(t, kill.OOMConstraintMemcg, found.Constraint)
	assert.Equal(t, group, found.Cgroup, "its name is chosen by whoever has made it")
	assert.Equal(t, kill.NewAmount(hogLimit), found.Limit)
}

// The same with the real source, where the kernel does not allow it to see the limit itself.
func TestLimitsWithEBPF(t *testing.T) {
	group, hog := newHog(t)
	settings, said := newSettings(t, EBPF{RingBuffer: DefaultRingBuffer}.Candidate("ebpf"))
	settings.Signals = []kill.Signal{kill.SIGKILL}
	settings.Correlation = Correlation{Timeout: time.Second, MaxPending: 16}
	settings.Attribution = Attribution{Enabled: true, Timeout: DefaultAttributionTimeout}
	c, err := Open(t.Context(), settings)
	if err != nil {
		audittest.Skip(t, "no programs can be loaded: %v", err)
	}
	if !c.traits.InfersLimits || c.memory == nil {
		require.NoError(t, c.Close())
		audittest.Skip(t, "the source sees the limit itself, or the kernel's log cannot be read: %v", said.logs.All())
	}
	h := &handler{wants: func(e *kill.Event) bool {
		return e.Cause == kill.CauseOOM && e.Targets[0].Instance != nil && e.Targets[0].Instance.Cgroup == group
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, h) })
	kills := 0
	for range mostTries {
		require.EqualError(t, hog.Run(), "signal: killed")
		kills++
		require.Eventually(t, func() bool { n, _ := h.taken(); return n == kills }, limit, time.Millisecond)
		if !h.last().OutOfMemory.Inferred {
			break
		}
		hog = again(hog)
	}
	cancel()
	running.Wait()
	require.NoError(t, c.Close())

	require.Len(t, h.signals, kills)
	e := h.last()
	assert.Equal(t, "ebpf", e.Source)
	assert.False(t, e.OutOfMemory.Inferred, "the log says so")
	assert.Equal(t, group, e.OutOfMemory.Cgroup)
	assert.Equal(t, kill.NewAmount(hogLimit), e.OutOfMemory.Limit)
	assert.Equal(t, kill.Process{PID: hog.Process.Pid, Command: "tail"}, e.OutOfMemory.Invoker)
	assert.True(t, e.Targets[0].Memory.AnonRSS.Known)
}

// Which source reads the log, and who is told if it cannot be read.
func TestWhoReadsTheKernelLog(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		traits      source.Traits
		kernelLog   KernelLog
		attribution bool
		wantNote    bool
	}{
		"it infers limits":                       {inferring(), KernelLogAuto, true, true},
		"it infers limits, and may not look":     {inferring(), KernelLogNever, true, false},
		"it infers limits, and nothing can wait": {inferring(), KernelLogAuto, false, false},
		"it sees limits":                         {tracing(), KernelLogAlways, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, said := newSettings(t, Custom("ebpf", play(tt.traits)))
			settings.Root, settings.KernelLog = t.TempDir(), tt.kernelLog
			settings.Attribution = Attribution{Enabled: tt.attribution, Timeout: time.Second}
			c, err := Open(t.Context(), settings)
			require.NoError(t, err)
			defer c.Close()
			assert.Nil(t, c.memory)
			assert.Equal(t, tt.wantNote, said.logs.FilterLevelExact(zapcore.InfoLevel).FilterMessageSnippet("is inferred").Len() == 1)
			assert.Empty(t, said.warnings(), "nothing is lost")
		})
	}
}
