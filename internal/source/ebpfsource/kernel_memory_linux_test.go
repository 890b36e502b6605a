// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() { roles["holder"] = holdMemory }

const (
	mib = 1 << 20
	// held is how much anonymous memory, and how much shared memory, the victim of a test holds.
	heldAnon, heldShared = 24 * mib, 6 * mib
	// mostSteps is how far up the programs go (kernel/memory.h, MOST_STEPS).
	mostSteps = 32
)

// holdMemory takes memory, says so, and keeps it.
func holdMemory([]string) {
	for _, area := range []struct{ size, flags int }{{heldAnon, unix.MAP_PRIVATE}, {heldShared, unix.MAP_SHARED}} {
		memory, err := unix.Mmap(-1, 0, area.size, unix.PROT_READ|unix.PROT_WRITE, area.flags|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
		check(err)
		check(unix.Mlock(memory)) // so that none of it is swapped out
	}
	fmt.Println("0") //nolint:forbidigo // this is how it answers
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// memoryTree makes groups of memory, each in the one before, until the test ends.
type memoryTree struct {
	cgroupFolder
	v1 bool
}

func newMemoryTree(t *testing.T) memoryTree {
	t.Helper()
	needRoot(t)
	name := "/ebpfsource-test-tree-" + itoa(os.Getpid())
	if mount := mountOf("cgroup", "memory"); mount != "" {
		return memoryTree{makeCgroup(t, mount, strings.TrimSuffix(ownGroup(t, "memory"), "/")+name), true}
	}
	g := newCgroup(t, name[1:])
	if _, err := os.Stat(g.folder + "/memory.max"); err != nil {
		audittest.Skip(t, "no memory controller can be used: %v", err)
	}
	return memoryTree{g, false}
}

// in makes a group in another. A limit of 0 is none.
func (m memoryTree) in(t *testing.T, name string, limit int) memoryTree {
	t.Helper()
	if !m.v1 {
		m.write(t, "cgroup.subtree_control", "+memory")
	}
	child := memoryTree{makeCgroup(t, filepath.Dir(m.folder), "/"+filepath.Base(m.folder)+"/"+name), m.v1}
	child.path = m.path + "/" + name
	if limit != 0 {
		child.limit(t, limit)
	}
	return child
}

func (m memoryTree) limit(t *testing.T, bytes int) {
	t.Helper()
	if m.v1 {
		m.write(t, "memory.limit_in_bytes", bytes)
		return
	}
	m.write(t, "memory.max", bytes)
	if _, err := os.Stat(m.folder + "/memory.swap.max"); err == nil {
		m.write(t, "memory.swap.max", 0)
	}
}

// usage returns how much memory the group uses.
func (m memoryTree) usage(t *testing.T) int {
	t.Helper()
	file := "memory.current"
	if m.v1 {
		file = "memory.usage_in_bytes"
	}
	text, err := os.ReadFile(filepath.Join(m.folder, file))
	require.NoError(t, err)
	bytes, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return bytes
}

// holder is a process in a group that holds memory, and is the first that the kernel kills.
func (m memoryTree) holder(t *testing.T) int {
	t.Helper()
	folder, err := os.Open(m.folder)
	require.NoError(t, err)
	defer folder.Close()
	h := help(t, "holder", &syscall.SysProcAttr{UseCgroupFD: !m.v1, CgroupFD: int(folder.Fd())})
	var ready int
	if m.v1 { // clone(2) knows groups of version 2 only, and memory is charged to the group in which it is first used
		m.write(t, "cgroup.procs", h.pid)
	}
	h.read(&ready)
	require.NoError(t, os.WriteFile("/proc/"+itoa(h.pid)+"/oom_score_adj", []byte("1000"), 0))
	return h.pid
}

// eat makes another process in a group take memory until something in it is killed. It returns that process.
func (m memoryTree) eat(t *testing.T) int {
	t.Helper()
	return run(t, command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec tail /dev/zero`, m.folder))
}

// statusOf returns a number of kibibytes in /proc/PID/status, in bytes.
func statusOf(t *testing.T, pid int, names ...string) map[string]int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + itoa(pid) + "/status")
	require.NoError(t, err)
	values := make(map[string]int64)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			values[name] = n << 10
		}
	}
	for _, name := range names {
		require.Contains(t, values, name)
	}
	return values
}

// uncounted is how far the size of memory may be off: that of the pages that each processor has not told yet (lib/percpu_counter.c,
// percpu_counter_batch) or, before Linux 6.2, each thread (mm/memory.c, TASK_RSS_EVENTS_THRESH), of which the runtime has some.
func uncounted() float64 {
	const threads, ofThread = 4, 64
	return float64(max(threads*ofThread, max(32, 2*runtime.NumCPU())*runtime.NumCPU()) * os.Getpagesize())
}

// oomOf waits for the kill of a process for lack of memory.
func oomOf(t *testing.T, w *watch, pid int) *kill.Event {
	t.Helper()
	e := w.find(t, func(e *kill.Event) bool {
		return e.Signal == kill.SIGKILL && e.Kind == kill.KindSignal && toAny(pid)(e)
	})
	require.Equal(t, kill.CauseOOM, e.Cause)
	require.NotNil(t, e.OutOfMemory)
	return e
}

// logCost logs for how long the program for a victim runs, once the test has ended: docs/performance.md has the figure.
func logCost(t *testing.T, w *watch) {
	t.Helper()
	enabled, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Logf("the kernel does not measure programs: %v", err) // before Linux 5.8
		return
	}
	t.Cleanup(func() {
		stats, err := w.programs.collection.Programs[kernelProgMarkVictim].Stats()
		if assert.NoError(t, err) && stats.RunCount > 0 {
			t.Logf("%v for each of %d victims", stats.Runtime/time.Duration(stats.RunCount), stats.RunCount)
		}
		assert.NoError(t, enabled.Close())
	})
}

// The numbers are those that /proc had for the victim, and those of the group.
func TestMemoryOfAVictim(t *testing.T) {
	w := start(t, nil)
	logCost(t, w)
	group := newMemoryTree(t).in(t, "limited", 64*mib)
	holder := group.holder(t)
	want := statusOf(t, holder, "RssAnon", "RssFile", "RssShmem", "VmSize", "VmPTE")
	eater := group.eat(t)
	e := oomOf(t, w, holder)
	got := e.Targets[0].Memory
	require.NotNil(t, got)
	assert.InDelta(t, want["RssAnon"], got.AnonRSS.Value, uncounted())
	assert.InDelta(t, want["RssShmem"], got.ShmemRSS.Value, uncounted())
	assert.GreaterOrEqual(t, got.AnonRSS.Value, int64(heldAnon)-int64(uncounted()))
	assert.LessOrEqual(t, got.FileRSS.Value, want["RssFile"]+int64(uncounted()), "some may have been reclaimed")
	assert.InDelta(t, want["VmSize"], got.TotalVM.Value, 8*mib, "the runtime may have taken more")
	assert.InDelta(t, want["VmPTE"], got.PageTables.Value, 64<<10)
	assert.Equal(t, kill.NewAmount(1000), got.ScoreAdj)

	o := e.OutOfMemory
	assert.Equal(t, kill.OOMConstraintMemcg, o.Constraint)
	assert.Equal(t, group.path, o.Cgroup)
	assert.Equal(t, kill.NewAmount(64*mib), o.Limit)
	assert.InDelta(t, 64*mib, o.Usage.Value, mostNear*float64(os.Getpagesize()))
	assert.Equal(t, kill.Process{PID: eater, Command: "tail"}, o.Invoker)
	assert.Equal(t, !w.programs.tracesMemory(), o.Inferred)
}

// The limit may be that of a group above.
func TestNestedLimits(t *testing.T) {
	w := start(t, nil)
	const small, large = 24 * mib, 96 * mib
	for name, tt := range map[string]struct {
		limits []int
		want   int // the place of the limit that is reached
		v1     bool
		change func(t *testing.T, groups []memoryTree)
	}{
		"own":                          {limits: []int{0, small}, want: 1},
		"of the parent":                {limits: []int{small, 0}, want: 0},
		"own, below another":           {limits: []int{large, small}, want: 1},
		"of the parent, below its own": {limits: []int{small, large}, want: 0},
		"of the parent of the parent":  {limits: []int{small, large, 0}, want: 0},
		"in between":                   {limits: []int{large, small, 0}, want: 1},
		"of memory and swap": {limits: []int{0, 0}, want: 0, v1: true, change: func(t *testing.T, groups []memoryTree) {
			t.Helper()
			groups[0].write(t, "memory.limit_in_bytes", small)
			groups[0].write(t, "memory.memsw.limit_in_bytes", small)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := newMemoryTree(t)
			if tt.v1 && !tree.v1 {
				audittest.Skip(t, "version 2 of control groups has no such limit")
			}
			var groups []memoryTree
			for i, bytes := range tt.limits {
				tree = tree.in(t, "level"+itoa(i), bytes)
				groups = append(groups, tree)
			}
			if tt.change != nil {
				if _, err := os.Stat(tree.folder + "/memory.memsw.limit_in_bytes"); err != nil {
					audittest.Skip(t, "the kernel has no limit of memory and swap: %v", err)
				}
				tt.change(t, groups)
			}
			victim := groups[len(groups)-1].eat(t)
			o := oomOf(t, w, victim).OutOfMemory
			assert.Equal(t, kill.OOMConstraintMemcg, o.Constraint)
			assert.Equal(t, groups[tt.want].path, o.Cgroup)
			assert.Equal(t, kill.NewAmount(small), o.Limit)
			assert.Equal(t, victim, o.Invoker.PID)
		})
	}
}

// A group that is full itself is not to blame if its sibling runs into the limit of both.
func TestFullSibling(t *testing.T) {
	w := start(t, nil)
	parent := newMemoryTree(t).in(t, "parent", 0)
	full, eating := parent.in(t, "full", 0), parent.in(t, "eating", 0)
	holder := full.holder(t)
	full.limit(t, full.usage(t))
	parent.limit(t, parent.usage(t)+16*mib)
	eater := eating.eat(t)
	o := oomOf(t, w, holder).OutOfMemory
	assert.Equal(t, parent.path, o.Cgroup)
	assert.Equal(t, eater, o.Invoker.PID)
}

// Whoever lowers a limit has not asked for memory.
func TestLoweredLimit(t *testing.T) {
	w := start(t, nil)
	tree := newMemoryTree(t)
	if tree.v1 {
		audittest.Skip(t, "version 1 of control groups refuses a limit below what is used")
	}
	group := tree.in(t, "lowered", 0)
	holder := group.holder(t)
	run(t, command("sh", "-c", `echo $((8 << 20)) > "$0/memory.max"`, group.folder))
	o := oomOf(t, w, holder).OutOfMemory
	assert.Equal(t, kill.OOMConstraintMemcg, o.Constraint)
	assert.Equal(t, group.path, o.Cgroup)
	assert.Equal(t, kill.NewAmount(8*mib), o.Limit)
	assert.Greater(t, o.Usage.Value, o.Limit.Value)
	assert.Equal(t, kill.Process{}, o.Invoker)
}

// A group is known by its path even if it is gone a moment later.
func TestGroupIsRemovedAtOnce(t *testing.T) {
	w := start(t, nil)
	group := newMemoryTree(t).in(t, "gone", 16*mib)
	script := `echo $$ > "$0/cgroup.procs" && exec tail /dev/zero`
	eater := exec.Command("sh", "-c", script, group.folder) //nolint:gosec // the folder is of this test
	require.NoError(t, eater.Start())
	_ = eater.Wait()
	for unix.Rmdir(group.folder) != nil { // its memory may still be on the way back
		runtime.Gosched()
	}
	require.NoError(t, os.Mkdir(group.folder, 0o755)) // another one, which the end of the test removes
	assert.Equal(t, group.path, oomOf(t, w, eater.Process.Pid).OutOfMemory.Cgroup)
}

// Whoever may make groups nests them deeper than anybody looks, with names as long as they may be.
func TestDeepGroups(t *testing.T) {
	w := start(t, nil)
	logCost(t, w)
	limited := newMemoryTree(t).in(t, "limited", 16*mib)
	group := limited
	for i := range 6 {
		group = group.in(t, fmt.Sprintf("%02d%s", i, strings.Repeat("x", 250)), 0)
	}
	o := oomOf(t, w, group.eat(t)).OutOfMemory
	assert.Equal(t, limited.path, o.Cgroup)
	assert.Equal(t, kill.NewAmount(16*mib), o.Limit)

	t.Run("the limit itself", func(t *testing.T) {
		group.limit(t, 8*mib)
		o := oomOf(t, w, group.eat(t)).OutOfMemory
		assert.Equal(t, kill.OOMConstraintMemcg, o.Constraint)
		assert.Equal(t, kill.NewAmount(8*mib), o.Limit)
		assert.Empty(t, o.Cgroup, "too long to tell, and a part of it would be another group")
	})
	t.Run("deeper", func(t *testing.T) {
		for i := range 2 * mostSteps {
			group = group.in(t, "y"+itoa(i), 0)
		}
		o := oomOf(t, w, group.eat(t)).OutOfMemory
		if !o.Inferred {
			assert.Equal(t, kill.NewAmount(8*mib), o.Limit)
			return
		}
		assert.NotEqual(t, kill.OOMConstraintNone, o.Constraint, "nobody has looked at all groups")
		assert.Empty(t, o.Cgroup)
	})
}

// All processes of a group that is killed as one are one event, each with what it held.
func TestWholeGroup(t *testing.T) {
	w := start(t, nil)
	tree := newMemoryTree(t)
	if tree.v1 {
		audittest.Skip(t, "only version 2 of control groups has memory.oom.group")
	}
	group := tree.in(t, "whole", 64*mib)
	group.write(t, "memory.oom.group", 1)
	holder := group.holder(t)
	other := group.start(t, exec.Command("sleep", "1000"))
	eater := group.eat(t)
	e := oomOf(t, w, holder)
	require.Len(t, e.Targets, 3)
	assert.Equal(t, group.path, e.OutOfMemory.Cgroup)
	for i := range e.Targets {
		target := &e.Targets[i]
		assert.Contains(t, []int{holder, other, eater}, target.PID)
		require.NotNil(t, target.Memory, target.PID)
		switch target.PID {
		case holder:
			assert.InDelta(t, heldAnon, target.Memory.AnonRSS.Value, 8*mib)
		case other:
			assert.Less(t, target.Memory.AnonRSS.Value, int64(4*mib))
		}
	}
}
