// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package auditrecord

import "github.com/elastic/go-libaudit/v2/auparse"

// These are EM_RISCV and EM_AARCH64, little endian, the first one with 64 bit (include/uapi/linux/audit.h). go-libaudit
// lacks their names.
const (
	riscv64      = 0xc00000f3
	riscv32      = 0x400000f3
	aarch64ILP32 = 0x400000b7
)

var otherNames = map[uint32]string{riscv64: "riscv64", riscv32: "riscv32", aarch64ILP32: "aarch64_ilp32"}

// ArchX8664 is AUDIT_ARCH_X86_64.
const ArchX8664 = uint32(auparse.AUDIT_ARCH_X86_64)

// tables names, for some architectures, the table of go-libaudit with their system calls:
// powerpc has the same numbers for all its kinds, arm for both byte orders, and the others use the
// kernel's generic table (include/uapi/asm-generic/unistd.h), as aarch64 does.
var tables = map[uint32]string{
	uint32(auparse.AUDIT_ARCH_PPC64):       "ppc",
	uint32(auparse.AUDIT_ARCH_PPC64LE):     "ppc",
	uint32(auparse.AUDIT_ARCH_LOONGARCH64): "aarch64",
	uint32(auparse.AUDIT_ARCH_LOONGARCH32): "aarch64",
	uint32(auparse.AUDIT_ARCH_NIOS2):       "aarch64",
	uint32(auparse.AUDIT_ARCH_ARMEB):       "arm",
	riscv64:                                "aarch64",
	riscv32:                                "aarch64",
	aarch64ILP32:                           "aarch64",
}

// ArchName returns the name of an AUDIT_ARCH value, such as "x86_64"; empty if there is none.
func ArchName(arch uint32) string {
	if name, ok := otherNames[arch]; ok {
		return name
	}
	return auparse.AuditArchNames[auparse.AuditArch(arch)]
}

// ErrorName returns the name of an errno, such as "EPERM"; empty if there is
// none.
func ErrorName(errno int) string { return auparse.AuditErrnoToName[errno] }

// SyscallBase is the lowest number of a system call; 0 but for MIPS.
func SyscallBase(arch uint32) int { return mipsBases[ownTable(arch)] }

// SyscallName returns the name of a system call; empty if it is not known.
func SyscallName(arch uint32, number int) string {
	if own := ownTable(arch); own != "" {
		return ownCalls[own][number-mipsBases[own]]
	}
	return auparse.AuditSyscalls[sharedTable(arch)][number]
}

// sharedTable names the table of go-libaudit with the system calls of an architecture.
func sharedTable(arch uint32) string {
	if table, ok := tables[arch]; ok {
		return table
	}
	return ArchName(arch)
}

// Knows reports whether the system calls of an architecture are known.
func Knows(arch uint32) bool {
	return ownTable(arch) != "" || auparse.AuditSyscalls[sharedTable(arch)] != nil
}
