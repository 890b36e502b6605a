// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

// mipsABI returns the ABI of an AUDIT_ARCH value, whichever its byte order; empty if it is not MIPS
// (include/uapi/linux/audit.h: EM_MIPS with the bits for 64 bit, little endian and N32).
func mipsABI(arch uint32) string {
	const littleEndian = 0x40000000
	switch arch &^ littleEndian {
	case 0x00000008:
		return "mips"
	case 0x80000008:
		return "mips64"
	case 0xa0000008:
		return "mips64n32"
	}
	return ""
}

// mipsSignals are the numbers that the signals of MIPS have elsewhere; 0 is a signal that others do
// not have (arch/mips/include/uapi/asm/signal.h).
var mipsSignals = [32]int{
	7: 0, 10: 7, 12: 31, 16: 10, 17: 12, 18: 17, 19: 30, 20: 28, 21: 23, 22: 29, 23: 19, 24: 20, 25: 18, 26: 21, 27: 22,
	28: 26, 29: 27, 30: 24, 31: 25,
	1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 8, 9: 9, 11: 11, 13: 13, 14: 14, 15: 15,
}

// GenericSignal returns the number that a signal has on most architectures, MIPS being the one
// whose records differ; false if it is none of theirs.
func GenericSignal(arch uint32, number int) (int, bool) {
	if mipsABI(arch) == "" || number <= 0 || number >= len(mipsSignals) {
		return number, true
	}
	return mipsSignals[number], mipsSignals[number] != 0
}
