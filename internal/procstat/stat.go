// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package procstat reads /proc/<pid>/stat. procfs parses all 52 fields by reflection, which
// takes longer than the kernel needs to generate them.
package procstat

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

const (
	// Tick is the precision of a start time: USER_HZ, which is 100 wherever Go runs.
	Tick = 10 * time.Millisecond
	// RecordLag is the most by which the time of an audit record may precede its event: the
	// kernel uses the time of its last tick, has at least 100 ticks a second, and prints
	// milliseconds.
	RecordLag = Tick + time.Millisecond
	// MaxSize is enough for any stat file: 52 numbers and a name.
	MaxSize = 2048
)

// Stat is the part of the file that is used here.
type Stat struct {
	PID int
	// Start is when the process was created, since boot (CLOCK_BOOTTIME).
	Start   time.Duration
	Command string
	Parent  int
	// Zombie is true once the first thread has ended but the parent has not yet asked for its status.
	Zombie bool
	// Threads is the number of threads, including a zombie.
	Threads int
	// Kernel is true for a kernel thread, Exiting for a process that has begun to end.
	Kernel, Exiting bool
	// Status is as waitpid(2) returns it. Only ParseExit reads it. It is also 0 if the
	// reader lacks the right to see it.
	Status int
}

// Dead reports whether no thread runs any more: the first thread may have ended before the others.
func (s *Stat) Dead() bool { return s.Zombie && s.Threads <= 1 }

// Places of fields, counted from the one after the name (proc_pid_stat(5)).
const (
	placeState, placeParent, placeFlags, placeThreads, placeStart, placeExit = 0, 1, 6, 17, 19, 49
)

const (
	// kernelThread and exiting are PF_KTHREAD and PF_EXITING of include/linux/sched.h.
	kernelThread = 0x00200000
	exiting      = 0x00000004
)

// Parse parses a stat file up to the start time. It returns false if data is not a stat file.
func Parse(data []byte) (Stat, bool) {
	s, _, ok := parse(data)
	return s, ok
}

// ParseExit also parses the exit status, which is the last field.
func ParseExit(data []byte) (Stat, bool) {
	s, rest, ok := parse(data)
	if !ok {
		return Stat{}, false
	}
	status, err := strconv.ParseInt(string(rest.at(placeExit)), 10, 32)
	s.Status = int(status)
	return s, err == nil
}

func parse(data []byte) (s Stat, rest fields, ok bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // a name may contain either
	if open < 1 || end < open {
		return Stat{}, rest, false
	}
	pid, err1 := strconv.Atoi(string(bytes.TrimSpace(data[:open])))
	rest = fields{text: bytes.TrimSpace(data[end+1:])}
	state := rest.at(placeState)
	parent, err2 := strconv.Atoi(string(rest.at(placeParent)))
	flags, err3 := strconv.ParseUint(string(rest.at(placeFlags)), 10, 32)
	threads, err4 := strconv.Atoi(string(rest.at(placeThreads)))
	ticks, err5 := strconv.ParseUint(string(rest.at(placeStart)), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || err5 != nil ||
		pid <= 0 || parent < 0 || ticks > uint64(math.MaxInt64/Tick) {
		return Stat{}, rest, false
	}
	return Stat{
		PID: pid, Start: time.Duration(ticks) * Tick, Command: string(data[open+1 : end]), Parent: parent,
		Zombie: state[0] == 'Z' || state[0] == 'X', Threads: threads,
		Kernel: flags&kernelThread != 0, Exiting: flags&exiting != 0,
	}, rest, true
}

// fields are separated by single spaces.
type fields struct {
	text []byte
	next int
}

// at returns the field at a place, which must come after that of the last call; empty if
// there is none. The fields are short, so that searching for each space separately costs
// more than checking each byte.
func (f *fields) at(place int) []byte {
	i := 0
	for ; f.next < place && i < len(f.text); i++ {
		if f.text[i] == ' ' {
			f.next++
		}
	}
	f.text = f.text[i:]
	field := f.text
	if space := bytes.IndexByte(field, ' '); space >= 0 {
		field = field[:space]
	}
	return field
}
