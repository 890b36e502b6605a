// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// patience is how long something may take on a busy machine.
const patience = 30 * time.Second

// newLiveTable returns a table of this host.
func newLiveTable(tb testing.TB) *Table {
	tb.Helper()
	table := NewTable(Config{})
	if table.proc.err != nil {
		tb.Skipf("SKIPPED, THOUGH IT MATTERS: the tests run in a container: %v", table.proc.err)
	}
	return table
}

// idle is a process that waits.
type idle struct {
	*exec.Cmd
	key        Key
	input      io.WriteCloser
	executable string
}

// startIdle runs this program under any name.
func startIdle(t *testing.T, table *Table, name string, args ...string) *idle {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.Symlink(self, link))
	p := &idle{Cmd: exec.CommandContext(context.WithoutCancel(t.Context()), link, args...), executable: self} //nolint:gosec // this program itself
	p.Env = append(os.Environ(), idleKey+"=1")
	p.input, err = p.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(p.end)
	// Start returns once exec has closed the files, which is before there are arguments (fs/exec.c, begin_new_exec).
	require.Eventually(t, func() bool {
		arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Process.Pid))
		return err == nil && len(arguments) > 0
	}, patience, time.Millisecond)
	p.key = lifeOf(t, table, p.Process.Pid)
	return p
}

// end ends the process and waits for it.
func (p *idle) end() {
	if p.ProcessState == nil {
		_ = p.Process.Kill()
		_ = p.Wait() // it was killed
	}
}

// lifeOf asks the kernel, not the table, which process has a pid.
func lifeOf(tb testing.TB, table *Table, pid int) Key {
	tb.Helper()
	dir, ok := table.proc.open(pid)
	require.True(tb, ok)
	defer dir.close()
	s, ok := dir.stat()
	require.True(tb, ok)
	return keyOf(&s)
}

// outgrow waits until a process is old enough for an event of now to be about it.
func (p *idle) outgrow(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return SinceBoot() > p.key.Start+2*procstat.RecordLag }, patience, time.Millisecond)
}

// short is what the kernel keeps of a name.
func short(name string) string { return name[:min(len(name), 15)] }

func killed(pid int, name string) *kill.Event {
	e := &kill.Event{Kind: kill.KindSignal, Time: time.Now().Truncate(time.Millisecond)}
	*e.AddTarget() = kill.Process{PID: pid, Command: short(name)}
	return e
}

func TestLivingProcess(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"plain": "idle", "spaces": "my idle one", "parentheses": "a) R 1 (b", "newline": "two\nlines", "UTF-8": "größe",
		"cut within a letter": "fourteen_byteß", "longer than a comm": "a_name_longer_than_fifteen",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newLiveTable(t)
			before := time.Now()
			p := startIdle(t, table, command, "", "-x", "ö\n")
			require.NoError(t, table.Prime())

			who, ok := table.Lookup(p.Process.Pid)
			require.True(t, ok)
			assert.Equal(t, p.key, who.Key)
			assert.Equal(t, os.Getpid(), who.Parent)
			assert.Equal(t, short(command), who.Command)
			assert.Equal(t, p.executable, who.Executable)
			assert.Equal(t, kill.NewID(uint32(os.Getuid())), who.RealUser)
			assert.Equal(t, strings.Join(p.Args, "\x00")+"\x00", who.Instance.CommandLine)
			assert.WithinRange(t, who.Instance.Start, before.Add(-2*procstat.RecordLag), time.Now())
			own, err := os.ReadFile("/proc/self/cgroup")
			require.NoError(t, err)
			assert.Equal(t, parseCgroups(own), who.Instance.Cgroup)

			instance, executable := table.Identify(Key{PID: p.key.PID, Start: p.key.Start + 4711}, CgroupID{})
			assert.Same(t, who.Instance, instance)
			assert.Equal(t, p.executable, executable)
		})
	}
}

func TestLookupOfAThread(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	require.Greater(t, len(threads), 1, "Go has threads of its own")
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		if who, ok := table.Lookup(tid); ok { // unless it has ended
			assert.Equal(t, os.Getpid(), who.PID)
		}
	}
	assert.Equal(t, 1, table.Counts().Size, "threads are no processes")
}

func TestForkedProcessIsItsParent(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "(read x; :) <&3 & echo $!; wait")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{read}
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, read.Close())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)

	who, ok := table.Lookup(child)
	assert.True(t, ok)
	assert.Equal(t, cmd.Process.Pid, who.Parent)
	assert.Equal(t, "sh", who.Command)
	assert.Equal(t, strings.Join(cmd.Args, "\x00")+"\x00", who.Instance.CommandLine)
	require.NoError(t, write.Close())
	require.NoError(t, cmd.Wait())
}

