// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

// go-libaudit, which has these tables, does not build on Windows. Audit records are not
// read there either: the receiver only has to build.

// ArchX8664 is AUDIT_ARCH_X86_64.
const ArchX8664 = uint32(0xc000003e)

// ArchName returns nothing on this system.
func ArchName(uint32) string { return "" }

// ErrorName returns nothing on this system.
func ErrorName(int) string { return "" }

// SyscallName returns nothing on this system.
func SyscallName(uint32, int) string { return "" }

// Knows returns true, as nothing can be said about it.
func Knows(uint32) bool { return true }

// SyscallBase returns 0 on this system.
func SyscallBase(uint32) int { return 0 }
