// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

// These architectures have numbers of their own for calls and signals. The others are in go-libaudit's tables.
const (
	mips      = "mips"
	mips64    = "mips64"
	mips64N32 = "mips64n32"
	sparc     = "sparc"
	parisc    = "parisc"
)

// ownTable returns the name of an architecture with numbers of its own, whichever its byte order; empty if it is none
// (include/uapi/linux/audit.h: EM_MIPS, EM_SPARC, EM_SPARCV9 and EM_PARISC with the bits for 64 bit, little endian and N32).
func ownTable(arch uint32) string {
	const littleEndian = 0x40000000
	switch arch &^ littleEndian {
	case 0x00000008:
		return mips
	case 0x80000008:
		return mips64
	case 0xa0000008:
		return mips64N32
	case 0x00000002, 0x8000002b:
		return sparc
	case 0x0000000f, 0x8000000f:
		return parisc
	}
	return ""
}

// ownCalls are the calls that matter (arch/*/kernel/syscalls). Those of MIPS, whose three ABIs have their own numbers, are
// less their base.
var ownCalls = map[string]map[int]string{
	mips: {
		11: "execve", 37: "kill", 102: "socketcall", 179: "sendmsg", 180: "sendto", 196: "rt_sigqueueinfo", 236: "tkill",
		266: "tgkill", 332: "rt_tgsigqueueinfo", 356: "execveat", 424: "pidfd_send_signal",
	},
	mips64: {
		43: "sendto", 45: "sendmsg", 57: "execve", 60: "kill", 127: "rt_sigqueueinfo", 192: "tkill", 225: "tgkill",
		291: "rt_tgsigqueueinfo", 316: "execveat", 424: "pidfd_send_signal",
	},
	mips64N32: {
		43: "sendto", 45: "sendmsg", 57: "execve", 60: "kill", 127: "rt_sigqueueinfo", 196: "tkill", 229: "tgkill",
		295: "rt_tgsigqueueinfo", 320: "execveat", 424: "pidfd_send_signal",
	},
	sparc: {
		37: "kill", 59: "execve", 106: "rt_sigqueueinfo", 114: "sendmsg", 133: "sendto", 187: "tkill", 206: "socketcall",
		211: "tgkill", 326: "rt_tgsigqueueinfo", 350: "execveat", 424: "pidfd_send_signal",
	},
	parisc: {
		11: "execve", 37: "kill", 82: "sendto", 178: "rt_sigqueueinfo", 183: "sendmsg", 208: "tkill", 259: "tgkill",
		317: "rt_tgsigqueueinfo", 342: "execveat", 424: "pidfd_send_signal",
	},
}

var mipsBases = map[string]int{mips: 4000, mips64: 5000, mips64N32: 6000}

// ownSignals are the numbers that their signals have elsewhere; 0 is a signal that others do not have
// (arch/*/include/uapi/asm/signal.h).
var ownSignals = map[string]*[32]int{
	mips: &mipsSignals, mips64: &mipsSignals, mips64N32: &mipsSignals,
	sparc: {
		7: 0, 10: 7, 12: 31, 16: 23, 17: 19, 18: 20, 19: 18, 20: 17, 21: 21, 22: 22, 23: 29, 24: 24, 25: 25, 26: 26, 27: 27,
		28: 28, 29: 30, 30: 10, 31: 12,
		1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 11: 11, 13: 13, 14: 14, 15: 15,
	},
	parisc: {
		7: 16, 10: 7, 12: 24, 16: 10, 17: 12, 18: 17, 19: 30, 20: 26, 21: 27, 22: 29, 23: 28, 24: 19, 25: 20, 26: 18, 27: 21,
		28: 22, 29: 23, 30: 25, 31: 31,
		1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 11: 11, 13: 13, 14: 14, 15: 15,
	},
}

var mipsSignals = [32]int{
	7: 0, 10: 7, 12: 31, 16: 10, 17: 12, 18: 17, 19: 30, 20: 28, 21: 23, 22: 29, 23: 19, 24: 20, 25: 18, 26: 21, 27: 22,
	28: 26, 29: 27, 30: 24, 31: 25,
	1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 11: 11, 13: 13, 14: 14, 15: 15,
}

// GenericSignal returns the number that a signal has on most architectures; false if it is none of theirs.
func GenericSignal(arch uint32, number int) (int, bool) {
	numbers := ownSignals[ownTable(arch)]
	if numbers == nil || number <= 0 || number >= len(numbers) {
		return number, true
	}
	return numbers[number], numbers[number] != 0
}
