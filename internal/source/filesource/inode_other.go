// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package filesource

import "os"

// inodeOf returns zeros: this system has no inodes, so that only the content distinguishes files.
func inodeOf(os.FileInfo) (device, inode uint64) { return 0, 0 }
