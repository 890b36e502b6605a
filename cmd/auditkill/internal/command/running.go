// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxRunning is how many processes are looked at for their names.
const maxRunning = 10_000

// runningNames returns the names of the processes that run now, each once, but for those of the kernel's threads. It is
// empty where there is no /proc.
func runningNames() []string {
	paths, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is valid
	var names []string
	for _, path := range paths[:min(len(paths), maxRunning)] {
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || len(line) == 0 {
			continue // it is gone, or the kernel's
		}
		if name, err := os.ReadFile(path); err == nil {
			names = append(names, strings.TrimSuffix(string(name), "\n"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
