// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() {
	roles["headless"] = beHeadless
	if os.Getenv(roleVariable) == "headless" {
		runtime.LockOSThread() // so that what ends is the first thread
	}
}

// beHeadless ends its first thread, and the others when it is asked to.
func beHeadless([]string) {
	signal.Ignore(syscall.SIGHUP)
	check(os.WriteFile("/proc/self/comm", []byte("headless"), 0))
	go func() {
		fmt.Println("ready") //nolint:forbidigo // this is how it answers
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(5)
	}()
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 3, 0, 0)
}

// exiting is a process whose end is reported.
type exiting struct {
	*exec.Cmd
	in io.WriteCloser
}

// ready starts a script, which runs no longer than the test, and waits until it prints something.
func ready(t *testing.T, script string, arguments ...string) *exiting {
	t.Helper()
	x := &exiting{Cmd: exec.Command("sh", append([]string{"-c", script}, arguments...)...)} //nolint:gosec // the test's own script
	x.begin(t)
	if strings.Contains(script, "trap") { // a shell does not notice a signal that comes right before it begins to read
		awaitState(t, x.pid(), "S")
	}
	return x
}

func (x *exiting) begin(t *testing.T) {
	t.Helper()
	out, err := x.StdoutPipe()
	require.NoError(t, err)
	x.in, err = x.StdinPipe()
	require.NoError(t, err)
	begun := x.Start()
	require.NoError(t, begun)
	t.Cleanup(func() {
		_ = x.Process.Kill()
		_ = x.Wait()
	})
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
}

func (x *exiting) pid() int { return x.Process.Pid }

// status waits for the end, and returns what the kernel reports to the parent.
func (x *exiting) status(t *testing.T) syscall.WaitStatus {
	t.Helper()
	_ = x.Wait() // it is no failure that it was killed
	status, ok := x.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	return status
}

// startExits is start with the ends of processes reported.
func startExits(t *testing.T) *watch {
	t.Helper()
	return start(t, func(s *Settings) { s.FollowFor = time.Minute })
}

// endOf matches the end of a process.
func endOf(pid int) func(*kill.Event) bool {
	return func(e *kill.Event) bool { return e.Kind == endKind && e.Targets[0].PID == pid }
}

// send makes another process send a signal to the process.
func (w *watch) send(t *testing.T, pid int, signals ...kill.Signal) {
	t.Helper()
	for _, s := range signals {
		_, errno := w.fencing.send(order{call: "kill", pid: pid, signal: int(s)})
		require.Zero(t, errno)
	}
}

// end waits until the end of a process is reported, which must be the last thing that is reported
// about it, and checks that it is what the parent sees.
func (w *watch) end(t *testing.T, x *exiting) *kill.Event {
	t.Helper()
	status := x.status(t)
	e := w.find(t, endOf(x.pid()))
	assert.Equal(t, int(status), e.Outcome.Exit.Status)
	all := w.all(toAny(x.pid()))
	assert.Same(t, e, all[len(all)-1])
	for _, struck := range all {
		assert.False(t, e.Time.Before(struck.Time))
		assert.Equal(t, struck.Targets[0].Instance.SinceBoot, e.Targets[0].Instance.SinceBoot)
	}
	assert.WithinDuration(t, time.Now(), e.Time, limit)
	return e
}

