// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// Errors as system calls return them.
const (
	eperm  = -1
	esrch  = -3
	einval = -22
)

// An event has everything that the kernel and the process table know.
func TestSignal(t *testing.T) {
	t.Parallel()
	events, _ := newFakeEvents()
	want := &kill.Event{
		Kind: kill.KindSignal, Time: boot.Add(time.Second), Signal: kill.SIGTERM, SignalKnown: true, Syscall: "kill",
		Origin: kill.OriginUser, Scope: kill.ScopeProcess, Result: kill.Success(), Delivery: kill.DeliveryDelivered,
		Code: "SI_USER", Requested: 20, TargetCount: 1, Complete: true, Source: "ebpf",
		Sender: kill.Process{
			PID: 10, ThreadID: 10, ParentPID: 9, Command: "sh", Leader: "sh", Executable: "/usr/bin/program",
			Title: "sh\x00-c\x00kill 20", User: id(0), RealUser: id(1000), SavedUser: id(0), Login: id(1000),
			Session: kill.NewID(3), Instance: instanceOf(10), Home: kill.Home{PIDs: kill.WhoseHost},
			Ancestry: []kill.Ancestor{{PID: 9, Command: "bash"}, {PID: 1, Command: "systemd"}},
		},
	}
	unset := kill.ID{Value: ^uint32(0)}
	*want.AddTarget() = kill.Process{
		PID: 20, ThreadID: 20, Command: "mysqld", Leader: "mysqld", Executable: "/usr/bin/program",
		User: id(101), Login: kill.User{ID: unset}, Session: unset, Instance: instanceOf(20),
	}
	assert.Equal(t, want, events.signal(kills()))
}

func id(value uint32) kill.User { return kill.User{ID: kill.NewID(value)} }

func TestByCall(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*kernelSignalRecord)
		want   bool
	}{
		"kill":                             {func(*kernelSignalRecord) {}, true},
		"outside of a call":                {func(r *kernelSignalRecord) { r.Call.Number = callNone }, false},
		"another signal than the call's":   {func(r *kernelSignalRecord) { r.Signal = 9 }, false},
		"in the name of the process":       {func(r *kernelSignalRecord) { r.Special = infoNone }, false},
		"the kernel itself":                {func(r *kernelSignalRecord) { r.Special = infoPriv }, false},
		"a kernel thread":                  {func(r *kernelSignalRecord) { r.KernelThread = 1 }, false},
		"a timer that runs out meanwhile":  {func(r *kernelSignalRecord) { r.Code = -2 }, false},
		"SIGPIPE, say, has code SI_KERNEL": {func(r *kernelSignalRecord) { r.Code = codeKernel }, false},
		"tkill":                            {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callTkill, codeTkill }, true},
		"tkill, code of kill":              {func(r *kernelSignalRecord) { r.Call.Number = callTkill }, false},
		"tgkill":                           {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callTgkill, codeTkill }, true},
		"kill, code of tkill":              {func(r *kernelSignalRecord) { r.Code = codeTkill }, false},
		"sigqueue":                         {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callSigqueue, -1 }, true},
		"sigqueue as a timer":              {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callSigqueue, -2 }, true},
		"sigqueue to itself as kill":       {func(r *kernelSignalRecord) { r.Call.Number = callSigqueue }, true},
		"tgsigqueue":                       {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callTgsigqueue, -1 }, true},
		"sigqueue to itself as the kernel": {func(r *kernelSignalRecord) { toItself(r, callSigqueue, codeKernel) }, true},
		"tgsigqueue to itself as a fault":  {func(r *kernelSignalRecord) { toItself(r, callTgsigqueue, 1) }, true},
		"pidfd to itself as the kernel":    {func(r *kernelSignalRecord) { toItself(r, callPidfd, codeKernel) }, true},
		"a kill of itself, by the kernel":  {func(r *kernelSignalRecord) { toItself(r, callKill, codeKernel) }, false},
		"a fault while in sigqueue":        {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callSigqueue, 1 }, false},
		"pidfd":                            {func(r *kernelSignalRecord) { r.Call.Number = callPidfd }, true},
		"pidfd with siginfo":               {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callPidfd, -1 }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sends(tt.change)
			assert.Equal(t, tt.want, byCall(r))
			events, _ := newFakeEvents()
			e := events.signal(r)
			assert.Equal(t, tt.want, e.Origin == kill.OriginUser)
			assert.Equal(t, tt.want, e.Syscall != "")
		})
	}
}

