// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import "strings"

// arch is one of the kinds of callers of a kernel.
type arch struct {
	// bits is its name in auditctl(8) on every machine: b64 or b32.
	bits string
	// name is its name in go-libaudit.
	name string
}

// arches returns the kinds of callers of a machine, by its name in uname(2). That is the
// name of the kernel's architecture: a 32-bit collector on a 64-bit kernel has to see
// 64-bit callers, too. It returns none for machines that number signals differently, such
// as MIPS.
func arches(machine string) []arch {
	switch machine {
	case "x86_64":
		return []arch{{"b64", "x86_64"}, {"b32", "i386"}}
	case "i386", "i486", "i586", "i686":
		return []arch{{"b32", "i386"}}
	case "aarch64":
		return []arch{{"b64", "aarch64"}, {"b32", "arm"}}
	case "ppc64":
		return []arch{{"b64", "ppc64"}, {"b32", "ppc"}}
	case "s390x":
		return []arch{{"b64", "s390x"}, {"b32", "s390"}}
	case "ppc64le", "riscv64", "loongarch64": // auditctl does not know their 32-bit callers either
		return []arch{{"b64", machine}}
	}
	if strings.HasPrefix(machine, "armv") {
		return []arch{{"b32", "arm"}}
	}
	return nil
}
