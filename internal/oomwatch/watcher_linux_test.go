// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// forever is longer than anything takes.
const forever = time.Minute

// role is set for a copy of the test binary that uses more and more memory, under a name that it is given.
const role = "OOMWATCH_HOG"

func init() {
	name, hog := os.LookupEnv(role)
	if !hog {
		return
	}
	if name != "" {
		if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	var memory [][]byte
	for range 256 {
		memory = append(memory, bytes.Repeat([]byte{1}, 1<<20))
	}
	fmt.Println("no limit stops it", len(memory))
	os.Exit(1)
}

// watching is a Watcher that runs until the test ends.
type watching struct {
	mutex sync.Mutex
	kills []*kill.Event
	lost  int64
}

func watch(t *testing.T) *watching {
	t.Helper()
	found := &watching{}
	logger := zaptest.NewLogger(t)
	w := New(Config{Logger: logger, Panics: panics.NewGuard(logger), Lose: func(n int64) {
		found.mutex.Lock()
		defer found.mutex.Unlock()
		found.lost += n
	}})
	if err := w.Start(); err != nil {
		audittest.Skip(t, "the kernel's log cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		w.Run(ctx, func(kills []*kill.Event) {
			found.mutex.Lock()
			defer found.mutex.Unlock()
			found.kills = append(found.kills, kills...)
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		assert.NoError(t, w.Close())
	})
	return found
}

// of returns the kills of a process.
func (w *watching) of(pid int) (kills []*kill.Event) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, e := range w.kills {
		for i := range e.Targets {
			if e.Targets[i].PID == pid {
				kills = append(kills, e)
			}
		}
	}
	return kills
}

// memoryMount returns where the hierarchy of control groups is mounted that has the memory controller, and the name of the
// file in which a group's limit is.
func memoryMount(t *testing.T) (mount, limit string) {
	t.Helper()
	const v1, v2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
	if _, err := os.Stat(v1 + "/memory.limit_in_bytes"); err == nil {
		return v1, "/memory.limit_in_bytes"
	}
	delegate(t, v2)
	return v2, "/memory.max"
}

// delegate lets the groups in a group of version 2 have limits for memory. No process may be in it, unless it is the root.
func delegate(t *testing.T, folder string) {
	t.Helper()
	if err := os.WriteFile(folder+"/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		audittest.Skip(t, "no hierarchy of control groups has a memory controller: %v", err)
	}
}

// memoryGroup makes a control group below another one, with a limit if that is not 0.
func memoryGroup(t *testing.T, path string, limit int64) string {
	t.Helper()
	audittest.Root(t, "make control groups and write to the kernel's log")
	mount, file := memoryMount(t)
	folder := mount + path
	if parent := filepath.Dir(folder); file == "/memory.max" && parent != mount {
		delegate(t, parent)
	}
	require.NoError(t, os.Mkdir(folder, 0o755))
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return unix.Rmdir(folder) == nil }, forever, time.Millisecond)
	})
	if limit != 0 {
		require.NoError(t, os.WriteFile(folder+file, fmt.Append(nil, limit), 0))
		if swap := folder + "/memory.swap.max"; file == "/memory.max" {
			if _, err := os.Stat(swap); err == nil {
				require.NoError(t, os.WriteFile(swap, []byte("0"), 0))
			}
		}
	}
	return folder
}

