// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// byKernel is what is reported of a signal of the kernel to one process.
func byKernel(signal kill.Signal, target int) told {
	return told{
		Kind: kill.KindSignal, Signal: signal, Origin: kill.OriginKernel, Scope: kill.ScopeProcess,
		Delivery: kill.DeliveryDelivered, Targets: []int{target}, Threads: []int{target}, Count: 1, Complete: true,
	}
}

// byKernelToMany is what is reported of a loop in the kernel, whose targets are in order.
func byKernelToMany(signal kill.Signal, targets []int) told {
	t := byKernel(signal, 0)
	t.Scope, t.Targets, t.Threads, t.Count = kill.ScopeUnknown, targets, targets, len(targets)
	return t
}

// prompted adds the process that was running when it was sent.
func (t told) prompted(process, thread int) told {
	t.Sender, t.SenderThread = process, thread
	return t
}

// because adds the cause.
func (t told) because(cause kill.Cause) told {
	t.Cause = cause
	return t
}

// abends matches the report of a crash.
func abends(pid int) func(*kill.Event) bool {
	return func(e *kill.Event) bool { return e.Kind == kill.KindAbend && toAny(pid)(e) }
}

func TestWhatTheKernelSends(t *testing.T) {
	w := start(t, nil)
	t.Run("out of memory", func(t *testing.T) { testOOMKiller(t, w) })
	t.Run("cgroup.kill", func(t *testing.T) { testCgroupKill(t, w) })
	t.Run("the end of a container", func(t *testing.T) { testEndOfAContainer(t, w) })
	t.Run("faults", func(t *testing.T) { testFaults(t, w) })
	t.Run("abort", func(t *testing.T) { testAbort(t, w) })
	t.Run("seccomp", func(t *testing.T) { testSeccomp(t, w) })
	t.Run("no faults", func(t *testing.T) { testNoFaults(t, w) })
}

