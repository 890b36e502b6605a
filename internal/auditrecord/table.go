// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package auditrecord

import "github.com/elastic/go-libaudit/v2/auparse"

// riscv64 is AUDIT_ARCH_RISCV64 (include/uapi/linux/audit.h: EM_RISCV, 64 bit, little
// endian). go-libaudit lacks its name and its system calls, and the system calls of
// loongarch64.
const riscv64 = 0xc00000f3

// ArchX8664 is AUDIT_ARCH_X86_64.
const ArchX8664 = uint32(auparse.AUDIT_ARCH_X86_64)

// tables names, for some architectures, the table of go-libaudit with their system calls:
// powerpc has the same numbers for all its kinds, and riscv64 and loongarch64 use the
// kernel's generic table (include/uapi/asm-generic/unistd.h), as aarch64 does.
var tables = map[uint32]string{
	uint32(auparse.AUDIT_ARCH_PPC64):       "ppc",
	uint32(auparse.AUDIT_ARCH_PPC64LE):     "ppc",
	uint32(auparse.AUDIT_ARCH_LOONGARCH64): "aarch64",
	riscv64:                                "aarch64",
}

// ArchName returns the name of an AUDIT_ARCH value, such as "x86_64"; empty if there is none.
func ArchName(arch uint32) string {
	if arch == riscv64 {
		return "riscv64"
	}
	return auparse.AuditArchNames[auparse.AuditArch(arch)]
}

// ErrorName returns the name of an errno, such as "EPERM"; empty if there is
// none.
func ErrorName(errno int) string { return auparse.AuditErrnoToName[errno] }

// mips are the calls of MIPS, whose three ABIs have their own numbers, each above its base
// (arch/mips/kernel/syscalls). go-libaudit has none of them.
var mips = map[string]map[int]string{
	"mips": {
		37: "kill", 102: "socketcall", 179: "sendmsg", 180: "sendto", 196: "rt_sigqueueinfo", 236: "tkill", 266: "tgkill",
		332: "rt_tgsigqueueinfo", 424: "pidfd_send_signal",
	},
	"mips64": {
		43: "sendto", 45: "sendmsg", 60: "kill", 127: "rt_sigqueueinfo", 192: "tkill", 225: "tgkill", 291: "rt_tgsigqueueinfo",
		424: "pidfd_send_signal",
	},
	"mips64n32": {
		43: "sendto", 45: "sendmsg", 60: "kill", 127: "rt_sigqueueinfo", 196: "tkill", 229: "tgkill", 295: "rt_tgsigqueueinfo",
		424: "pidfd_send_signal",
	},
}

var mipsBases = map[string]int{"mips": 4000, "mips64": 5000, "mips64n32": 6000}

// SyscallBase is the lowest number of a system call; 0 but for MIPS.
func SyscallBase(arch uint32) int { return mipsBases[mipsABI(arch)] }

// SyscallName returns the name of a system call; empty if it is not known.
func SyscallName(arch uint32, number int) string {
	if abi := mipsABI(arch); abi != "" {
		return mips[abi][number-mipsBases[abi]]
	}
	table, ok := tables[arch]
	if !ok {
		table = ArchName(arch)
	}
	return auparse.AuditSyscalls[table][number]
}
