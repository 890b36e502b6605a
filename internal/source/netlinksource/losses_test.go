// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLosses(t *testing.T) {
	t.Parallel()
	at := func(seconds float64) time.Time { return time.Unix(1000, int64(seconds*1e9)) }
	var l losses
	assert.False(t, l.hit(at(0)), "none")
	l.add(at(10), at(11))
	l.add(at(11), at(12))
	l.add(at(20), at(20.5))
	assert.Len(t, l.windows, 2, "those that touch are one")
	for _, tt := range []struct {
		at     float64
		struck bool
	}{{8.9, false}, {9.5, true}, {10, true}, {11.5, true}, {12, true}, {12.1, false}, {18, false}, {19.5, true}, {20.5, true}, {21, false}} {
		assert.Equal(t, tt.struck, l.hit(at(tt.at)), "%v", tt.at)
	}
	l.add(at(75), at(76))
	assert.Len(t, l.windows, 2, "the oldest is forgotten")
	assert.False(t, l.hit(at(11)))
	assert.True(t, l.hit(at(20)))
}
