// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package auditrecord

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The numbers are from the kernel's tables (arch/*/entry/syscalls/*.tbl and
// include/uapi/asm-generic/unistd.h), not from the library under test.
func TestSyscallName(t *testing.T) {
	t.Parallel()
	const kill, tkill, tgkill, queue, tgqueue, pidfd = "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"
	for name, tt := range map[string]struct {
		arch    uint32
		numbers map[string]int
	}{
		"x86_64":  {0xc000003e, map[string]int{kill: 62, tkill: 200, tgkill: 234, queue: 129, tgqueue: 297, pidfd: 424}},
		"i386":    {0x40000003, map[string]int{kill: 37, tkill: 238, tgkill: 270, queue: 178, tgqueue: 335, pidfd: 424}},
		"aarch64": {0xc00000b7, map[string]int{kill: 129, tkill: 130, tgkill: 131, queue: 138, tgqueue: 240, pidfd: 424}},
		"arm":     {0x40000028, map[string]int{kill: 37, tkill: 238, tgkill: 268, queue: 178, tgqueue: 363, pidfd: 424}},
		"ppc64le": {0xc0000015, map[string]int{kill: 37, tkill: 208, tgkill: 250, queue: 177, tgqueue: 322, pidfd: 424}},
		"ppc64":   {0x80000015, map[string]int{kill: 37, tkill: 208, tgkill: 250, queue: 177, tgqueue: 322, pidfd: 424}},
		"s390x":   {0x80000016, map[string]int{kill: 37, tkill: 237, tgkill: 241, queue: 178, tgqueue: 330, pidfd: 424}},
		"sparc64": {0x8000002b, map[string]int{kill: 37, tkill: 187, tgkill: 211, queue: 106, tgqueue: 326, pidfd: 424}},
		"sparc":   {0x2, map[string]int{kill: 37, tkill: 187, tgkill: 211, queue: 106, tgqueue: 326, pidfd: 424}},
		"parisc":  {0xf, map[string]int{kill: 37, tkill: 208, tgkill: 259, queue: 178, tgqueue: 317, pidfd: 424}},
		"mipsel":  {0x40000008, map[string]int{kill: 4037, tkill: 4236, tgkill: 4266, queue: 4196, tgqueue: 4332, pidfd: 4424}},
		"armeb":   {0x28, map[string]int{kill: 37, tkill: 238, tgkill: 268, queue: 178, tgqueue: 363, pidfd: 424}},
		"aarch64_ilp32": {
			0x400000b7, map[string]int{kill: 129, tkill: 130, tgkill: 131, queue: 138, tgqueue: 240, pidfd: 424},
		},
		"riscv64": {0xc00000f3, map[string]int{kill: 129, tkill: 130, tgkill: 131, queue: 138, tgqueue: 240, pidfd: 424}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, name, ArchName(tt.arch))
			assert.True(t, Knows(tt.arch))
			for syscall, number := range tt.numbers {
				assert.Equal(t, syscall, SyscallName(tt.arch, number))
			}
			assert.Empty(t, SyscallName(tt.arch, 100_000))
		})
	}
	assert.Empty(t, ArchName(12345))
	assert.False(t, Knows(12345))
	assert.False(t, Knows(0x4), "m68k has a name and no table")
	assert.Empty(t, SyscallName(12345, 62))
	assert.Equal(t, "EPERM", ErrorName(1))
	assert.Equal(t, "ESRCH", ErrorName(3))
	assert.Empty(t, ErrorName(-1))
}

// The numbers are from the kernel's headers (arch/*/include/uapi/asm/signal.h).
func TestGenericSignal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arch uint32
		// own has the numbers of these signals there, in the order of generic.
		own []int
	}{
		"x86_64": {0xc000003e, []int{9, 15, 7, 31, 10, 12, 17, 18, 19, 23, 24}},
		"mips":   {0x8, []int{9, 15, 10, 12, 16, 17, 18, 25, 23, 21, 30}},
		"sparc":  {0x8000002b, []int{9, 15, 10, 12, 30, 31, 20, 19, 17, 16, 24}},
		"parisc": {0x8000000f, []int{9, 15, 10, 31, 16, 17, 18, 26, 24, 29, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			generic := []int{9, 15, 7, 31, 10, 12, 17, 18, 19, 23, 24} // KILL TERM BUS SYS USR1 USR2 CHLD CONT STOP URG XCPU
			for i, number := range tt.own {
				got, ok := GenericSignal(tt.arch, number)
				assert.True(t, ok)
				assert.Equal(t, generic[i], got)
			}
			seen := map[int]bool{}
			for number := 1; number < 32; number++ {
				if got, ok := GenericSignal(tt.arch, number); ok {
					assert.False(t, seen[got], "two numbers for %d", got)
					seen[got] = true
				}
			}
			got, ok := GenericSignal(tt.arch, 40)
			assert.True(t, ok)
			assert.Equal(t, 40, got)
		})
	}
	_, ok := GenericSignal(0x2, 7)
	assert.False(t, ok, "SIGEMT")
}