func TestDeadProcess(t *testing.T) {
	t.Parallel()
	for name, reaped := range map[string]bool{"zombie": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newLiveTable(t)
			p := startIdle(t, table, "victim", "arg")
			require.NoError(t, table.Prime())
			p.outgrow(t)
			e := killed(p.key.PID, "victim")
			e.Sender = kill.Process{PID: os.Getpid(), ParentPID: os.Getppid(), Command: "?", Executable: p.executable}
			require.NoError(t, p.Process.Kill())
			if reaped {
				p.end()
			} else {
				require.Eventually(t, func() bool {
					dir, ok := table.proc.open(p.key.PID)
					require.True(t, ok)
					defer dir.close()
					s, _ := dir.stat()
					return s.Zombie
				}, patience, time.Millisecond)
			}
			table.Fill(e)
			require.NotNil(t, e.Targets[0].Instance)
			assert.Equal(t, p.executable, e.Targets[0].Executable)
			assert.Equal(t, strings.Join(p.Args, "\x00")+"\x00", e.Targets[0].Instance.CommandLine)
			require.NotNil(t, e.Sender.Instance)
			require.NotEmpty(t, e.Sender.Ancestry)
			assert.Equal(t, os.Getppid(), e.Sender.Ancestry[0].PID)

			instance, executable := table.Identify(p.key, CgroupID{})
			assert.Equal(t, e.Targets[0].Instance, instance)
			assert.Equal(t, p.executable, executable)
		})
	}
}

func TestProcessThatNobodySaw(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	require.NoError(t, table.Prime())
	p := startIdle(t, table, "victim")
	p.outgrow(t)
	e := killed(p.key.PID, "victim")
	p.end()
	table.Fill(e)
	assert.Nil(t, e.Targets[0].Instance)
	instance, executable := table.Identify(p.key, CgroupID{})
	assert.Equal(t, &kill.Instance{Start: BootTime().Add(p.key.Start), SinceBoot: p.key.Start}, instance)
	assert.Empty(t, executable)
	assert.True(t, table.memory.find(p.key).gone, "it is forgotten with the dead")
	_, ok := table.Lookup(p.key.PID)
	assert.False(t, ok)
}

func TestRunNotices(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	require.NoError(t, table.Prime())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); table.Run(ctx) }()
	p := startIdle(t, table, "victim")
	remembered := func() *entry {
		table.mu.Lock()
		defer table.mu.Unlock()
		return table.memory.find(p.key)
	}
	require.Eventually(t, func() bool { return remembered() != nil }, patience, time.Millisecond, "it was born")
	p.outgrow(t)
	e := killed(p.key.PID, "victim")
	p.end()
	table.Fill(e)
	cancel()
	<-done
	if assert.NotNil(t, e.Targets[0].Instance) {
		assert.Equal(t, p.executable, e.Targets[0].Executable)
	}
	assert.True(t, remembered().gone)
}

// rebirth starts a process with the pid of one that has just ended.
func rebirth(t *testing.T, table *Table, first *idle, name string) *idle {
	t.Helper()
	const cursor = "/proc/sys/kernel/ns_last_pid"
	audittest.Root(t, "choose the next pid")
	for range 1000 { // others may be faster
		require.NoError(t, os.WriteFile(cursor, []byte(strconv.Itoa(first.key.PID-1)), 0))
		next := startIdle(t, table, name)
		if next.key.PID == first.key.PID {
			return next
		}
		next.end()
	}
	require.Fail(t, "another process has the pid")
	return nil
}

func TestPIDUsedAgain(t *testing.T) { //nolint:paralleltest // it turns back the kernel's cursor
	for name, command := range map[string]string{"by another": "other", "by its namesake": "victim"} {
		t.Run(name, func(t *testing.T) {
			table := newLiveTable(t)
			first := startIdle(t, table, "victim", "first")
			require.NoError(t, table.Prime())
			first.outgrow(t)
			seen := killed(first.key.PID, "victim")
			require.Eventually(t, func() bool { return time.Since(seen.Time) > 2*procstat.RecordLag }, patience, time.Millisecond)
			table.Lookup(first.key.PID) // after the event
			unseen := killed(first.key.PID, "victim")
			first.end()
			second := rebirth(t, table, first, command)
			second.outgrow(t)
			last := killed(second.key.PID, command)

			table.Fill(last)
			require.NotNil(t, last.Targets[0].Instance)
			assert.Equal(t, BootTime().Add(second.key.Start), last.Targets[0].Instance.Start)
			assert.NotContains(t, last.Targets[0].Instance.CommandLine, "first")

			table.Fill(seen)
			require.NotNil(t, seen.Targets[0].Instance)
			assert.Contains(t, seen.Targets[0].Instance.CommandLine, "first")

			table.Fill(unseen)
			assert.Nil(t, unseen.Targets[0].Instance, "a third may have had the pid between them")

			instance, _ := table.Identify(first.key, CgroupID{})
			assert.Same(t, seen.Targets[0].Instance, instance)
			instance, _ = table.Identify(second.key, CgroupID{})
			assert.Same(t, last.Targets[0].Instance, instance)
			who, ok := table.Lookup(second.key.PID)
			require.True(t, ok)
			assert.Equal(t, second.key, who.Key)
		})
	}
}

