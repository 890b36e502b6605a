// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGaps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		serials []uint32
		missing int64
	}{
		"nothing":                  {nil, 0},
		"one":                      {[]uint32{7}, 0},
		"records of one event":     {[]uint32{7, 7, 7, 8, 8}, 0},
		"in order":                 {[]uint32{7, 8, 9, 10}, 0},
		"out of order":             {[]uint32{7, 10, 9, 8, 11}, 0},
		"the first one is late":    {[]uint32{8, 7, 9}, 0},
		"one missing":              {[]uint32{7, 9}, 1},
		"two holes":                {[]uint32{7, 9, 10, 13}, 3},
		"wrap":                     {[]uint32{math.MaxUint32 - 1, math.MaxUint32, 0, 1}, 0},
		"wrap with one missing":    {[]uint32{math.MaxUint32 - 1, 0, 1}, 1},
		"wrap out of order":        {[]uint32{math.MaxUint32 - 1, 0, math.MaxUint32, 1}, 0},
		"more than the window":     {[]uint32{7, 7 + 3*gapWindow}, 3*gapWindow - 1},
		"window to its end":        {[]uint32{7, 7 + gapWindow}, gapWindow - 1},
		"boot: numbers began anew": {[]uint32{1_000_000, 1_000_001, 1, 2, 3}, 0},
		"boot, then one missing":   {[]uint32{1_000_000, 1_000_001, 1, 2, 4}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g gaps
			for _, serial := range tt.serials {
				g.add(serial)
			}
			g.settle()
			g.settle()
			assert.Equal(t, tt.missing, g.take())
			g.settle()
			assert.Zero(t, g.take(), "each is reported once")
		})
	}
}

// An event that has not had the time to arrive is not missing.
func TestGapsWaitForTheLate(t *testing.T) {
	t.Parallel()
	var g gaps
	g.add(1)
	g.add(3)
	g.settle()
	assert.Zero(t, g.take())
	g.add(2)
	g.settle()
	assert.Zero(t, g.take())
}

// Whatever the order within the window, exactly what is left out is missing.
func TestGapsInAnyOrder(t *testing.T) {
	t.Parallel()
	const events, late = 100_000, 300
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	first := uint32(math.MaxUint32 - events/2)
	var serials []uint32
	var missing int64
	for i := range uint32(events) {
		if i > 0 && i < events-1 && random.IntN(10) == 0 {
			missing++
			continue
		}
		serials = append(serials, first+i)
	}
	for i := 0; i+late < len(serials); i += late {
		random.Shuffle(late, func(a, b int) { serials[i+a], serials[i+b] = serials[i+b], serials[i+a] })
	}
	var g gaps
	g.add(first)
	for i, serial := range serials {
		g.add(serial)
		if i%(5*late) == 0 {
			g.settle()
		}
	}
	g.settle()
	g.settle()
	assert.Equal(t, missing, g.take())
}

func BenchmarkGaps(b *testing.B) {
	var g gaps
	b.ReportAllocs()
	for serial := uint32(1); b.Loop(); serial++ {
		g.add(serial)
	}
	assert.Zero(b, g.take())
}
