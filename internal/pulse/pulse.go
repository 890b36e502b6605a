// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package pulse notices afterwards that this process did not run: it was stopped (SIGSTOP), its
// cgroup was frozen, or its virtual machine was paused. Nothing in the process can notice that
// while it lasts.
package pulse

import (
	"context"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/rhythm"
)

const (
	// interval is how often the process shows itself that it runs.
	interval = time.Second
	// least is the shortest gap that is reported: longer than a busy machine, the garbage collector
	// or the migration of a virtual machine hold a process up.
	least = 5 * time.Second
)

// Gap is a time in which the process did not run, except for at most interval at its begin.
type Gap struct {
	// Began is when the process was last seen to run.
	Began    time.Time
	Duration time.Duration
}

// Watch calls report after each gap until ctx is done. report must not wait, or that would look
// like a gap. The time in which the whole machine sleeps does not count: CLOCK_MONOTONIC, which
// package time goes by, stands still then (clock_gettime(2)).
func Watch(ctx context.Context, report func(Gap)) { watch(ctx, time.Now, report) }

func watch(ctx context.Context, now func() time.Time, report func(Gap)) {
	last := now()
	rhythm.Every(ctx, interval, func() {
		at := now()
		if gap, found := between(last, at); found {
			report(gap)
		}
		last = at
	})
}

// between returns the gap, if there is one, between two beats.
func between(last, at time.Time) (Gap, bool) {
	passed := at.Sub(last)
	return Gap{Began: last.Round(0), Duration: passed}, passed >= least
}
