// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import "github.com/auditkill/auditkillreceiver/internal/kill"

// Values of si_code that any signal may have (include/uapi/asm-generic/siginfo.h).
const (
	codeUser   = 0
	codeKernel = 0x80
	codeQueue  = -1
	codeTimer  = -2
	codeSigIO  = -5
	codeTkill  = -6
	// codeSeccomp marks a SIGSYS from seccomp.
	codeSeccomp = 1
)

var commonCodes = map[int32]string{
	codeUser: "SI_USER", codeKernel: "SI_KERNEL", codeQueue: "SI_QUEUE", codeTimer: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO",
	codeSigIO: "SI_SIGIO", codeTkill: "SI_TKILL", -7: "SI_DETHREAD", -60: "SI_ASYNCNL",
}

// signalCodes are the codes whose meaning depends on the signal (sigaction(2)), from 1 up.
// golang.org/x/sys/unix has none of them.
var signalCodes = map[kill.Signal][]string{
	kill.SIGILL: {
		"ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK",
	},
	kill.SIGFPE: {
		"FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB",
	},
	kill.SIGSEGV: {
		"SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR", "SEGV_ACCADI", "SEGV_ADIDERR", "SEGV_ADIPERR",
		"SEGV_MTEAERR", "SEGV_MTESERR", "SEGV_CPERR",
	},
	kill.SIGBUS:  {"BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"},
	kill.SIGTRAP: {"TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT", "TRAP_UNK", "TRAP_PERF"},
	kill.SIGSYS:  {"SYS_SECCOMP", "SYS_USER_DISPATCH"},
}

// codeName returns the name of a si_code; empty if it has none.
func codeName(signal kill.Signal, code int32) string {
	if name, ok := commonCodes[code]; ok {
		return name
	}
	if names := signalCodes[signal]; code >= 1 && int(code) <= len(names) {
		return names[code-1]
	}
	return ""
}

// fault reports whether one of the program's own instructions raised the signal.
func fault(signal kill.Signal, code int32) bool {
	_, hasCodes := signalCodes[signal]
	return hasCodes && code > 0
}

// causeOf returns why the kernel sent a signal with siginfo of its own.
func causeOf(signal kill.Signal, code int32) kill.Cause {
	switch {
	case code == codeTimer:
		return kill.CauseTimer
	case !fault(signal, code):
		return kill.CauseNone
	case signal == kill.SIGSYS && code == codeSeccomp:
		return kill.CauseSeccomp
	}
	return kill.CauseCrash
}

// causeOfDeath returns why a program died of a signal. It has crashed if the signal was a fault of its own, or if it has sent itself the
// signal (abort(3), or a handler that lets it die after all). It has not if somebody else sent it, or if it was over a limit.
func causeOfDeath(signal kill.Signal, code int32, own bool) kill.Cause {
	cause := causeOf(signal, code)
	switch {
	case signal == signalCPULimit || signal == signalFileSizeLimit:
		return kill.CauseNone
	case cause == kill.CauseNone && (own || code == codeKernel):
		return kill.CauseCrash
	}
	return cause
}

// hasAddress reports whether a fault has an address that it is about: of the memory, or of the instruction. The kernel
// has some without, for which it says 0 (arch/x86/kernel/traps.c, exc_alignment_check; Documentation/arch/arm64/memory-tagging-extension.rst).
func hasAddress(signal kill.Signal, code int32, address uint64) bool {
	switch signal {
	case kill.SIGSEGV, kill.SIGBUS, kill.SIGILL, kill.SIGFPE:
	default:
		return false
	}
	switch name := codeName(signal, code); name {
	case "", commonCodes[codeKernel], "SEGV_MTEAERR":
		return false
	case "BUS_ADRALN":
		return address != 0
	}
	return fault(signal, code)
}

// deliveries translates the kernel's enum (include/trace/events/signal.h).
var deliveries = [...]kill.Delivery{
	kill.DeliveryDelivered, kill.DeliveryIgnored, kill.DeliveryPending, kill.DeliveryOverflow, kill.DeliveryWithoutInfo,
}

func deliveryOf(signal kill.Signal, result int32) kill.Delivery {
	if signal == signalContinue && result == ignored {
		return kill.DeliveryUnknown // a process that was stopped goes on all the same (kernel/signal.c, prepare_signal)
	}
	if result < 0 || int(result) >= len(deliveries) {
		return kill.DeliveryUnknown
	}
	return deliveries[result]
}

// ignored is the result of a signal that the target ignores, or that finds it ending.
const ignored = 1

// overflow is the result of a signal for which the target's queue had no room.
const overflow = 3
