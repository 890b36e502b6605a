// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package filesource

import (
	"os"
	"syscall"
)

func inodeOf(info os.FileInfo) (device, inode uint64) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev), uint64(stat.Ino) //nolint:unconvert // narrower on other systems
	}
	return 0, 0
}
