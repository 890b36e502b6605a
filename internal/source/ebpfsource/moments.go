// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import "time"

// backwards is how far the kernel's clock may go back between two signals of a thread. The one that programs
// may read is not monotonic: it stands still or goes back for microseconds when the kernel adjusts it or when
// the thread moves to another processor of a virtual machine, and for longer when the host wakes up
// (Documentation/core-api/timekeeping.rst).
const backwards = time.Second

// moments makes the times of a thread's signals differ, because that is what tells two from each
// other. It remembers the latest of some threads.
type moments [4096]struct {
	thread uint32
	at     time.Duration
}

// unlike returns a time since boot that no earlier signal of the thread has.
func (m *moments) unlike(thread uint32, at time.Duration) time.Duration {
	last := &m[thread%uint32(len(m))]
	if last.thread == thread && at <= last.at && last.at-at < backwards {
		at = last.at + time.Nanosecond
	}
	last.thread, last.at = thread, at
	return at
}
