// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// noTrigger is that of a cause of which nothing more is known.
var noTrigger kill.Trigger

func triggerOf(e *kill.Event) *kill.Trigger {
	if e.Trigger == nil {
		return &noTrigger
	}
	return e.Trigger
}

// appendTrigger appends what made the kernel send a signal on its own account. It accuses nobody: what a
// terminal takes for a key may also be written by a program.
func appendTrigger(buf []byte, e *kill.Event) []byte {
	t := triggerOf(e)
	switch e.Cause {
	case kill.CauseCPULimit:
		buf = append(buf, ": CPU time limit"...)
		if t.Realtime {
			buf = append(buf, " for realtime programs"...)
		}
		if t.CPUTime > 0 {
			buf = appendLimit(append(buf, " of "...), t.CPUTime)
		}
		return append(buf, " reached"...)
	case kill.CauseFileSizeLimit:
		buf = append(buf, ": file size limit"...)
		if t.FileSize.Known {
			buf = appendSize(append(buf, " of "...), t.FileSize.Value)
		}
		return append(buf, " reached"...)
	case kill.CauseTerminalKey:
		return appendTerminal(append(buf, ": key on "...), e)
	case kill.CauseTerminalHangup:
		return appendTerminal(append(buf, ": hangup of "...), e)
	case kill.CauseCgroupKill:
		if t.Cgroup == "" {
			return append(buf, ": kill of a control group"...)
		}
		return visible.AppendWord(append(buf, ": kill of control group "...), t.Cgroup, maxPath)
	case kill.CausePIDNamespaceEnd:
		return appendNamespaceEnd(buf, &e.Sender)
	case kill.CauseParentDeath:
		return appendParentDeath(buf, e)
	case kill.CauseTimer:
		return append(buf, ": a timer of its own"...)
	}
	return buf
}

// appendTerminal appends a terminal, and the login of the processes in it.
func appendTerminal(buf []byte, e *kill.Event) []byte {
	terminal, b := triggerOf(e).Terminal, behindOf(e)
	if terminal == "" {
		buf = append(buf, "its terminal"...)
	} else {
		buf = appendName(buf, terminal)
	}
	switch {
	case b.Session != nil && b.Session.ID != "":
		buf = appendName(append(buf, " (session "...), b.Session.ID)
		buf = append(appendPerson(buf, " of ", b), ')')
	case hasPerson(b):
		buf = append(appendPerson(append(buf, " ("...), "login of ", b), ')')
	}
	return buf
}

func appendNamespaceEnd(buf []byte, init *kill.Process) []byte {
	buf = append(buf, ": end of the pid namespace"...)
	if init.PID == 0 {
		return buf
	}
	buf = appendProcess(append(buf, " whose init was "...), init)
	if init.Instance != nil && init.Instance.Container != "" {
		buf = appendContainerID(append(buf, " in "...), init.Instance.Container)
	}
	return buf
}

func appendParentDeath(buf []byte, e *kill.Event) []byte {
	exit := triggerOf(e).ParentExit
	if !exit.Known {
		return appendProcess(append(buf, ": end of its parent, a thread of "...), &e.Sender)
	}
	buf = append(appendProcess(append(buf, ": its parent "...), &e.Sender), ' ')
	return appendVerdict(buf, &kill.Outcome{Verdict: exit.Verdict(), Exit: exit})
}

// appendFault appends what a crash was, and the address that it is about.
func appendFault(buf []byte, e *kill.Event) []byte {
	if meaning := codes[e.Code]; meaning != "" {
		buf = append(append(buf, ": "...), meaning...)
	}
	fault := triggerOf(e).Fault
	switch {
	case !fault.Known:
		return buf
	case e.Signal == kill.SIGILL, e.Signal == kill.SIGFPE: // it is that of the instruction
		return appendAddressOf(append(buf, " at "...), fault)
	}
	return appendAddressOf(append(buf, ", "...), fault)
}

func appendAddressOf(buf []byte, fault kill.Address) []byte {
	return strconv.AppendUint(append(buf, "0x"...), fault.Value, 16)
}

// appendSize appends a size in the largest unit that it is a multiple of.
func appendSize(buf []byte, bytes int64) []byte {
	for _, unit := range []struct {
		name  string
		shift int
	}{{" GiB", 30}, {" MiB", 20}, {" KiB", 10}} {
		if bytes != 0 && bytes&(1<<unit.shift-1) == 0 {
			return append(strconv.AppendInt(buf, bytes>>unit.shift, 10), unit.name...)
		}
	}
	return append(strconv.AppendInt(buf, bytes, 10), " bytes"...)
}

// codes say what the si_code of a crash means (sigaction(2)).
var codes = map[string]string{
	"ILL_ILLOPC": "illegal opcode", "ILL_ILLOPN": "illegal operand", "ILL_ILLADR": "illegal addressing mode",
	"ILL_ILLTRP": "illegal trap", "ILL_PRVOPC": "privileged opcode", "ILL_PRVREG": "privileged register",
	"ILL_COPROC": "coprocessor error", "ILL_BADSTK": "internal stack error",
	"FPE_INTDIV": "integer division by zero", "FPE_INTOVF": "integer overflow", "FPE_FLTDIV": "floating-point division by zero",
	"FPE_FLTOVF": "floating-point overflow", "FPE_FLTUND": "floating-point underflow", "FPE_FLTRES": "floating-point inexact result",
	"FPE_FLTINV": "invalid floating-point operation", "FPE_FLTSUB": "subscript out of range",
	"SEGV_MAPERR": "address not mapped", "SEGV_ACCERR": "no permission for the address", "SEGV_BNDERR": "address out of bounds",
	"SEGV_PKUERR": "address protected by a key", "SEGV_MTEAERR": "memory tag mismatch", "SEGV_MTESERR": "memory tag mismatch",
	"SEGV_CPERR": "control flow protection fault",
	"BUS_ADRALN": "address not aligned", "BUS_ADRERR": "no such physical address", "BUS_OBJERR": "hardware error at the address",
	"BUS_MCEERR_AR": "hardware memory error", "BUS_MCEERR_AO": "hardware memory error",
	"TRAP_BRKPT": "breakpoint", "TRAP_TRACE": "trace trap", "TRAP_BRANCH": "branch trap", "TRAP_HWBKPT": "hardware breakpoint",
	"TRAP_PERF": "performance event",
}
