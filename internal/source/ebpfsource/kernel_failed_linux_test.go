// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// nobodys is a pid that no process has: one more than the highest.
const nobodys = 4<<20 + 1

func TestFailures(t *testing.T) {
	w := start(t, nil)
	target := sleeper(t)
	others := leaderOf(t, startGroup(t, 2)[0])
	sender := help(t, "sender", unprivileged())
	tests := map[string]struct {
		order
		errno     syscall.Errno
		name      string
		scope     kill.Scope
		requested int
		targets   []int
		count     int
	}{
		"kill, EPERM": {
			order{call: "kill", pid: target, signal: 15}, syscall.EPERM, "EPERM", kill.ScopeProcess, target, []int{target}, 1,
		},
		"tkill, EPERM": {
			order{call: "tkill", thread: target, signal: 15}, syscall.EPERM, "EPERM", kill.ScopeThread, target, []int{target}, 1,
		},
		"tgkill, EPERM": {
			order{call: "tgkill", pid: target, thread: target, signal: 15},
			syscall.EPERM, "EPERM", kill.ScopeThread, target,
			[]int{target},
			1,
		},
		"rt_sigqueueinfo, EPERM": {
			order{call: "rt_sigqueueinfo", pid: target, signal: 15}, syscall.EPERM, "EPERM", kill.ScopeProcess, target, []int{target}, 1,
		},
		"rt_sigqueueinfo, forged": {
			order{call: "rt_sigqueueinfo", pid: target, signal: 15, forged: true},
			syscall.EPERM, "EPERM", kill.ScopeProcess, target,
			[]int{target},
			1,
		},
		"rt_tgsigqueueinfo, EPERM": {
			order{call: "rt_tgsigqueueinfo", pid: target, thread: target, signal: 15},
			syscall.EPERM, "EPERM", kill.ScopeThread, target,
			[]int{target},
			1,
		},
		"pidfd_send_signal, EPERM": {
			order{call: "pidfd_send_signal", pid: target, signal: 15}, syscall.EPERM, "EPERM", kill.ScopeProcess, 0, []int{target}, 1,
		},
		"pidfd_send_signal, EINVAL": {
			order{call: "pidfd_send_signal", pid: target, signal: 15, flags: 1 << 30},
			syscall.EINVAL, "EINVAL", kill.ScopeProcess, 0, nil, 0,
		},
		"kill, ESRCH": {
			order{call: "kill", pid: nobodys, signal: 15}, syscall.ESRCH, "ESRCH", kill.ScopeProcess, nobodys, nil, 0,
		},
		"kill of a group, ESRCH": {
			order{call: "kill", pid: -nobodys, signal: 15}, syscall.ESRCH, "ESRCH", kill.ScopeProcessGroup, nobodys, nil, 0,
		},
		"kill of a group, EPERM": {
			order{call: "kill", pid: -others, signal: 15}, syscall.EPERM, "EPERM", kill.ScopeProcessGroup, others, nil, -1,
		},
		"tgkill of another's thread, ESRCH": {
			order{call: "tgkill", pid: sender.pid, thread: target, signal: 15},
			syscall.ESRCH, "ESRCH", kill.ScopeThread, sender.pid, nil, 0,
		},
		"tkill, EINVAL": {
			order{call: "tkill", thread: -5, signal: 15}, syscall.EINVAL, "EINVAL", kill.ScopeThread, 0, nil, 0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			thread, errno := sender.send(tt.order)
			require.Equal(t, tt.errno, errno)
			e := w.find(t, byThread(thread))
			want := told{
				Kind: kill.KindSignal, Signal: kill.SIGTERM, Syscall: tt.call, Origin: kill.OriginUser, Scope: tt.scope,
				Error: tt.name, Requested: tt.requested, Sender: sender.pid, SenderThread: thread,
				Targets: tt.targets, Threads: tt.targets, Count: tt.count, Complete: true,
			}
			assert.Equal(t, asOlderKernelsTell(t, want), tell(e))
			assert.Equal(t, kill.User{ID: kill.NewID(65534)}, e.Sender.User)
			for _, p := range e.Targets {
				assert.Equal(t, "sleep", p.Command)
				assert.Equal(t, "sleep\x001000", p.Instance.CommandLine)
				assert.Equal(t, kill.User{ID: kill.NewID(0)}, p.User)
			}
		})
	}
	t.Run("no such signal", func(t *testing.T) {
		thread, errno := sender.send(order{call: "kill", pid: target, signal: 65})
		require.Equal(t, syscall.EINVAL, errno)
		w.none(t, byThread(thread))
	})
	t.Run("signal 0 unless it is listed", func(t *testing.T) {
		thread, errno := sender.send(order{call: "kill", pid: target})
		require.Equal(t, syscall.EPERM, errno)
		w.none(t, byThread(thread))
	})
}