// hog starts a process in a group as some user, and returns it with what lets it begin.
func hog(t *testing.T, folder, name string, user uint32) (*exec.Cmd, func() time.Time) {
	t.Helper()
	// Another user may not read the folder of the test binary.
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	directory, err := os.MkdirTemp("/tmp", "oomwatch") //nolint:usetesting // the test's own folder is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	require.NoError(t, os.Chmod(directory, 0o755))
	program := filepath.Join(directory, "hog")
	audittest.WriteProgram(t, program, self)
	command := exec.Command(program) //nolint:gosec // it was just written
	command.Env = []string{role + "=" + name}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		if command.ProcessState == nil {
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	})
	_, err = bufio.NewReader(output).ReadString('\n') // its name is set
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(folder+"/cgroup.procs", fmt.Append(nil, command.Process.Pid), 0))
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", command.Process.Pid), []byte("300"), 0))
	return command, func() time.Time {
		_, err := io.WriteString(input, "go\n")
		require.NoError(t, err)
		require.EqualError(t, command.Wait(), "signal: killed")
		return time.Now()
	}
}

// A real kill is told with the figures that the group and the process had.
func TestKill(t *testing.T) {
	t.Parallel()
	const limit = 32 << 20
	upper := fmt.Sprintf("/oomwatch-%d", os.Getpid())
	memoryGroup(t, upper, limit)
	folder := memoryGroup(t, upper+"/lower", 0)
	w := watch(t)
	process, eat := hog(t, folder, "", 4711)
	began := time.Now()
	eat()
	pid := process.Process.Pid
	require.Eventually(t, func() bool { return len(w.of(pid)) > 0 }, forever, time.Millisecond)
	reported := time.Now()
	kills := w.of(pid)
	require.Len(t, kills, 1)
	e := kills[0]
	assert.Equal(t, kill.KindSignal, e.Kind)
	assert.Equal(t, kill.CauseOOM, e.Cause)
	assert.Equal(t, kill.OriginKernel, e.Origin)
	assert.Equal(t, kill.SIGKILL, e.Signal)
	assert.Equal(t, Source, e.Source)
	assert.Zero(t, e.Sender)
	assert.True(t, e.Complete)
	// The clock of the log is compared when a message is read, which a busy host does late.
	assert.WithinRange(t, e.Time, began.Add(-clockError), reported)

	o := e.OutOfMemory
	assert.Equal(t, kill.OOMConstraintMemcg, o.Constraint)
	assert.False(t, o.Inferred)
	assert.Equal(t, upper, o.Cgroup, "the limit is of the group above")
	assert.Equal(t, kill.NewAmount(limit), o.Limit)
	assert.InDelta(t, limit, o.Usage.Value, hugePage)
	assert.Contains(t, []int{0, pid}, o.Invoker.PID, "the log names a thread, which may be gone already")
	assert.Equal(t, "hog", o.Invoker.Command)

	target := e.Targets[0]
	assert.Equal(t, "hog", target.Command)
	assert.Equal(t, kill.NewID(4711), target.User.ID)
	m := target.Memory
	usage := process.ProcessState.SysUsage().(*syscall.Rusage)
	held := m.AnonRSS.Value + m.FileRSS.Value + m.ShmemRSS.Value
	assert.LessOrEqual(t, held, usage.Maxrss<<10+hugePage, "of getrusage(2), to which the test itself may have contributed before exec(2)")
	assert.Greater(t, held, int64(limit/2))
	assert.Greater(t, m.TotalVM.Value, held)
	assert.Positive(t, m.PageTables.Value)
	assert.Equal(t, kill.NewAmount(300), m.ScoreAdj)
}

// rateInterval is after how long the kernel writes whole reports again (internal/kernellog).
const rateInterval = 5 * time.Second

// hugePage is how precise the kernel's counters are.
const hugePage = 2 << 20

