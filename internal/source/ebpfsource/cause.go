// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// Signals that the kernel sends for reasons of their own (signal(7)), mostly while it
// interrupts whatever process runs.
const (
	signalAlarm         = 14
	signalChild         = 17
	signalContinue      = 18
	signalUrgent        = 23
	signalCPULimit      = 24
	signalFileSizeLimit = 25
	signalVirtualAlarm  = 26
	signalProfile       = 27
	signalIO            = 29
)

// causes are those that the programs find out (kernel/cause.h).
var causes = map[uint32]kill.Cause{
	causeCPULimit: kill.CauseCPULimit, causeFileSizeLimit: kill.CauseFileSizeLimit, causeTerminalKey: kill.CauseTerminalKey,
	causeTerminalHangup: kill.CauseTerminalHangup, causeCgroupKill: kill.CauseCgroupKill,
	causeNamespaceEnd: kill.CausePIDNamespaceEnd, causeParentDeath: kill.CauseParentDeath, causeRealtimeLimit: kill.CauseCPULimit,
}

// addCause adds why the kernel sent a signal, as far as that is certain.
func (m *events) addCause(e *kill.Event, r *kernelSignalRecord) {
	if r.Special == infoOwn {
		e.Cause = causeOf(e.Signal, r.Code)
		if hasAddress(e.Signal, r.Code, r.Number) {
			e.Trigger = &kill.Trigger{Fault: kill.NewAddress(r.Number)}
		}
		return
	}
	e.Cause = causes[r.Cause]
	if r.Special == infoPriv && e.Cause == kill.CauseNone && byInterval(r.Signal) {
		e.Cause = kill.CauseTimer
	}
	e.Trigger = m.trigger(r)
}

// byInterval reports whether a signal is that of a timer without siginfo (setitimer(2), alarm(2)).
func byInterval(signal int32) bool {
	return signal == signalAlarm || signal == signalVirtualAlarm || signal == signalProfile
}

// trigger returns what is known of the kernel's cause; nil if that is nothing more.
func (m *events) trigger(r *kernelSignalRecord) *kill.Trigger {
	switch r.Cause {
	case causeCPULimit:
		return &kill.Trigger{CPUTime: duration(r.Number, time.Second)}
	case causeRealtimeLimit:
		return &kill.Trigger{CPUTime: duration(r.Number, time.Microsecond), Realtime: true}
	case causeFileSizeLimit:
		if r.Number <= math.MaxInt64 {
			return &kill.Trigger{FileSize: kill.NewAmount(int64(r.Number))}
		}
	case causeTerminalKey, causeTerminalHangup:
		return &kill.Trigger{Terminal: terminalName(m.texts.get(trimCommand(r.Terminal[:])))}
	case causeCgroupKill:
		return &kill.Trigger{Cgroup: m.processes.Cgroup(process.CgroupID{ID: r.Killed})}
	case causeParentDeath:
		return &kill.Trigger{ParentExit: kill.Exit{Known: r.ParentStatus >= 0, Status: int(r.ParentStatus)}}
	}
	return nil
}

// duration returns a number of units, or the longest that there is.
func duration(n uint64, unit time.Duration) time.Duration {
	return time.Duration(min(n, math.MaxInt64/uint64(unit))) * unit
}

// terminalName returns a terminal's name below /dev: the kernel calls pts/3 pts3 (drivers/tty/pty.c).
func terminalName(name string) string {
	number, ok := strings.CutPrefix(name, "pts")
	if _, err := strconv.ParseUint(number, 10, 32); !ok || err != nil {
		return name
	}
	return "pts/" + number
}

// prompted reports whether the process that was running caused the kernel to send the
// signal, for example by writing to cgroup.kill, rather than merely being interrupted.
func prompted(r *kernelSignalRecord, cause kill.Cause) bool {
	if r.KernelThread != 0 || r.Sender.Identity.Pid == 0 || r.Sender.Identity.Pid == r.Target.Identity.Pid {
		return false
	}
	switch cause {
	case kill.CauseNone:
		return !asynchronous(r)
	case kill.CauseTerminalHangup, kill.CauseCgroupKill, kill.CausePIDNamespaceEnd, kill.CauseParentDeath:
		return true
	}
	return false
}

// asynchronous reports whether a signal may have been sent while the kernel merely interrupted a process.
func asynchronous(r *kernelSignalRecord) bool {
	// Whatever call it was, these come from a process.
	byProcess := r.Special == infoOwn && (r.Code == codeUser || r.Code == codeTkill || r.Code == codeQueue)
	if r.Signal == signalChild {
		return false // from its child, which stopped or ended
	}
	switch r.Signal {
	case signalAlarm, signalUrgent, signalVirtualAlarm, signalProfile, signalIO:
		return !byProcess // from a timer, or because of something from a network
	}
	return r.Special == infoOwn && !byProcess && r.Code != codeKernel
}
