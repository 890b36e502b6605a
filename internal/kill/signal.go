// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Signal is a Linux signal number, as x86, arm, powerpc, s390 and riscv number
// them (asm-generic/signal.h).
type Signal int

// The C library reserves 32 and 33 for itself, so SIGRTMIN is 34 for kill(1), systemd and
// everybody else; the kernel's own is 32.
const (
	rtMin     Signal = 34
	rtMax     Signal = 64
	maxSignal        = rtMax
)

// The names are those of signal(7).
const (
	SIGHUP  Signal = 1
	SIGINT  Signal = 2
	SIGQUIT Signal = 3
	SIGILL  Signal = 4
	SIGTRAP Signal = 5
	SIGABRT Signal = 6
	SIGBUS  Signal = 7
	SIGFPE  Signal = 8
	SIGKILL Signal = 9
	SIGSEGV Signal = 11
	SIGPIPE Signal = 13
	SIGTERM Signal = 15
	SIGSTOP Signal = 19
	SIGXCPU Signal = 24
	SIGXFSZ Signal = 25
	SIGSYS  Signal = 31
)

// The table is our own because that of golang.org/x/sys/unix exists only when compiling for
// Linux, and lacks the realtime signals.
var signalNames = [...]string{
	0: "SIG0", 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
	8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM",
	15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN",
	22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH",
	29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
	34: "SIGRTMIN", 35: "SIGRTMIN+1", 36: "SIGRTMIN+2", 37: "SIGRTMIN+3", 38: "SIGRTMIN+4", 39: "SIGRTMIN+5",
	40: "SIGRTMIN+6", 41: "SIGRTMIN+7", 42: "SIGRTMIN+8", 43: "SIGRTMIN+9", 44: "SIGRTMIN+10",
	45: "SIGRTMIN+11", 46: "SIGRTMIN+12", 47: "SIGRTMIN+13", 48: "SIGRTMIN+14", 49: "SIGRTMIN+15",
	50: "SIGRTMIN+16", 51: "SIGRTMIN+17", 52: "SIGRTMIN+18", 53: "SIGRTMIN+19", 54: "SIGRTMIN+20",
	55: "SIGRTMIN+21", 56: "SIGRTMIN+22", 57: "SIGRTMIN+23", 58: "SIGRTMIN+24", 59: "SIGRTMIN+25",
	60: "SIGRTMIN+26", 61: "SIGRTMIN+27", 62: "SIGRTMIN+28", 63: "SIGRTMIN+29", 64: "SIGRTMIN+30",
}

// aliases are other names in signal(7) and kill(1).
var aliases = map[string]Signal{"IOT": SIGABRT, "POLL": 29, "CLD": 17, "UNUSED": SIGSYS, "RTMAX": rtMax}

// Name returns the signal's name: "SIGKILL", "SIGRTMIN+3". A number without a
// name is written as "SIG" and the number.
func (s Signal) Name() string {
	if s >= 0 && int(s) < len(signalNames) && signalNames[s] != "" {
		return signalNames[s]
	}
	return "SIG" + strconv.Itoa(int(s))
}

// Fatal reports whether the signal's default action ends the process
// (signal(7), "Standard signals": Term and Core).
func (s Signal) Fatal() bool {
	switch s {
	case 0, 17, 18, 19, 20, 21, 22, 23, 28: // CHLD CONT STOP TSTP TTIN TTOU URG WINCH
		return false
	}
	return s > 0 && s <= maxSignal
}

// DefaultSignals are the signals that people send to end or stop a process, and those that
// report a crash.
func DefaultSignals() []Signal {
	return []Signal{
		SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
		SIGKILL, SIGSEGV, SIGTERM, SIGSTOP, SIGXCPU, SIGXFSZ, SIGSYS,
	}
}

// EndingSignals are the other signals whose default action ends a process: mostly they are handled, and
// mean something between two programs.
func EndingSignals() []Signal {
	var ending []Signal
	for s := Signal(1); s <= maxSignal; s++ {
		if s.Fatal() && !slices.Contains(DefaultSignals(), s) {
			ending = append(ending, s)
		}
	}
	return ending
}

// AllSignals are all signals, and 0, which only asks whether a process exists. 32 and 33 belong
// to the C library, which does send them.
func AllSignals() []Signal {
	all := make([]Signal, 0, maxSignal+1)
	for s := Signal(0); s <= maxSignal; s++ {
		all = append(all, s)
	}
	return all
}

// ParseSignal reads a signal as people write it: a number from 0 to 64, a name
// with or without SIG in any case, SIGRTMIN+n or SIGRTMAX-n.
func ParseSignal(text string) (Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "SIG")
	if number, err := strconv.Atoi(name); err == nil {
		if number < 0 || number > int(maxSignal) || strings.HasPrefix(name, "+") {
			return 0, fmt.Errorf("signal %q is out of range: use 0 to %d", text, maxSignal)
		}
		return Signal(number), nil
	}
	for number, known := range signalNames {
		if known != "" && known[len("SIG"):] == name {
			return Signal(number), nil
		}
	}
	if signal, ok := aliases[name]; ok {
		return signal, nil
	}
	if signal, ok := parseRealtime(name); ok {
		return signal, nil
	}
	return 0, fmt.Errorf("unknown signal %q: use a name such as SIGTERM or TERM, "+
		"a number from 0 to %d, or SIGRTMIN+0 to SIGRTMIN+%d", text, maxSignal, rtMax-rtMin)
}

func parseRealtime(name string) (Signal, bool) {
	base, sign, rest := rtMin, 1, ""
	switch {
	case strings.HasPrefix(name, "RTMIN+"):
		rest = name[len("RTMIN+"):]
	case strings.HasPrefix(name, "RTMAX-"):
		base, sign, rest = rtMax, -1, name[len("RTMAX-"):]
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 8)
	if err != nil || n > uint64(rtMax-rtMin) {
		return 0, false
	}
	return base + Signal(sign*int(n)), true
}
