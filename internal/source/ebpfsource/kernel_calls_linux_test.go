// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// pidfdOfThread is PIDFD_THREAD (include/uapi/linux/pidfd.h).
const pidfdOfThread = syscall.O_EXCL

func TestSixCalls(t *testing.T) {
	w := start(t, nil)
	target := help(t, "target", nil)
	var other int
	target.read(&other)
	sender := help(t, "sender", nil)
	tests := map[string]struct {
		order
		scope     kill.Scope
		code      string
		requested int
		thread    int // that is signaled
	}{
		"kill":              {order{call: "kill", signal: 1}, kill.ScopeProcess, "SI_USER", target.pid, target.pid},
		"tkill":             {order{call: "tkill", signal: 2}, kill.ScopeThread, "SI_TKILL", other, other},
		"tgkill":            {order{call: "tgkill", signal: 3}, kill.ScopeThread, "SI_TKILL", target.pid, other},
		"rt_sigqueueinfo":   {order{call: "rt_sigqueueinfo", signal: 15}, kill.ScopeProcess, "SI_QUEUE", target.pid, target.pid},
		"rt_tgsigqueueinfo": {order{call: "rt_tgsigqueueinfo", signal: 24}, kill.ScopeThread, "SI_QUEUE", target.pid, other},
		"pidfd_send_signal": {order{call: "pidfd_send_signal", signal: 25}, kill.ScopeProcess, "SI_USER", 0, target.pid},
	}
	threads := make(map[int]bool)
	for call, tt := range tests {
		t.Run(call, func(t *testing.T) {
			tt.pid = target.pid
			if tt.thread == other {
				tt.order.thread = other
			}
			before := time.Now()
			thread, errno := sender.send(tt.order)
			require.Zero(t, errno)
			threads[thread] = true
			e := w.find(t, byThread(thread))
			assert.Equal(t, told{
				Kind: kill.KindSignal, Signal: kill.Signal(tt.signal), Syscall: call, Origin: kill.OriginUser, Scope: tt.scope,
				Delivery: kill.DeliveryDelivered, Code: tt.code, Requested: tt.requested, Sender: sender.pid, SenderThread: thread,
				Targets: []int{target.pid}, Threads: []int{tt.thread}, Count: 1, Complete: true,
			}, tell(e))
			assert.Equal(t, "ebpf", e.Source)
			assert.WithinRange(t, e.Time, before.Add(-time.Second), time.Now().Add(time.Second))
			assert.Equal(t, os.Getpid(), e.Sender.ParentPID)
			assert.Equal(t, os.Getpid(), e.Sender.Ancestry[0].PID)
			assert.Equal(t, kill.User{ID: kill.NewID(0)}, e.Sender.User)
			assert.Equal(t, kill.User{ID: kill.NewID(0)}, e.Targets[0].User)
			if tt.thread == other {
				assert.Equal(t, threadName[:15], e.Targets[0].Command)
			}
			assert.Equal(t, "a target", e.Targets[0].Leader)
		})
	}
	assert.Len(t, threads, len(tests), "each by a thread of its own")
}

func TestPidfdFlags(t *testing.T) {
	w := start(t, nil)
	target := help(t, "target", nil)
	var other int
	target.read(&other)
	sender := help(t, "sender", nil)
	for name, tt := range map[string]struct {
		order
		scope  kill.Scope
		thread int
	}{
		"a process":               {order{}, kill.ScopeProcess, target.pid},
		"of a thread":             {order{thread: other, pidfdOfThere: pidfdOfThread}, kill.ScopeThread, other},
		"as a thread":             {order{flags: pidfdThread}, kill.ScopeThread, target.pid},
		"of a thread, as process": {order{thread: other, pidfdOfThere: pidfdOfThread, flags: 2}, kill.ScopeProcess, other},
	} {
		t.Run(name, func(t *testing.T) {
			tt.call, tt.pid, tt.signal = "pidfd_send_signal", target.pid, 1
			thread, errno := sender.send(tt.order)
			if errno == syscall.EINVAL {
				audittest.Skip(t, "this kernel is older than pidfds of threads (6.9)")
			}
			require.Zero(t, errno)
			e := w.find(t, byThread(thread))
			assert.Equal(t, tt.scope, e.Scope)
			assert.Equal(t, []int{target.pid}, tell(e).Targets)
			assert.Equal(t, []int{tt.thread}, tell(e).Threads)
		})
	}
}

