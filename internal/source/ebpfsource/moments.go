// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import "time"

// closely is how far apart two signals of a thread may be and still get the same time: the kernel's fast
// clock is not strictly monotonic (Documentation/core-api/timekeeping.rst), and the wall clock is adjusted.
const closely = time.Microsecond

// moments makes the times of a thread's signals differ, because that is what tells two from each
// other. It remembers the latest of some threads.
type moments [256]struct {
	thread uint32
	at     time.Time
}

// unlike returns a time that is not that of the thread's signal before.
func (m *moments) unlike(thread uint32, at time.Time) time.Time {
	last := &m[thread%uint32(len(m))]
	if last.thread == thread && !at.After(last.at) && last.at.Sub(at) < closely {
		at = last.at.Add(time.Nanosecond)
	}
	last.thread, last.at = thread, at
	return at
}
