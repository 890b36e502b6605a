// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two signals of one thread never have the same time, whatever the clock says.
func TestMomentsDiffer(t *testing.T) {
	t.Parallel()
	var m moments
	assert.EqualValues(t, 5005, m.unlike(7, 5005))
	assert.EqualValues(t, 5006, m.unlike(7, 5005), "the same again")
	assert.EqualValues(t, 5007, m.unlike(7, 5005), "and again")
	assert.EqualValues(t, 5005, m.unlike(8, 5005), "another thread")
	assert.EqualValues(t, 5008, m.unlike(7, 3), "the clock went back")
	assert.EqualValues(t, 9000, m.unlike(7, 9000))
	assert.Equal(t, time.Hour, m.unlike(7, time.Hour))
	assert.EqualValues(t, 5000, m.unlike(7, 5000), "a thread that is long gone had the same id")
}

// A clock that goes back by microseconds again and again gives no thread the same time twice.
func TestMomentsDifferWithAnUnsteadyClock(t *testing.T) {
	t.Parallel()
	var m moments
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	seen := map[uint32]map[time.Duration]bool{5: {}, 6: {}}
	clock := time.Hour
	for range 100_000 {
		clock += time.Duration(random.IntN(2000) - 900)
		if random.IntN(100) == 0 {
			clock -= 20 * time.Microsecond
		}
		thread := 5 + random.Uint32N(2)
		at := m.unlike(thread, clock)
		require.False(t, seen[thread][at], "time %v twice", at)
		seen[thread][at] = true
	}
}