func TestEndsOfProcesses(t *testing.T) {
	w := startExits(t)
	t.Run("killed", func(t *testing.T) {
		x := ready(t, "echo; exec sleep 1000")
		awaitCommand(t, x.pid(), "sleep")
		w.send(t, x.pid(), kill.SIGTERM)
		e := w.end(t, x)
		assert.Equal(t, kill.VerdictKilled, e.Outcome.Exit.Verdict())
		assert.Equal(t, kill.SIGTERM, e.Outcome.Exit.Signal())
		assert.Equal(t, "sleep", e.Targets[0].Command)
	})
	t.Run("takes its time, and exits", func(t *testing.T) {
		x := ready(t, `trap 'sleep 0.3; exit 3' TERM; echo; read x`)
		w.send(t, x.pid(), kill.SIGTERM)
		e := w.end(t, x)
		assert.Equal(t, kill.VerdictExited, e.Outcome.Exit.Verdict())
		assert.Equal(t, 3, e.Outcome.Exit.Code())
		assert.Greater(t, e.Time.Sub(w.find(t, to(x.pid(), kill.SIGTERM)).Time), 250*time.Millisecond)
	})
	t.Run("by another signal than the first", func(t *testing.T) {
		x := ready(t, `trap '' TERM; echo; exec sleep 1000`)
		w.send(t, x.pid(), kill.SIGTERM, kill.SIGKILL)
		assert.Equal(t, kill.SIGKILL, w.end(t, x).Outcome.Exit.Signal())
	})
	t.Run("with a core file", func(t *testing.T) { testCoreFile(t, w) })
	t.Run("a zombie", func(t *testing.T) { testZombie(t, w) })
	t.Run("stopped", func(t *testing.T) {
		x := ready(t, `echo; exec sleep 1000`)
		awaitCommand(t, x.pid(), "sleep")
		w.send(t, x.pid(), kill.SIGSTOP)
		awaitState(t, x.pid(), "T")
		w.send(t, x.pid(), kill.SIGTERM)
		w.none(t, endOf(x.pid()))
		w.send(t, x.pid(), kill.Signal(syscall.SIGCONT))
		assert.Equal(t, kill.SIGTERM, w.end(t, x).Outcome.Exit.Signal())
	})
	t.Run("as another program", func(t *testing.T) {
		x := ready(t, `trap 'exec sleep 1000' TERM; echo; read x`)
		w.send(t, x.pid(), kill.SIGTERM)
		awaitCommand(t, x.pid(), "sleep")
		w.send(t, x.pid(), kill.SIGKILL)
		assert.Equal(t, "sleep", w.end(t, x).Targets[0].Command)
		assert.Equal(t, "sh", w.find(t, to(x.pid(), kill.SIGTERM)).Targets[0].Command)
	})
	t.Run("its first thread before", func(t *testing.T) { testHeadless(t, w) })
	t.Run("never struck", func(t *testing.T) {
		x := ready(t, `echo; exec true`)
		assert.Zero(t, x.status(t))
		w.none(t, endOf(x.pid()))
	})
	t.Run("not struck fatally", func(t *testing.T) {
		x := ready(t, `echo; read x`)
		w.send(t, x.pid(), kill.SIGSTOP, kill.Signal(syscall.SIGCONT))
		require.NoError(t, x.in.Close())
		x.status(t)
		w.none(t, endOf(x.pid()))
	})
	t.Run("out of memory", func(t *testing.T) {
		group := newMemoryGroup(t, 16<<20)
		x := ready(t, `echo $$ > "$0/cgroup.procs" && echo && exec tail /dev/zero`, group.folder)
		assert.Equal(t, kill.SIGKILL, w.end(t, x).Outcome.Exit.Signal())
		assert.Equal(t, kill.CauseOOM, w.find(t, to(x.pid(), kill.SIGKILL)).Cause)
	})
	t.Run("struck before the collector was started", func(t *testing.T) { testFollow(t, w) })
	t.Run("used pids", func(t *testing.T) { testEndsOfUsedPids(t, w) })
}

func testCoreFile(t *testing.T, w *watch) {
	t.Helper()
	x := ready(t, `ulimit -c unlimited; cd "$0"; echo; exec sleep 1000`, t.TempDir())
	awaitCommand(t, x.pid(), "sleep")
	w.send(t, x.pid(), kill.SIGQUIT)
	e := w.end(t, x)
	if pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern"); e.Outcome.Exit.Verdict() == kill.VerdictKilled {
		audittest.Skip(t, "this host keeps no core files (kernel.core_pattern: %s)", pattern)
	}
	assert.Equal(t, kill.VerdictCoreDumped, e.Outcome.Exit.Verdict())
	assert.Equal(t, kill.SIGQUIT, e.Outcome.Exit.Signal())
}

// A process has ended when it dies, not when its parent takes notice.
func testZombie(t *testing.T, w *watch) {
	t.Helper()
	x := ready(t, `echo; exec sleep 1000`)
	w.send(t, x.pid(), kill.SIGTERM)
	e := w.find(t, endOf(x.pid()))
	awaitState(t, x.pid(), "Z")
	w.send(t, x.pid(), kill.SIGKILL)
	late := w.find(t, to(x.pid(), kill.SIGKILL))
	assert.True(t, e.Time.Before(late.Time))
	assert.Equal(t, int(x.status(t)), e.Outcome.Exit.Status)
	w.none(t, func(again *kill.Event) bool { return endOf(x.pid())(again) && again != e })
}

func testHeadless(t *testing.T, w *watch) {
	t.Helper()
	headless := func(t *testing.T) *exiting {
		t.Helper()
		x := &exiting{Cmd: exec.Command("/proc/self/exe")}
		x.Env = append(os.Environ(), roleVariable+"=headless")
		x.begin(t)
		awaitState(t, x.pid(), "Z") // its first thread
		return x
	}
	t.Run("killed", func(t *testing.T) {
		x := headless(t)
		w.send(t, x.pid(), kill.SIGKILL)
		e := w.end(t, x)
		assert.Equal(t, kill.SIGKILL, e.Outcome.Exit.Signal())
		assert.Equal(t, "headless", e.Targets[0].Command)
	})
	t.Run("exits", func(t *testing.T) {
		x := headless(t)
		w.send(t, x.pid(), kill.SIGHUP)
		_, err := io.WriteString(x.in, "end\n")
		require.NoError(t, err)
		assert.Equal(t, 5, w.end(t, x).Outcome.Exit.Code())
	})
}

// startOf returns when a process was created, according to /proc.
func startOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat := statOf(pid)
	require.NotEmpty(t, stat)
	ticks, err := strconv.Atoi(stat[19])
	require.NoError(t, err)
	return time.Duration(ticks) * tick
}

