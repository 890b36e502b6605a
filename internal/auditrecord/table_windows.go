// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

// go-libaudit, whose tables these are, does not build on Windows. Nor does
// anybody read audit records there: the receiver only has to build.

// ArchX8664 is AUDIT_ARCH_X86_64.
const ArchX8664 = uint32(0xc000003e)

// ArchName knows no architectures here.
func ArchName(uint32) string { return "" }

// ErrorName knows no errors here.
func ErrorName(int) string { return "" }

// SyscallName knows no system calls here.
func SyscallName(uint32, int) string { return "" }