// toItself makes a process send a signal to itself, with a code.
func toItself(r *kernelSignalRecord, call uint32, code int32) {
	r.Target, r.Call.Number, r.Code = r.Sender, call, code
}

func TestScope(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		call      kernelCall
		toThread  bool
		want      kill.Scope
		requested int
	}{
		"kill a process":            {kernelCall{Number: callKill, Pid: 20}, false, kill.ScopeProcess, 20},
		"kill the own group":        {kernelCall{Number: callKill, Pid: 0}, false, kill.ScopeOwnProcessGroup, 0},
		"kill all":                  {kernelCall{Number: callKill, Pid: -1}, false, kill.ScopeAll, 0},
		"kill a group":              {kernelCall{Number: callKill, Pid: -20}, false, kill.ScopeProcessGroup, 20},
		"the smallest number":       {kernelCall{Number: callKill, Pid: -1 << 31}, false, kill.ScopeProcessGroup, 1 << 31},
		"tkill":                     {kernelCall{Number: callTkill, Pid: 21}, true, kill.ScopeThread, 21},
		"tgkill":                    {kernelCall{Number: callTgkill, Pid: 20}, true, kill.ScopeThread, 20},
		"sigqueue":                  {kernelCall{Number: callSigqueue, Pid: 20}, false, kill.ScopeProcess, 20},
		"tgsigqueue":                {kernelCall{Number: callTgsigqueue, Pid: 20}, true, kill.ScopeThread, 20},
		"pidfd":                     {kernelCall{Number: callPidfd, Pid: 7}, false, kill.ScopeProcess, 0},
		"pidfd of a thread":         {kernelCall{Number: callPidfd, Pid: 7}, true, kill.ScopeThread, 0},
		"pidfd, as a thread":        {kernelCall{Number: callPidfd, Pid: 7, Flags: 1}, true, kill.ScopeThread, 0},
		"pidfd, as a process":       {kernelCall{Number: callPidfd, Pid: 7, Flags: 2}, false, kill.ScopeProcess, 0},
		"pidfd, as a process group": {kernelCall{Number: callPidfd, Pid: 7, Flags: 4}, false, kill.ScopeProcessGroup, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sends(func(r *kernelSignalRecord) {
				tt.call.Signal = r.Signal
				r.Call, r.Group = tt.call, 1
				if tt.toThread {
					r.Group = 0
				}
				if tt.call.Number == callTkill || tt.call.Number == callTgkill {
					r.Code = codeTkill
				}
			})
			events, _ := newFakeEvents()
			e := events.signal(r)
			assert.Equal(t, tt.want, e.Scope)
			assert.Equal(t, tt.requested, e.Requested)
			assert.Equal(t, callNames[tt.call.Number], e.Syscall)
			assert.Equal(t, tt.want.Single(), !forMany(&tt.call))
		})
	}
}

// What the kernel sends has a sender only if a process caused it.
func TestKernelSends(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*kernelSignalRecord)
		code   string
		cause  kill.Cause
		sender int
	}{
		"cgroup.kill":           {func(r *kernelSignalRecord) { r.Special = infoNone }, "", kill.CauseNone, 10},
		"the end of a pid 1":    {func(r *kernelSignalRecord) { r.Special = infoPriv }, "", kill.CauseNone, 10},
		"to itself, as SIGPIPE": {func(r *kernelSignalRecord) { r.Special, r.Target = infoNone, r.Sender }, "", kill.CauseNone, 0},
		"a terminal":            {func(r *kernelSignalRecord) { r.Special, r.KernelThread = infoPriv, 1 }, "", kill.CauseNone, 0},
		"a timer of another":    {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callNone, -2 }, "SI_TIMER", kill.CauseTimer, 0},
		"a child has ended":     {func(r *kernelSignalRecord) { r.Signal, r.Call.Number, r.Code = signalChild, callNone, 1 }, "", kill.CauseNone, 10},
		"an alarm":              {func(r *kernelSignalRecord) { r.Signal, r.Call.Number, r.Special = signalAlarm, callNone, infoPriv }, "", kill.CauseTimer, 0},
		"input has come":        {func(r *kernelSignalRecord) { r.Call.Number, r.Code = callNone, 1 }, "", kill.CauseNone, 0},
		"a fault": {func(r *kernelSignalRecord) {
			r.Signal, r.Code, r.Call.Number, r.Target = int32(kill.SIGSEGV), 1, callNone, r.Sender
		}, "SEGV_MAPERR", kill.CauseCrash, 0},
		"seccomp": {func(r *kernelSignalRecord) {
			r.Signal, r.Code, r.Call.Number, r.Target = int32(kill.SIGSYS), 1, callNone, r.Sender
		}, "SYS_SECCOMP", kill.CauseSeccomp, 0},
		"broken memory": {func(r *kernelSignalRecord) {
			r.Signal, r.Code, r.Call.Number = int32(kill.SIGBUS), 4, callNone
		}, "BUS_MCEERR_AR", kill.CauseCrash, 0},
		"SEGV without siginfo": {func(r *kernelSignalRecord) {
			r.Signal, r.Code, r.Special = int32(kill.SIGSEGV), 1, infoPriv
		}, "", kill.CauseNone, 10},
		"nobody": {func(r *kernelSignalRecord) { r.Special, r.Sender = infoPriv, kernelParty{} }, "", kill.CauseNone, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sends(tt.change)
			events, _ := newFakeEvents()
			e := events.signal(r)
			thread := tt.sender
			target := int(r.Target.Identity.Pid)
			assert.Equal(t, told{
				Kind: kill.KindSignal, Signal: kill.Signal(r.Signal), Origin: kill.OriginKernel, Cause: tt.cause,
				Scope: kill.ScopeProcess, Delivery: kill.DeliveryDelivered, Code: tt.code, Sender: tt.sender, SenderThread: thread,
				Targets: []int{target}, Threads: []int{target}, Count: 1, Complete: true,
			}, tell(e))
			assert.True(t, e.Result.Succeeded())
			assert.Equal(t, tt.sender != 0, e.Sender.Ancestry != nil)
		})
	}
}

