// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"os"
	"path/filepath"
	"strconv"
)

// writes reports whether a process has a file open, as the audit daemon has its log. Whose log it
// is decides whether this kernel's audit system matters to whoever reads it: a log may have been
// copied here.
func writes(pid int, path string) bool {
	file, err := os.Stat(path)
	if err != nil || pid <= 0 {
		return false
	}
	directory := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	open, _ := os.ReadDir(directory) // what cannot be listed is not known
	for _, descriptor := range open {
		if info, err := os.Stat(filepath.Join(directory, descriptor.Name())); err == nil && os.SameFile(file, info) {
			return true
		}
	}
	return false
}

// someDaemon is for sources that read what the audit daemon passes on.
func someDaemon(daemon int) bool { return daemon != 0 }

// anyRoot is for sources that read what this host records, wherever its file system is.
func anyRoot(string) bool { return true }

// anyDaemon is for sources that always read what this kernel records.
func anyDaemon(int) bool { return true }
