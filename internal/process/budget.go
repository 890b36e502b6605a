// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import "time"

// budget bounds how often something expensive is done.
type budget struct {
	perSecond int
	second    time.Time
	left      int
}

// take reports whether it may be done again.
func (b *budget) take() bool {
	if now := time.Now(); now.Sub(b.second) >= time.Second {
		b.second, b.left = now, b.perSecond
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}
