// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import "golang.org/x/sys/unix"

// machine returns the name of the kernel's architecture.
func machine() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Machine[:])
}
