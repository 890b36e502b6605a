// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package rhythm has goroutines that do something regularly do it at the same moments. Waking up is most of what
// they cost an idle host, and then the process wakes up once for all of them.
package rhythm

import (
	"context"
	"time"
)

// Next returns how long it is until the wall clock reaches a multiple of an interval: the next one, unless that is
// about to be reached. A timer may be a little early by a clock that is being adjusted, and must not count twice.
func Next(interval time.Duration) time.Duration {
	wait := interval - time.Duration(time.Now().UnixNano())%interval
	if wait < interval/4 {
		wait += interval
	}
	return wait
}

// Every calls do at each multiple of an interval until ctx is done. One that passes while do runs is left out.
func Every(ctx context.Context, interval time.Duration, do func()) {
	timer := time.NewTimer(Next(interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		do()
		timer.Reset(Next(interval))
	}
}
