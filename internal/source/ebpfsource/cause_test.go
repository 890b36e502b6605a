// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// ofKernel is a signal that the kernel sends on its own account while process 10 runs.
func ofKernel(special uint8, signal kill.Signal, cause uint32, change func(*kernelSignalRecord)) *kernelSignalRecord {
	return sends(func(r *kernelSignalRecord) {
		r.Special, r.Signal, r.Cause, r.Call.Number = special, int32(signal), cause, callNone
		copy(r.Terminal[:], "pts3")
		r.Killed, r.ParentStatus, r.Number = 7, 9, 10
		if change != nil {
			change(r)
		}
	})
}

func TestKernelsCauses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		record   *kernelSignalRecord
		cause    kill.Cause
		trigger  *kill.Trigger
		prompter int
	}{
		"CPU time": {ofKernel(infoPriv, kill.SIGXCPU, causeCPULimit, nil), kill.CauseCPULimit, &kill.Trigger{CPUTime: 10 * time.Second}, 0},
		"more than there is": {
			ofKernel(infoPriv, kill.SIGXCPU, causeCPULimit, func(r *kernelSignalRecord) { r.Number = math.MaxUint64 }),
			kill.CauseCPULimit, &kill.Trigger{CPUTime: math.MaxInt64 / time.Second * time.Second}, 0,
		},
		"time without a pause": {
			ofKernel(infoPriv, kill.SIGXCPU, causeRealtimeLimit, nil),
			kill.CauseCPULimit, &kill.Trigger{CPUTime: 10 * time.Microsecond, Realtime: true}, 0,
		},
		"file size": {
			ofKernel(infoNone, kill.SIGXFSZ, causeFileSizeLimit, nil), kill.CauseFileSizeLimit, &kill.Trigger{FileSize: kill.NewAmount(10)}, 0,
		},
		"a huge file": {
			ofKernel(infoNone, kill.SIGXFSZ, causeFileSizeLimit, func(r *kernelSignalRecord) { r.Number = math.MaxUint64 }),
			kill.CauseFileSizeLimit, nil, 0,
		},
		"a key":    {ofKernel(infoPriv, kill.SIGINT, causeTerminalKey, nil), kill.CauseTerminalKey, &kill.Trigger{Terminal: "pts/3"}, 0},
		"a hangup": {ofKernel(infoPriv, kill.SIGHUP, causeTerminalHangup, nil), kill.CauseTerminalHangup, &kill.Trigger{Terminal: "pts/3"}, 10},
		"a hangup of a line": {
			ofKernel(infoPriv, kill.SIGHUP, causeTerminalHangup, func(r *kernelSignalRecord) { r.KernelThread = 1 }),
			kill.CauseTerminalHangup, &kill.Trigger{Terminal: "pts/3"}, 0,
		},
		"a control group": {ofKernel(infoNone, kill.SIGKILL, causeCgroupKill, nil), kill.CauseCgroupKill, &kill.Trigger{Cgroup: "/group-7"}, 10},
		"a pid namespace": {ofKernel(infoPriv, kill.SIGKILL, causeNamespaceEnd, nil), kill.CausePIDNamespaceEnd, nil, 10},
		"a parent": {
			ofKernel(infoNone, kill.SIGTERM, causeParentDeath, nil), kill.CauseParentDeath,
			&kill.Trigger{ParentExit: kill.Exit{Known: true, Status: 9}}, 10,
		},
		"a parent's thread": {
			ofKernel(infoNone, kill.SIGTERM, causeParentDeath, func(r *kernelSignalRecord) { r.ParentStatus = -1 }),
			kill.CauseParentDeath, &kill.Trigger{ParentExit: kill.Exit{Status: -1}}, 10,
		},
		"an alarm": {ofKernel(infoPriv, sigAlarmNumber, causeUnknown, nil), kill.CauseTimer, nil, 0},
		"a timer": {
			ofKernel(infoOwn, kill.SIGTERM, causeUnknown, func(r *kernelSignalRecord) { r.Code = codeTimer }), kill.CauseTimer, nil, 0,
		},
		"a broken lease": {
			ofKernel(infoOwn, kill.SIGTERM, causeUnknown, func(r *kernelSignalRecord) { r.Code = 3 }), kill.CauseNone, nil, 0, // POLL_MSG
		},
		"input has come": {
			ofKernel(infoOwn, kill.SIGTERM, causeUnknown, func(r *kernelSignalRecord) { r.Code = 1 }), kill.CauseNone, nil, 0,
		},
		"a cause newer than us": {ofKernel(infoPriv, kill.SIGTERM, 99, nil), kill.CauseNone, nil, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newFakeEvents()
			e := m.signal(tt.record)
			assert.Equal(t, kill.OriginKernel, e.Origin)
			assert.Equal(t, tt.cause, e.Cause)
			assert.Equal(t, tt.trigger, e.Trigger)
			assert.Equal(t, tt.prompter, e.Sender.PID)
		})
	}
}