func TestBootTime(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("/proc/stat")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(data), "\nbtime ")
	seconds, _, _ := strings.Cut(rest, "\n")
	btime, err := strconv.ParseInt(seconds, 10, 64)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Unix(btime, 0), BootTime(), 2*time.Second)
	assert.Equal(t, time.UTC, BootTime().Location())
	assert.Zero(t, BootTime().Nanosecond()%int(time.Millisecond))
	assert.WithinDuration(t, time.Now(), BootTime().Add(SinceBoot()), time.Second)
}

// makeCgroup makes a control group in the hierarchy that the kernel side of the ebpf source
// prefers, and returns its id.
func makeCgroup(t *testing.T, table *Table) (folder, path string, id CgroupID) {
	t.Helper()
	audittest.Privileged(t)
	for hierarchy, mount := range table.cgroups.mounts {
		path := "/auditkill-test-" + strconv.Itoa(os.Getpid())
		if err := os.Mkdir(mount+path, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { assert.NoError(t, os.Remove(mount+path)) })
		inode, _, ok := inodeOf(mount + path)
		require.True(t, ok)
		return mount + path, path, CgroupID{Hierarchy: hierarchy, ID: inode}
	}
	t.Skip("SKIPPED, THOUGH IT MATTERS: making a control group takes root and a cgroup file system")
	return "", "", CgroupID{}
}

func TestControlGroupsOfTheKernel(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	p := startIdle(t, table, "moved")
	require.NoError(t, table.Prime())
	before, _ := table.Identify(p.key, CgroupID{})
	folder, path, id := makeCgroup(t, table)

	elsewhere := startIdle(t, table, "elsewhere")
	lost, _ := table.Identify(elsewhere.key, id)
	assert.NotEqual(t, path, lost.Cgroup, "the process is not in it, so its path is not known")

	require.NoError(t, os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(p.key.PID)), 0))
	moved, executable := table.Identify(p.key, id)
	assert.Equal(t, path, moved.Cgroup)
	assert.Equal(t, before.CommandLine, moved.CommandLine)
	assert.Equal(t, p.executable, executable)

	primed := newLiveTable(t)
	require.NoError(t, primed.Prime())
	if found := primed.cgroups.find(id); assert.NotNil(t, found) {
		assert.Equal(t, path, found.path)
	}
	p.end()
}

func TestSignalToADeadProcessThatIsNotReaped(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	p := startIdle(t, table, "zombie")
	require.NoError(t, p.Process.Signal(syscall.SIGKILL))
	require.Eventually(t, func() bool {
		who, ok := table.Lookup(p.key.PID)
		return ok && who.Key == p.key && who.Command == "zombie"
	}, patience, time.Millisecond)
}

func TestLives(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	child := exec.Command("sleep", "600")
	require.NoError(t, child.Start())
	pid := child.Process.Pid
	known, ok := table.Lookup(pid)
	require.True(t, ok)
	assert.True(t, table.Lives(known.Key))
	assert.False(t, table.Lives(Key{PID: pid, Start: known.Start - procstat.Tick}), "who bore the pid before")
	require.NoError(t, child.Process.Kill())
	require.Eventually(t, func() bool { return !table.Lives(known.Key) }, 20*time.Second, 5*time.Millisecond, "a zombie has ended")
	require.Error(t, child.Wait())
	assert.False(t, table.Lives(known.Key))
}

// A process that cannot be seen does not count as ended.
func TestLivesUnseen(t *testing.T) {
	t.Parallel()
	table := NewTable(Config{Root: t.TempDir()})
	assert.True(t, table.Lives(Key{PID: os.Getpid()}))
	table = newLiveTable(t)
	hidden := t.TempDir()
	table.proc.path = hidden
	assert.True(t, table.Lives(Key{PID: os.Getpid()}), "as with hidepid")
	require.NoError(t, os.Mkdir(hidden+"/1", 0o700))
	assert.False(t, table.Lives(Key{PID: os.Getpid()}))
	require.NoError(t, os.WriteFile(fmt.Sprint(hidden, "/", os.Getpid()), nil, 0o600))
	assert.True(t, table.Lives(Key{PID: os.Getpid()}), "it cannot be opened")
}

// TestCompleteOnlyWhatWasThere asks for a process at a time at which another one had its pid.
func TestCompleteOnlyWhatWasThere(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	running := startIdle(t, table, "systemctl")
	for age, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		p := kill.Process{PID: running.key.PID}
		assert.Equal(t, want, newLiveTable(t).Complete(&p, time.Now().Add(-age)), age)
	}
}

// The births of a busy host are all of pids that were given out, or no process that has ended could be told from one that
// follows it.
func TestSnapshotsOfABusyHost(t *testing.T) {
	t.Parallel()
	table := newLiveTable(t)
	idle, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for range 3 {
		busy.Go(func() {
			for idle.Err() == nil {
				_ = exec.CommandContext(idle, "true").Run()
			}
		})
	}
	const looks = 2000
	doubtful := 0
	for range looks {
		from := table.snapshot()
		time.Sleep(time.Millisecond)
		if to := table.snapshot(); from.cursor <= to.cursor && mayBeNew(0, from, to) {
			doubtful++
		}
	}
	stop()
	busy.Wait()
	assert.LessOrEqual(t, doubtful, looks/400, "of %d", looks)
}