func testFollow(t *testing.T, w *watch) {
	t.Helper()
	x := ready(t, `echo; read x; exit 4`)
	w.watch(x.pid(), startOf(t, x.pid()))
	another := ready(t, `echo; read x`)
	w.watch(another.pid(), startOf(t, another.pid())-tick)
	require.NoError(t, another.in.Close())
	another.status(t)
	require.NoError(t, x.in.Close())
	assert.Equal(t, 4, w.end(t, x).Outcome.Exit.Code())
	w.none(t, endOf(another.pid()))
}

// A process that is given the pid of a signaled process was not signaled itself.
func testEndsOfUsedPids(t *testing.T, w *watch) {
	t.Helper()
	x := ready(t, `echo; exec sleep 1000`)
	w.send(t, x.pid(), kill.SIGTERM)
	e := w.end(t, x)
	if _, err := os.Stat("/proc/sys/kernel/ns_last_pid"); err != nil {
		audittest.Skip(t, "the kernel does not let pids be chosen (CONFIG_CHECKPOINT_RESTORE): %v", err)
	}
	require.Eventually(t, func() bool {
		return fork(t, fmt.Sprintf("echo %d > /proc/sys/kernel/ns_last_pid; %s; :", x.pid()-1, forks)) == x.pid()
	}, limit, time.Millisecond, "the pid is taken again")
	require.NoError(t, unix.Kill(x.pid(), unix.SIGKILL), "the source does not report what it sends itself")
	awaitEnd(t, x.pid())
	w.none(t, func(again *kill.Event) bool { return endOf(x.pid())(again) && again != e })
}

// crowd is how many are many: an emulated machine would take minutes for the usual number.
func crowd() int {
	if testing.Short() {
		return 50
	}
	return 500
}

// startCrowd starts a process that has started many others, all of them in a process
// group of their own.
func startCrowd(t *testing.T, change func(*exec.Cmd)) (leader int, members []int) {
	t.Helper()
	x := &exiting{Cmd: exec.Command("sh", "-c", `for i in $(seq "$0"); do sleep 1000 & done; echo; read x`, itoa(crowd()))} //nolint:gosec // a number
	x.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if change != nil {
		change(x.Cmd)
	}
	x.begin(t)
	members = childrenOf(t, x.pid())
	require.Len(t, members, crowd())
	t.Cleanup(func() { _ = unix.Kill(-x.pid(), unix.SIGKILL) })
	return x.pid(), members
}

// requireEnds waits for the ends of all members, and checks that each comes once, after the signal
// to it. That may be several events: on a busy machine the dying processes interrupt the kernel's
// loop.
func (w *watch) requireEnds(t *testing.T, members []int) {
	t.Helper()
	of := make(map[int]bool, len(members))
	for _, pid := range members {
		of[pid] = true
	}
	isEnd := func(e *kill.Event) bool { return e.Kind == endKind && of[e.Targets[0].PID] }
	missed := 0 // see programs.skipped
	require.Eventually(t, func() bool {
		missed = int(w.programs.skipped().reports)
		return len(w.all(isEnd))+missed >= len(members)
	}, limit, 10*time.Millisecond)
	ended := make(map[int]bool, len(members))
	struck := make(map[int]bool, len(members))
	for _, e := range w.all(func(*kill.Event) bool { return true }) {
		for i := range e.Targets {
			pid := e.Targets[i].PID
			switch {
			case !of[pid]:
			case e.Kind == endKind:
				assert.True(t, struck[pid])
				assert.False(t, ended[pid], "each once")
				assert.Equal(t, int(kill.SIGKILL), e.Outcome.Exit.Status)
				ended[pid] = true
			default:
				assert.False(t, struck[pid], "each once")
				assert.False(t, ended[pid])
				struck[pid] = true
			}
		}
	}
	assert.GreaterOrEqual(t, len(ended)+missed, len(members))
}

func TestManyEndAtOnce(t *testing.T) {
	w := startExits(t)
	t.Run("a process group", func(t *testing.T) {
		leader, members := startCrowd(t, nil)
		w.send(t, -leader, kill.SIGKILL)
		w.requireEnds(t, append(members, leader))
	})
	t.Run("one by one", func(t *testing.T) {
		_, members := startCrowd(t, nil)
		shell(t, `kill -KILL "$@"`, append([]any{"sh"}, toAnys(members)...)...)
		w.requireEnds(t, members)
	})
	t.Run("a control group", func(t *testing.T) {
		group := newCgroup(t, fmt.Sprintf("ebpfsource-test-%d", os.Getpid()))
		folder, err := os.Open(group.folder)
		require.NoError(t, err)
		defer folder.Close()
		leader, members := startCrowd(t, func(c *exec.Cmd) {
			c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(folder.Fd())
		})
		group.write(t, "cgroup.kill", 1)
		w.requireEnds(t, append(members, leader))
	})
	t.Run("a container", func(t *testing.T) {
		leader, members := startCrowd(t, func(c *exec.Cmd) { c.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID })
		w.send(t, leader, kill.SIGKILL)
		w.requireEnds(t, append(members, leader))
	})
}

func toAnys(pids []int) []any {
	anys := make([]any, len(pids))
	for i, pid := range pids {
		anys[i] = pid
	}
	return anys
}
