// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import "strings"

// arch is one of the kinds of callers that a kernel has.
type arch struct {
	// bits is what auditctl(8) calls it on every machine: b64 or b32.
	bits string
	// name is what go-libaudit calls it.
	name string
}

// arches returns the kinds of callers of a machine, by its name in uname(2):
// that of the kernel, as a 32-bit collector under a 64-bit kernel has to see
// 64-bit callers too. There are none for machines that number signals in
// another way, such as MIPS.
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
	case "ppc64le", "riscv64", "loongarch64": // their 32-bit callers are not known to auditctl either
		return []arch{{"b64", machine}}
	}
	if strings.HasPrefix(machine, "armv") {
		return []arch{{"b32", "arm"}}
	}
	return nil
}
