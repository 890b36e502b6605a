// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"hash/fnv"
	"math"
)

const (
	sketchRows = 4
	// sketchColumns is enough to tell tens of thousands of senders apart, in 128 KiB.
	sketchColumns = 1 << 13
)

// sketch counts kills by sender in a fixed memory: the count-min sketch of Cormode and
// Muthukrishnan (2005) with conservative update. It never counts too few.
type sketch [sketchRows][sketchColumns]uint32

// add adds kills of a sender, and returns how many there were.
func (s *sketch) add(name string, kills int64) int64 {
	cells := s.cells(name)
	least := uint32(math.MaxUint32)
	for _, cell := range cells {
		least = min(least, *cell)
	}
	sum := uint32(min(int64(least)+kills, math.MaxUint32))
	for _, cell := range cells {
		*cell = max(*cell, sum)
	}
	return int64(sum)
}

func (s *sketch) cells(name string) (cells [sketchRows]*uint32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	sum := mix(h.Sum64())
	step := mix(sum)
	for row := range cells {
		cells[row] = &s[row][(sum+uint64(row)*step)%sketchColumns]
	}
	return cells
}

// mix spreads the bits of a hash, as FNV leaves those of similar names similar. It is the end
// of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// senders estimates how many senders were added, by linear counting (Whang and others, 1990):
// within some percent up to 50,000.
func (s *sketch) senders() int {
	empty := 0
	for _, cell := range s[0] {
		if cell == 0 {
			empty++
		}
	}
	return int(math.Round(sketchColumns * math.Log(sketchColumns/float64(max(empty, 1)))))
}