// A user chooses the name of his process and, where he owns one, of a control group. Neither names another
// process or group.
func TestChosenNames(t *testing.T) {
	t.Parallel()
	const forged = ",task_memcg=,task=sshd,pid=1,uid=0"
	for _, name := range []string{"oom-kill:constr", "a,pid=1,uid=0", ") total-vm:1kB", "a\nKilled proces", "Out of memory:", "\x1b[31m\\x0a"} { //nolint:misspell // 15 bytes of a name
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			t.Parallel()
			group := fmt.Sprintf("/oomwatch-%d,oom_memcg=%x%s", os.Getpid(), name, forged)
			folder := memoryGroup(t, group, 64<<20)
			w := watch(t)
			var kills []*kill.Event
			for range 5 { // the kernel leaves out the group if others are killed at the same time
				process, eat := hog(t, folder, name, 4711)
				eat()
				pid := process.Process.Pid
				require.Eventually(t, func() bool { return len(w.of(pid)) > 0 }, forever, time.Millisecond)
				kills = w.of(pid)
				require.Len(t, kills, 1)
				if kills[0].OutOfMemory.Cgroup != "" {
					break
				}
				time.Sleep(rateInterval)
			}
			target := kills[0].Targets[0]
			assert.Equal(t, name, target.Command)
			assert.Equal(t, kill.NewID(4711), target.User.ID)
			assert.Equal(t, group, kills[0].OutOfMemory.Cgroup)
			assert.Empty(t, w.of(1))
		})
	}
}

// What processes write to the log is not the kernel's.
func TestForgedByAProcess(t *testing.T) {
	t.Parallel()
	audittest.Root(t, "make control groups and write to the kernel's log")
	w := watch(t)
	log, err := os.OpenFile(device, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer log.Close()
	const pid = 4194000
	for _, priority := range []string{"", "<3>", "<0>", "<30>"} {
		_, err = fmt.Fprintf(log, "%sOut of memory: Killed process %d (auditkill-test) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB\n", priority, pid)
		require.NoError(t, err)
	}
	folder := memoryGroup(t, fmt.Sprintf("/oomwatch-forged-%d", os.Getpid()), 64<<20)
	process, eat := hog(t, folder, "", 0)
	eat() // comes after them
	require.Eventually(t, func() bool { return len(w.of(process.Process.Pid)) > 0 }, forever, time.Millisecond)
	assert.Empty(t, w.of(pid))
}

// Messages that were overwritten are counted, and nothing is put together of what is before and after.
func TestOverrun(t *testing.T) {
	t.Parallel()
	lost := int64(0)
	w := New(Config{Lose: func(n int64) { lost += n }})
	w.add([]byte("4,7,1,-;sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"))
	w.overrun = true
	w.add([]byte("3,10,2,-;Out of memory: Killed process 7 (sh) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"))
	w.parser.Flush()
	kills := w.parser.Take()
	require.Len(t, kills, 1)
	assert.Empty(t, kills[0].OutOfMemory.Invoker.Command)
	assert.Equal(t, int64(2), lost)
}

// An ordinary user learns what he lacks.
func TestRefused(t *testing.T) {
	t.Parallel()
	err := Check(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	var p *problem.Problem
	require.ErrorAs(t, err, &p)
	assert.Contains(t, p.Fix, "/dev/kmsg")
	require.ErrorAs(t, explain(&os.PathError{Op: "open", Path: device, Err: unix.EPERM}), &p)
	assert.Contains(t, p.Fix, "ProtectKernelLogs=no")
	assert.ErrorIs(t, p, os.ErrPermission)
}

// The clock of the log is compared again and again: it drifts, and stands still while the host sleeps.
func TestClock(t *testing.T) {
	t.Parallel()
	since, now := time.Hour, time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	c := &clock{since: func() time.Duration { return since }, now: func() time.Time { return now }}
	pass := func(d time.Duration) { since, now = since+d, now.Add(d) }
	const behind = 7 * time.Second
	assert.Equal(t, now, c.time(since-behind), "read at once")
	written, at := since-behind, now
	pass(50 * time.Millisecond)
	assert.Equal(t, at, c.time(written), "read late")
	written, at = since-behind, now
	now = now.Add(time.Hour)
	assert.Equal(t, at.Add(time.Hour), c.time(written), "the clock was set")
	pass(time.Hour) // asleep
	assert.Equal(t, now, c.time(written+time.Second), "the log's clock stood still")
}