// at is what is known of a fault that is about an address.
func at(address uint64) *kill.Trigger { return &kill.Trigger{Fault: kill.NewAddress(address)} }

func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal  kill.Signal
		code    int32
		address uint64
		want    *kill.Trigger
	}{
		"of no memory":                           {kill.SIGSEGV, 1, 0, at(0)},
		"of the kernel's memory":                 {kill.SIGSEGV, 2, math.MaxUint64, at(math.MaxUint64)},
		"of an instruction":                      {kill.SIGFPE, 1, 7, at(7)},
		"of a file that is shorter":              {kill.SIGBUS, 2, 7, at(7)},
		"general protection":                     {kill.SIGSEGV, codeKernel, 0, nil},
		"the tags were compared later":           {kill.SIGSEGV, 8, 0, nil},
		"not aligned, and x86 does not say what": {kill.SIGBUS, 1, 0, nil},
		"not aligned":                            {kill.SIGBUS, 1, 7, at(7)},
		"a code newer than us":                   {kill.SIGSEGV, 99, 7, nil},
		"a breakpoint":                           {kill.SIGTRAP, 1, 7, nil},
		"seccomp":                                {kill.SIGSYS, codeSeccomp, 7, nil},
		"input has come":                         {kill.Signal(signalIO), 1, 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newFakeEvents()
			r := ofKernel(infoOwn, tt.signal, causeUnknown, func(r *kernelSignalRecord) { r.Code, r.Number = tt.code, tt.address })
			assert.Equal(t, tt.want, m.signal(r).Trigger)
			r.Call = kernelCall{Number: callSigqueue, Signal: r.Signal}
			r.Sender.Identity = r.Target.Identity
			assert.Nil(t, m.signal(r).Trigger, "whoever queues a signal to himself chooses all of its siginfo")
		})
	}
}

const sigAlarmNumber = kill.Signal(signalAlarm)

func TestTerminalName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"pts3": "pts/3", "pts1048575": "pts/1048575", "ptsx": "ptsx", "pts": "pts", "pts-1": "pts-1", "ttyS0": "ttyS0", "tty1": "tty1", "": "",
	} {
		assert.Equal(t, want, terminalName(name))
	}
}

// A thread that reaches its limit and ends with it the pid namespace that it is the init of kills for two reasons.
func TestLoopsOfSeveralCauses(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(bytesOf(ofKernel(infoPriv, kill.SIGKILL, causeCPULimit, func(r *kernelSignalRecord) { r.Target = r.Sender })))
	b.add(bytesOf(ofKernel(infoPriv, kill.SIGKILL, causeNamespaceEnd, nil)))
	b.flush()
	assert.Equal(t, []string{"0>[10] cpu_limit", "10>[20] pid_namespace_end"}, b.take())
}
