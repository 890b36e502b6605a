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
		"riscv64": {0xc00000f3, map[string]int{kill: 129, tkill: 130, tgkill: 131, queue: 138, tgqueue: 240, pidfd: 424}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, name, ArchName(tt.arch))
			for syscall, number := range tt.numbers {
				assert.Equal(t, syscall, SyscallName(tt.arch, number))
			}
			assert.Empty(t, SyscallName(tt.arch, 100_000))
		})
	}
	assert.Empty(t, ArchName(12345))
	assert.Empty(t, SyscallName(12345, 62))
	assert.Equal(t, "EPERM", ErrorName(1))
	assert.Equal(t, "ESRCH", ErrorName(3))
	assert.Empty(t, ErrorName(-1))
}
