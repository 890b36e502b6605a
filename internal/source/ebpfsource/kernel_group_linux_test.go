// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// startGroup starts a process group whose first process has the smallest pid.
func startGroup(t *testing.T, members int) []int {
	t.Helper()
	var pids []int
	for range members {
		c := exec.Command("sleep", "1000")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if len(pids) > 0 {
			c.SysProcAttr.Pgid = pids[0]
		}
		pids = append(pids, run(t, c))
	}
	slices.Sort(pids)
	return pids
}

// leaderOf returns the id of the process group that a process is in.
func leaderOf(t *testing.T, pid int) int {
	t.Helper()
	id, err := unix.Getpgid(pid)
	require.NoError(t, err)
	return id
}

// testGroups signals groups in all ways, and checks that each call is one event.
func testGroups(t *testing.T, w *watch) {
	t.Helper()
	sender := help(t, "sender", &syscall.SysProcAttr{Setpgid: true})
	one := toldOfGroup(sender.pid)
	t.Run("a process group", func(t *testing.T) {
		members := startGroup(t, 3)
		leader := leaderOf(t, members[0])
		thread, errno := sender.send(order{call: "kill", pid: -leader, signal: 15})
		require.Zero(t, errno)
		e := w.find(t, byThread(thread))
		assert.Equal(t, one(15, kill.ScopeProcessGroup, leader, thread, members), tell(e))
	})
	t.Run("the own process group", func(t *testing.T) {
		member := exec.Command("sh", "-c", "trap '' HUP; exec sleep 1000")
		member.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: sender.pid}
		members := []int{sender.pid, run(t, member)}
		slices.Sort(members)
		awaitCommand(t, member.Process.Pid, "sleep")
		thread, errno := sender.send(order{call: "kill", pid: 0, signal: 1})
		require.Zero(t, errno)
		want := one(1, kill.ScopeOwnProcessGroup, 0, thread, members)
		want.Delivery = kill.DeliveryIgnored
		assert.Equal(t, want, tell(w.find(t, byThread(thread))))
	})
	t.Run("again and again", func(t *testing.T) {
		members := startGroup(t, 3)
		leader := leaderOf(t, members[0])
		for range 5 {
			thread, errno := sender.send(order{call: "kill", pid: -leader, signal: 19})
			require.Zero(t, errno)
			assert.Equal(t, members, tell(w.find(t, byThread(thread))).Targets)
		}
	})
	t.Run("a process group by pidfd", func(t *testing.T) {
		members := startGroup(t, 2)
		leader := leaderOf(t, members[0])
		thread, errno := sender.send(order{call: "pidfd_send_signal", pid: leader, signal: 15, flags: pidfdGroup})
		if errno == syscall.EINVAL {
			audittest.Skip(t, "this kernel is older than PIDFD_SIGNAL_PROCESS_GROUP (6.9)")
		}
		require.Zero(t, errno)
		want := one(15, kill.ScopeProcessGroup, 0, thread, members)
		want.Syscall = "pidfd_send_signal"
		assert.Equal(t, want, tell(w.find(t, byThread(thread))))
	})
}

// toldOfGroup returns what is reported of a sender's call to a group.
func toldOfGroup(sender int) func(kill.Signal, kill.Scope, int, int, []int) told {
	return func(signal kill.Signal, scope kill.Scope, requested, thread int, members []int) told {
		return told{
			Kind: kill.KindSignal, Signal: signal, Syscall: "kill", Origin: kill.OriginUser, Scope: scope,
			Delivery: kill.DeliveryDelivered, Code: "SI_USER", Requested: requested, Sender: sender, SenderThread: thread,
			Targets: members, Threads: members, Count: len(members), Complete: true,
		}
	}
}

func TestGroupCalls(t *testing.T) { testGroups(t, start(t, nil)) }