func testOOMKiller(t *testing.T, w *watch) {
	t.Helper()
	group := newMemoryGroup(t, 16<<20)
	var pid int
	var e *kill.Event
	for range 5 { // the kernel may be interrupted between its kill and naming the victim, for longer than oomWindow
		pid = run(t, command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec tail /dev/zero`, group.folder))
		if e = w.find(t, to(pid, kill.SIGKILL)); e.Cause == kill.CauseOOM {
			break
		}
	}
	want := byKernel(kill.SIGKILL, pid)
	want.Cause = kill.CauseOOM
	assert.Equal(t, want, tell(e))
	assert.Equal(t, kill.Process{}, e.Sender, "the process that needed memory is not the killer")
	assert.Equal(t, "tail", e.Targets[0].Command)
	assert.Equal(t, "tail\x00/dev/zero", e.Targets[0].Instance.CommandLine)
	assert.Equal(t, group.path, e.Targets[0].Instance.Cgroup)
}

// undisturbed kills several processes at once until the kernel does it in one go, at most five times: where
// something has interrupted its loop for longer than loopWindow, the rest is an event of its own.
func undisturbed(t *testing.T, w *watch, killSeveral func() []int) (*kill.Event, []int) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		members := killSeveral()
		e := w.find(t, to(members[0], kill.SIGKILL))
		if len(e.Targets) == len(members) || attempt == 5 {
			return e, members
		}
		for _, member := range members {
			w.find(t, to(member, kill.SIGKILL))
		}
		t.Logf("the kernel was interrupted while it killed %v", members)
	}
}

func testCgroupKill(t *testing.T, w *watch) {
	t.Helper()
	group := newCgroup(t, fmt.Sprintf("ebpfsource-test-%d", os.Getpid()))
	if _, err := os.Stat(group.folder + "/cgroup.kill"); err != nil {
		audittest.Skip(t, "this kernel is older than cgroup.kill (5.14)")
	}
	var writer *exec.Cmd
	e, members := undisturbed(t, w, func() []int {
		members := []int{
			group.start(t, exec.Command("sleep", "1000")), group.start(t, exec.Command("sleep", "1000")),
		}
		writer = command("sh", "-c", `echo 1 > "$0/cgroup.kill"`, group.folder)
		require.NoError(t, writer.Run())
		slices.Sort(members)
		return members
	})
	sender := writer.ProcessState.Pid()
	assert.Equal(t, byKernelToMany(kill.SIGKILL, members).because(kill.CauseCgroupKill).prompted(sender, sender), tell(e))
	assert.Equal(t, &kill.Trigger{Cgroup: group.path}, e.Trigger)
	assert.Equal(t, "sh", e.Sender.Command)
	assert.Equal(t, "sh\x00-c\x00echo 1 > \"$0/cgroup.kill\"\x00"+group.folder, e.Sender.Instance.CommandLine)
	for i := range e.Targets {
		assert.Equal(t, group.path, e.Targets[i].Instance.Cgroup)
	}
}

// The end of a container's first process ends all others.
func testEndOfAContainer(t *testing.T, w *watch) {
	t.Helper()
	var pid int
	e, members := undisturbed(t, w, func() []int {
		first := exec.Command("sh", "-c", "sleep 1000 & sleep 1000 & read x")
		first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		in, err := first.StdinPipe()
		require.NoError(t, err)
		pid = run(t, first)
		var members []int
		require.Eventually(t, func() bool {
			members = childrenOf(t, pid)
			return len(members) == 2
		}, limit, time.Millisecond)
		for _, member := range members {
			awaitCommand(t, member, "sleep")
		}
		require.NoError(t, in.Close())
		return members
	})
	assert.Equal(t, byKernelToMany(kill.SIGKILL, members).because(kill.CausePIDNamespaceEnd).prompted(pid, pid), tell(e))
	for i := range e.Targets {
		assert.Equal(t, "sleep\x001000", e.Targets[i].Instance.CommandLine)
	}
}

// A crash is reported twice: that the kernel sent a signal, and that the process died of it.
func testFaults(t *testing.T, w *watch) {
	t.Helper()
	for name, tt := range map[string]struct {
		code      []byte
		signal    kill.Signal
		codeName  string
		delivered kill.Delivery
		trigger   *kill.Trigger
	}{
		"a bad address":       {segfault, kill.SIGSEGV, "SEGV_MAPERR", kill.DeliveryDelivered, at(0)},
		"a division by zero":  {division, kill.SIGFPE, "FPE_INTDIV", kill.DeliveryDelivered, at(entry64 + 4)},
		"no such instruction": {noCode, kill.SIGILL, "ILL_ILLOPN", kill.DeliveryDelivered, at(entry64)},
		"general protection":  {halts, kill.SIGSEGV, "SI_KERNEL", kill.DeliveryDelivered, nil},
	} {
		t.Run(name, func(t *testing.T) {
			program := command(program64(t, tt.code), "an argument")
			require.Error(t, program.Run())
			pid := program.ProcessState.Pid()
			want := byKernel(tt.signal, pid)
			want.Cause, want.Code = kill.CauseCrash, tt.codeName
			e := w.find(t, to(pid, tt.signal))
			assert.Equal(t, want, tell(e))
			assert.Equal(t, kill.Process{}, e.Sender)
			assert.Equal(t, tt.trigger, e.Trigger)
			want.Kind, want.Delivery = kill.KindAbend, kill.DeliveryUnknown
			e = w.find(t, abends(pid))
			assert.Equal(t, want, tell(e))
			assert.Equal(t, program.Path, e.Targets[0].Executable)
			assert.Equal(t, program.Path+"\x00an argument", e.Targets[0].Instance.CommandLine)
		})
	}
}

func testAbort(t *testing.T, w *watch) {
	t.Helper()
	program := command(program64(t, aborts))
	require.Error(t, program.Run())
	pid := program.ProcessState.Pid()
	assert.Equal(t, told{
		Kind: kill.KindSignal, Signal: kill.SIGABRT, Syscall: "tgkill", Origin: kill.OriginUser, Scope: kill.ScopeThread,
		Delivery: kill.DeliveryDelivered, Code: "SI_TKILL", Requested: pid, Sender: pid, SenderThread: pid,
		Targets: []int{pid}, Threads: []int{pid}, Count: 1, Complete: true,
	}, tell(w.find(t, to(pid, kill.SIGABRT))))
	want := byKernel(kill.SIGABRT, pid)
	want.Kind, want.Delivery, want.Cause, want.Code = kill.KindAbend, kill.DeliveryUnknown, kill.CauseCrash, "SI_TKILL"
	assert.Equal(t, want, tell(w.find(t, abends(pid))))
}

func testSeccomp(t *testing.T, w *watch) {
	t.Helper()
	forbidden := help(t, "forbid", nil)
	want := byKernel(kill.SIGSYS, forbidden.pid)
	want.Cause, want.Code = kill.CauseSeccomp, "SYS_SECCOMP"
	e := w.find(t, to(forbidden.pid, kill.SIGSYS))
	want.Threads = []int{e.Targets[0].ThreadID} // any of the runtime's
	assert.Equal(t, want, tell(e))
	want.Kind, want.Delivery = kill.KindAbend, kill.DeliveryUnknown
	assert.Equal(t, want, tell(w.find(t, abends(forbidden.pid))))
}

// Programs that handle their faults have not crashed, and a signal that a process sends is no fault.
func testNoFaults(t *testing.T, w *watch) {
	t.Helper()
	recovering := help(t, "recover", nil)
	awaitState(t, recovering.pid, "Z")
	w.none(t, toAny(recovering.pid))

	victim := sleeper(t)
	_, errno := w.fencing.send(order{call: "kill", pid: victim, signal: int(kill.SIGSEGV)})
	require.Zero(t, errno)
	e := w.find(t, to(victim, kill.SIGSEGV))
	assert.Equal(t, kill.OriginUser, e.Origin)
	assert.Equal(t, kill.CauseNone, e.Cause)
	assert.Equal(t, "SI_USER", w.find(t, abends(victim)).Code)
}