// A signal for which the target's queue has no room fails, and is reported once.
func TestOverflow(t *testing.T) {
	t.Parallel()
	events, _ := newFakeEvents()
	e := events.signal(sends(func(r *kernelSignalRecord) { r.Result = overflow }))
	assert.Equal(t, kill.DeliveryOverflow, e.Delivery)
	assert.Equal(t, kill.Result{Known: true, Errno: 11, Error: "EAGAIN"}, e.Result)
	byKernel := events.signal(sends(func(r *kernelSignalRecord) { r.Result, r.Special = overflow, infoPriv }))
	assert.True(t, byKernel.Result.Succeeded(), "no caller got an error")
}

// fails is the record of a failed call. Its target is not known.
func fails(result int32, change func(*kernelSignalRecord)) *kernelSignalRecord {
	return sends(func(r *kernelSignalRecord) {
		r.Kind, r.Group, r.Result, r.Target = kindCall, 0, result, kernelParty{}
		change(r)
	})
}

func TestCall(t *testing.T) {
	t.Parallel()
	mysqld := process.Known{
		Key: process.Key{PID: 20}, Command: "mysqld", Executable: "/usr/sbin/mysqld", Instance: instanceOf(20),
		RealUser: kill.NewID(101), Login: kill.NewID(7), Session: kill.NewID(8),
	}
	none := func(*kernelSignalRecord) {}
	tests := map[string]struct {
		record *kernelSignalRecord
		result kill.Result
		scope  kill.Scope
		target kill.Process // PID 0 is none
		count  int
	}{
		"EPERM, target asked for": {
			fails(eperm, none),
			kill.Result{Known: true, Errno: 1, Error: "EPERM"},
			kill.ScopeProcess,
			kill.Process{
				PID: 20, Command: "mysqld", Leader: "mysqld", Executable: "/usr/sbin/mysqld", Instance: instanceOf(20),
				User: id(101), Login: id(7), Session: kill.NewID(8),
			},
			1,
		},
		"EPERM, the pid of a pidfd told by the kernel": {
			fails(eperm, func(r *kernelSignalRecord) {
				r.Level, r.Call.Number, r.Target.Identity.Pid = 1, callPidfd, 20 // that of the host
			}),
			kill.Result{Known: true, Errno: 1, Error: "EPERM"},
			kill.ScopeProcess,
			kill.Process{
				PID: 20, Command: "mysqld", Leader: "mysqld", Executable: "/usr/sbin/mysqld", Instance: instanceOf(20),
				User: id(101), Login: id(7), Session: kill.NewID(8),
			},
			1,
		},
		"EPERM, target told by the kernel": {
			fails(eperm, func(r *kernelSignalRecord) { r.Target = party(21, "postgres") }),
			kill.Result{Known: true, Errno: 1, Error: "EPERM"},
			kill.ScopeProcess,
			kill.Process{
				PID: 21, ThreadID: 21, Command: "postgres", Leader: "postgres", Executable: "/usr/bin/program", Instance: instanceOf(21),
				User: id(101), Login: kill.User{ID: kill.NewID(^uint32(0))}, Session: kill.NewID(^uint32(0)),
			},
			1,
		},
		"ESRCH, though somebody bears the pid by now": {
			fails(esrch, func(r *kernelSignalRecord) { r.Target = party(20, "mysqld") }),
			kill.Result{Known: true, Errno: 3, Error: "ESRCH"},
			kill.ScopeProcess,
			kill.Process{},
			0,
		},
		"ESRCH, not asked for": {
			fails(esrch, none), kill.Result{Known: true, Errno: 3, Error: "ESRCH"}, kill.ScopeProcess, kill.Process{}, 0,
		},
		"EINVAL": {
			fails(einval, func(r *kernelSignalRecord) { r.Call.Number, r.Call.Flags = callPidfd, 64 }),
			kill.Result{Known: true, Errno: 22, Error: "EINVAL"},
			kill.ScopeProcess,
			kill.Process{},
			0,
		},
		"signal 0": {
			fails(0, func(r *kernelSignalRecord) { r.Signal, r.Call.Signal, r.Target = 0, 0, party(21, "postgres") }),
			kill.Success(), kill.ScopeProcess,
			kill.Process{
				PID: 21, ThreadID: 21, Command: "postgres", Leader: "postgres", Executable: "/usr/bin/program", Instance: instanceOf(21),
				User: id(101), Login: kill.User{ID: kill.NewID(^uint32(0))}, Session: kill.NewID(^uint32(0)),
			},
			1,
		},
		"a pid of a container means nothing here": {
			fails(eperm, func(r *kernelSignalRecord) { r.Level = 1 }),
			kill.Result{Known: true, Errno: 1, Error: "EPERM"},
			kill.ScopeProcess,
			kill.Process{},
			-1,
		},
		"EPERM from a whole group": {
			fails(eperm, func(r *kernelSignalRecord) { r.Call.Pid = -20 }),
			kill.Result{Known: true, Errno: 1, Error: "EPERM"},
			kill.ScopeProcessGroup,
			kill.Process{},
			-1,
		},
		"an empty group": {
			fails(esrch, func(r *kernelSignalRecord) { r.Call.Pid = -20 }),
			kill.Result{Known: true, Errno: 3, Error: "ESRCH"},
			kill.ScopeProcessGroup,
			kill.Process{},
			0,
		},
		"an error without a name": {
			fails(-4000, func(r *kernelSignalRecord) { r.Call.Pid = 99 }),
			kill.Result{Known: true, Errno: 4000, Error: "_OTHER"},
			kill.ScopeProcess,
			kill.Process{},
			0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, _ := newFakeEvents(mysqld)
			e := events.call(tt.record)
			assert.Equal(t, tt.result, e.Result)
			assert.Equal(t, tt.scope, e.Scope)
			assert.Equal(t, tt.count, e.TargetCount)
			assert.Empty(t, e.Delivery, "nothing was sent")
			assert.Empty(t, e.Code)
			assert.Equal(t, 10, e.Sender.PID)
			if tt.target.PID == 0 {
				assert.Empty(t, e.Targets)
				return
			}
			require.Len(t, e.Targets, 1)
			assert.Equal(t, tt.target, e.Targets[0])
		})
	}
}

func TestDeath(t *testing.T) {
	t.Parallel()
	events, _ := newFakeEvents()
	for name, tt := range map[string]struct {
		signal kill.Signal
		code   int32
		name   string
		cause  kill.Cause
	}{
		"a fault": {kill.SIGSEGV, 1, "SEGV_MAPERR", kill.CauseCrash},
		"abort":   {kill.SIGABRT, codeTkill, "SI_TKILL", kill.CauseCrash},
		"seccomp": {kill.SIGSYS, 1, "SYS_SECCOMP", kill.CauseSeccomp},
	} {
		e := events.death(sends(func(r *kernelSignalRecord) {
			r.Kind, r.Signal, r.Code, r.Sender, r.Call = kindDeath, int32(tt.signal), tt.code, kernelParty{}, kernelCall{}
			if tt.code == codeTkill {
				r.Number = 1 // to itself
			}
		}))
		assert.Equal(t, told{
			Kind: kill.KindAbend, Signal: tt.signal, Origin: kill.OriginKernel, Cause: tt.cause, Scope: kill.ScopeProcess,
			Code: tt.name, Targets: []int{20}, Threads: []int{20}, Count: 1, Complete: true,
		}, tell(e), name)
	}
}
