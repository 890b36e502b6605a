// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package resident

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseProgram unmaps the pages of the program's own file. A collector needs most of them only to start: they would remain
// part of its resident memory until the host runs short. What is needed again is mapped again, from the page cache as long as
// the kernel has it there.
func ReleaseProgram() (err error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	mappings, err := unchanged(file, program)
	if err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	for _, m := range mappings {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, os.NewSyscallError("madvise", errno))
		}
	}
	return err
}

// mapping is a part of this process's memory.
type mapping struct{ start, end uintptr }

// unchanged returns the mappings of a file in which nothing can differ from the file: those that cannot be written to, and of
// which no page is the process's own copy. The loader of a position-independent program, a debugger or a uprobe makes such
// copies, and releasing them would undo what was written (proc_pid_smaps(5), madvise(2)).
func unchanged(smaps io.Reader, path string) ([]mapping, error) {
	var found []mapping
	var current mapping
	candidate := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if name, isField := strings.CutSuffix(fields[0], ":"); isField {
			if candidate && name == "Anonymous" && len(fields) > 1 && fields[1] == "0" {
				found = append(found, current)
			}
			continue
		}
		candidate = false
		const columns = 6 // range, permissions, offset, device, inode, path
		if len(fields) < columns || !strings.HasSuffix(lines.Text(), " "+path) {
			continue
		}
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &current.start, &current.end); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		candidate = !strings.Contains(fields[1], "w")
	}
	return found, lines.Err()
}