// The end of a call can be seen in three ways. Each shows groups and failures.
func TestEndsOfCalls(t *testing.T) {
	for _, way := range []callEnds{endsOfFunctions, endsOfSixCalls, endsOfAllCalls} {
		t.Run(string(way), func(t *testing.T) {
			needRoot(t)
			if way == endsOfSixCalls && os.Getenv(anew) == "" {
				mountTracefs(t)
				runAnew(t)
				return
			}
			if err := way.check(); err != nil {
				audittest.Skip(t, "this kernel does not permit it: %v", err)
			}
			w := startWith(t, way, nil)
			testGroups(t, w)
			t.Run("a failure", func(t *testing.T) {
				thread, errno := w.fencing.send(order{call: "kill", pid: nobodys, signal: 15})
				require.Equal(t, syscall.ESRCH, errno)
				assert.Equal(t, "ESRCH", w.find(t, byThread(thread)).Result.Error)
			})
			t.Run("a program of 32 bits", func(t *testing.T) {
				members := startGroup(t, 2)
				c := command(program32(t, kill32(-leaderOf(t, members[0]), kill.SIGTERM)))
				if err := c.Run(); err != nil {
					audittest.Skip(t, "this kernel runs no programs of 32 bits (CONFIG_IA32_EMULATION): %v", err)
				}
				e := w.find(t, by(c.ProcessState.Pid()))
				assert.Equal(t, members, tell(e).Targets)
				// The kernel leaves these out of its tracepoints (kernel/trace/trace_syscalls.c,
				// arch_trace_is_compat_syscall), so their ends never arrive.
				assert.Equal(t, way != endsOfSixCalls, e.Complete)
			})
			t.Run("a call that is no failure", func(t *testing.T) {
				target := sleeper(t)
				thread, errno := w.fencing.send(order{call: "kill", pid: target, signal: 15})
				require.Zero(t, errno)
				w.fence(t)
				assert.True(t, w.find(t, byThread(thread)).Result.Succeeded(), "reported once")
			})
		})
	}
}

// anew is set in a process that runs only one test.
const anew = "SIGNALTRACE_TEST_ANEW"

// runAnew runs the test in a process of its own, because a process finds out only once where tracefs is mounted.
func runAnew(t *testing.T) {
	t.Helper()
	name := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", name, "-test.v") //nolint:gosec // this program
	c.Env = append(os.Environ(), anew+"=1")
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	if strings.Contains(string(out), "SKIPPED") {
		audittest.Skip(t, "see above")
	}
}

// Without any of them, a group is complete after a pause or with the next call.
func TestEndsUnseen(t *testing.T) {
	testGroups(t, startWith(t, endsUnseen, func(s *Settings) { s.IncludeFailed = false }))
}

// mountTracefs mounts the file system of the tracepoints of system calls, until the test ends.
func mountTracefs(t *testing.T) {
	t.Helper()
	const folder = "/sys/kernel/tracing"
	if _, err := os.Stat(folder + "/events"); err == nil {
		return
	}
	if err := unix.Mount("tracefs", folder, "tracefs", 0, ""); err != nil {
		audittest.Skip(t, "tracefs cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(folder, unix.MNT_DETACH)) })
}

// In a container, kill(-1) signals all processes but the sender and the first one. The container's
// pids mean nothing on the host.
func TestKillAll(t *testing.T) {
	w := start(t, nil)
	sender := help(t, "sender", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	var inside []int
	for range 3 {
		_, pid := sender.send(order{call: "start"})
		inside = append(inside, int(pid))
	}
	members := childrenOf(t, sender.pid)
	require.Len(t, members, 3)
	assert.NotEqual(t, members, inside, "the pids of the container are others")
	thread, errno := sender.send(order{call: "kill", pid: -1, signal: 15})
	require.Zero(t, errno)
	assert.NotEmpty(t, thread)
	e := w.find(t, to(members[0], kill.SIGTERM))
	want := toldOfGroup(sender.pid)(15, kill.ScopeAll, 0, e.Sender.ThreadID, members)
	assert.Equal(t, want, tell(e))
	assert.Equal(t, os.Getpid(), e.Sender.ParentPID)

	// A single process is reported with its pid on the host, but the sender named the container's.
	_, pid := sender.send(order{call: "start"})
	members = childrenOf(t, sender.pid)
	target := members[len(members)-1]
	_, errno = sender.send(order{call: "kill", pid: int(pid), signal: 24})
	require.Zero(t, errno)
	e = w.find(t, to(target, kill.SIGXCPU))
	assert.Equal(t, int(pid), e.Requested)
	assert.NotEqual(t, int(pid), target)
	_, errno = sender.send(order{call: "kill", pid: nobodys, signal: 24})
	require.Equal(t, syscall.ESRCH, errno)
	failed := w.find(t, func(e *kill.Event) bool { return by(sender.pid)(e) && e.Result.Failed() })
	assert.Empty(t, failed.Targets)
	assert.Equal(t, nobodys, failed.Requested)
}
