// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// ownedBy reports whether a file belongs to a user.
func ownedBy(info fs.FileInfo, user uint32) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == user
}