// 32-bit programs make the calls by other numbers.
func TestCallsOf32Bits(t *testing.T) {
	w := start(t, nil)
	for name, build := range map[string]func(*testing.T, []byte) string{
		"a program of 32 bits": program32, "a program of 64 bits": program64,
	} {
		t.Run(name, func(t *testing.T) {
			target := sleeper(t)
			c := command(build(t, kill32(target, kill.SIGTERM)))
			err := c.Run()
			if c.ProcessState == nil || !c.ProcessState.Success() {
				audittest.Skip(t, "this kernel runs no programs of 32 bits (CONFIG_IA32_EMULATION): %v", err)
			}
			e := w.find(t, to(target, kill.SIGTERM))
			assert.Equal(t, told{
				Kind: kill.KindSignal, Signal: kill.SIGTERM, Syscall: "kill", Origin: kill.OriginUser, Scope: kill.ScopeProcess,
				Delivery: kill.DeliveryDelivered, Code: "SI_USER", Requested: target, Sender: c.ProcessState.Pid(),
				SenderThread: c.ProcessState.Pid(), Targets: []int{target}, Threads: []int{target}, Count: 1, Complete: true,
			}, tell(e))
			group := command(build(t, kill32(-target, kill.SIGTERM)))
			require.NoError(t, group.Run())
			failed := w.find(t, by(group.ProcessState.Pid()))
			assert.Equal(t, "ESRCH", failed.Result.Error)
			assert.Equal(t, kill.ScopeProcessGroup, failed.Scope)
			assert.Equal(t, target, failed.Requested)
		})
	}
}

// The result of a signal is reported.
func TestDeliveries(t *testing.T) {
	const realtime kill.Signal = 40
	w := start(t, func(s *Settings) { s.Signals = append(s.Signals, realtime) })
	send := func(t *testing.T, signal kill.Signal, target int) *kill.Event {
		t.Helper()
		sender := help(t, "sender", nil)
		thread, errno := sender.send(order{call: "kill", pid: target, signal: int(signal)})
		require.Zero(t, errno)
		return w.find(t, byThread(thread))
	}
	t.Run("ignored", func(t *testing.T) {
		target := run(t, exec.Command("sh", "-c", "trap '' TERM; exec sleep 1000"))
		awaitCommand(t, target, "sleep")
		assert.Equal(t, kill.DeliveryIgnored, send(t, kill.SIGTERM, target).Delivery)
	})
	t.Run("already pending", func(t *testing.T) {
		target := sleeper(t)
		send(t, kill.SIGSTOP, target)
		awaitState(t, target, "T")
		assert.Equal(t, kill.DeliveryDelivered, send(t, kill.SIGTERM, target).Delivery)
		assert.Equal(t, kill.DeliveryPending, send(t, kill.SIGTERM, target).Delivery)
	})
	t.Run("a zombie", func(t *testing.T) {
		c := exec.Command("true")
		require.NoError(t, c.Start())
		awaitState(t, c.Process.Pid, "Z")
		e := send(t, kill.SIGTERM, c.Process.Pid)
		require.NoError(t, c.Wait())
		assert.Equal(t, kill.DeliveryIgnored, e.Delivery)
		assert.True(t, e.Result.Succeeded())
		assert.Equal(t, "true", e.Targets[0].Command)
		assert.Equal(t, "true", e.Targets[0].Instance.CommandLine)
	})
	t.Run("no room in the queue", func(t *testing.T) {
		target := sleeper(t)
		require.NoError(t, unix.Prlimit(target, unix.RLIMIT_SIGPENDING, &unix.Rlimit{}, nil))
		sender := help(t, "sender", nil)
		thread, errno := sender.send(order{call: "rt_sigqueueinfo", pid: target, signal: int(realtime)})
		assert.Equal(t, syscall.EAGAIN, errno)
		full := w.find(t, byThread(thread))
		assert.Equal(t, kill.DeliveryOverflow, full.Delivery)
		assert.Equal(t, "EAGAIN", full.Result.Error)
		assert.Equal(t, []int{target}, tell(full).Targets)
		thread, errno = sender.send(order{call: "rt_sigqueueinfo", pid: target, signal: int(kill.SIGTERM)})
		require.Zero(t, errno, "a classic signal needs no room")
		assert.Equal(t, kill.DeliveryWithoutInfo, w.find(t, byThread(thread)).Delivery)
		w.none(t, func(e *kill.Event) bool { return byThread(full.Sender.ThreadID)(e) && e != full })
	})
}
