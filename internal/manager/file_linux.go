// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// version changes when a file does.
type version struct {
	dev, ino   uint64
	size       int64
	sec, nanos int64
}

// file reads the beginning of a regular file below the root of the process, which belongs to the process's user. It
// reads nothing if the file is the same as the last time.
func (p *process) file(path string, limit int64, last version) ([]byte, version, error) {
	fd, err := p.open(path, unix.S_IFREG)
	if err != nil {
		return nil, version{}, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if e := unix.Fstat(fd, &stat); e != nil {
		return nil, version{}, e
	}
	sec, nanos := stat.Mtim.Unix()
	found := version{stat.Dev, stat.Ino, stat.Size, sec, nanos}
	if found == last {
		return nil, found, nil
	}
	data, err := readFile(fd, limit)
	return data, found, err
}

// readFile reads the file that a descriptor is about. Nobody can have put another one in its place.
func readFile(path int, limit int64) ([]byte, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "session")
	if file == nil {
		return nil, errors.ErrUnsupported
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
