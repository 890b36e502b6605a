// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package procstat

import (
	"errors"

	"golang.org/x/sys/unix"
)

var errNotStat = errors.New("not in the format of proc_pid_stat(5)")

// ReadExit reads a stat file with the exit status. buffer must hold MaxSize. It takes one
// read, because the kernel generates the whole file at the first one.
func ReadExit(path string, buffer []byte) (Stat, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Stat{}, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return Stat{}, err
		}
		s, ok := ParseExit(buffer[:n])
		if !ok {
			return Stat{}, errNotStat
		}
		return s, nil
	}
}
