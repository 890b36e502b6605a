// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stat is what is wanted of /proc/<pid>/stat.
type stat struct {
	command string
	start   time.Duration
	// dead is true once no thread of the process runs any more, though its parent may
	// not have asked for its end.
	dead bool
	// status is as waitpid(2) returns it. It is 0 also where the reader may not know it.
	status int
}

const (
	// statFile holds any /proc/<pid>/stat: 52 numbers and a name.
	statFile = 2048
	// tick is how exactly the kernel tells when a process was created: USER_HZ, which is
	// 100 wherever Go runs.
	tick = 10 * time.Millisecond
)

// Places in /proc/<pid>/stat, counted from behind the name (proc_pid_stat(5)).
const (
	statState, statThreads, statStart, statExit = 0, 17, 19, 49
)

var errNotStat = errors.New("it does not look like proc_pid_stat(5)")

// readStat reads the stat file of a process. It is one read: the kernel makes the whole
// file at the first, and procfs would parse all of its fields.
func readStat(path string, buffer []byte) (stat, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return stat{}, err
		}
		s, ok := parseStat(buffer[:n])
		if !ok {
			return stat{}, errNotStat
		}
		return s, nil
	}
}

// parseStat is not the one of package process, which leaves out all behind the start for
// being asked about each process of the host.
func parseStat(data []byte) (stat, bool) {
	begin, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // a name may hold either
	if begin < 1 || end < begin {
		return stat{}, false
	}
	s := stat{command: string(data[begin+1 : end])}
	var state byte
	var threads, ticks int64
	var err error
	i := 0
	for field := range bytes.FieldsSeq(data[end+1:]) {
		switch i {
		case statState:
			state = field[0]
		case statThreads:
			threads, err = strconv.ParseInt(string(field), 10, 32)
		case statStart:
			ticks, err = strconv.ParseInt(string(field), 10, 64)
		case statExit:
			var status int64
			status, err = strconv.ParseInt(string(field), 10, 32)
			s.status = int(status)
			s.start = time.Duration(ticks) * tick
			// A first thread that has ended before the others is a zombie, too.
			s.dead = (state == 'Z' || state == 'X') && threads <= 1
			return s, err == nil && ticks >= 0 && s.start/tick == time.Duration(ticks)
		}
		if err != nil {
			break
		}
		i++
	}
	return stat{}, false
}