// asOlderKernelsTell leaves out the thread, which a program in the kernel cannot find out of
// who was named and not struck before Linux 6.14, by a pidfd before 6.2 (kernel/signal.bpf.c, add_asked).
func asOlderKernelsTell(t *testing.T, want told) told {
	t.Helper()
	function := "bpf_task_from_vpid"
	if want.Syscall == "pidfd_send_signal" {
		function = "bpf_task_from_pid"
	}
	if want.Targets != nil && !kernelHas(t, function) {
		want.Threads = make([]int, len(want.Targets))
	}
	return want
}

// kernelHas reports whether the kernel has a function that programs may call.
func kernelHas(t *testing.T, function string) bool {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	require.NoError(t, err)
	var found *btf.Func
	err = types.TypeByName(function, &found)
	if !errors.Is(err, btf.ErrNotFound) {
		require.NoError(t, err)
	}
	return err == nil
}

func TestSignalZero(t *testing.T) {
	w := start(t, func(s *Settings) { s.Signals = append(s.Signals, 0) })
	target := sleeper(t)
	sender := help(t, "sender", nil)
	for name, tt := range map[string]struct {
		pid     int
		errno   syscall.Errno
		failure string
		scope   kill.Scope
		targets []int
		count   int
	}{
		"somebody": {target, 0, "", kill.ScopeProcess, []int{target}, 1},
		"nobody":   {nobodys, syscall.ESRCH, "ESRCH", kill.ScopeProcess, nil, 0},
		"a group":  {-syscall.Getpgrp(), 0, "", kill.ScopeProcessGroup, nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			thread, errno := sender.send(order{call: "kill", pid: tt.pid})
			require.Equal(t, tt.errno, errno)
			e := w.find(t, byThread(thread))
			want := told{
				Kind: kill.KindSignal, Syscall: "kill", Origin: kill.OriginUser, Scope: tt.scope, Error: tt.failure,
				Requested: max(tt.pid, -tt.pid), Sender: sender.pid, SenderThread: thread,
				Targets: tt.targets, Threads: tt.targets, Count: tt.count, Complete: true,
			}
			assert.Equal(t, asOlderKernelsTell(t, want), tell(e))
		})
	}
}

// Without include_failed, failed calls are not reported, but groups are complete.
func TestFailuresLeftOut(t *testing.T) {
	w := start(t, func(s *Settings) { s.IncludeFailed = false })
	target := sleeper(t)
	sender := help(t, "sender", unprivileged())
	for pid, want := range map[int]syscall.Errno{
		target: syscall.EPERM, nobodys: syscall.ESRCH, -leaderOf(t, startGroup(t, 2)[0]): syscall.EPERM,
	} {
		_, errno := sender.send(order{call: "kill", pid: pid, signal: 15})
		assert.Equal(t, want, errno)
	}
	w.none(t, by(sender.pid))
	members := startGroup(t, 2)
	thread, errno := w.fencing.send(order{call: "kill", pid: -members[0], signal: 1})
	require.Zero(t, errno)
	e := w.find(t, byThread(thread))
	assert.Equal(t, members, tell(e).Targets)
	assert.True(t, e.Complete)
}
