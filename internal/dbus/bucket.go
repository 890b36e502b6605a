// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package dbus

import "time"

// rest is how long Serve rests at a time.
const rest = 20 * time.Millisecond

// bucket limits how many messages are handled: some at once, and some more each second.
type bucket struct {
	rate, burst, left float64
	at                time.Time
}

func newBucket(rate, burst int) bucket {
	return bucket{rate: float64(rate), burst: float64(burst), left: float64(burst)}
}

// take reports whether one more message may be handled. A minor one leaves half of the burst.
func (b *bucket) take(now time.Time, minor bool) bool {
	if !b.at.IsZero() {
		b.left = min(b.burst, b.left+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.left < 1 || minor && b.left < b.burst/2 {
		return false
	}
	b.left--
	return true
}
