// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package rhythm has goroutines that do something regularly do it at the same moments. Waking up is most of what
// they cost an idle host, and then the process wakes up once for all of them.
package rhythm

import (
	"context"
	"time"
)

// began is the moment that all intervals are counted from. It is this process's own: on the wall clock, all virtual
// machines of a host would wake up at once.
var began = time.Now()

// Next returns how long it is until the next multiple of an interval since the process began.
func Next(interval time.Duration) time.Duration {
	return interval - (time.Since(began)%interval+interval)%interval
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
