// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package filesource

import "os"

// inodeOf knows of no inodes here, so that files are told apart by content.
func inodeOf(os.FileInfo) (device, inode uint64) { return 0, 0 }
