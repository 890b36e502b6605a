// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"hash/fnv"
	"math"
	"strings"
)

const (
	sketchRows = 4
	// sketchColumns is enough to tell tens of thousands of names apart, in 128 KiB.
	sketchColumns = 1 << 13
)

// sketch counts kills by name in a fixed memory: the count-min sketch of Cormode and
// Muthukrishnan (2005) with conservative update. It never counts too few.
type sketch [sketchRows][sketchColumns]uint32

// add adds kills of a name, and returns how many there were.
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

// names estimates how many names were added, by linear counting (Whang and others, 1990):
// within some percent up to 50,000.
func (s *sketch) names() int {
	empty := 0
	for _, cell := range s[0] {
		if cell == 0 {
			empty++
		}
	}
	return int(math.Round(sketchColumns * math.Log(sketchColumns/float64(max(empty, 1)))))
}

// maxDistinct is how many names are counted exactly, as many as have a lane; beyond it, a sketch takes less memory than they do.
const maxDistinct = maxPairs

// distinct counts the names that were added, each once.
type distinct struct {
	known map[string]bool
	// crowd has all names once there are too many, and is nil before.
	crowd *sketch
}

func (d *distinct) add(name string) {
	name = shorten(name, maxName)
	switch {
	case d.known[name]:
	case len(d.known) < maxDistinct:
		if d.known == nil {
			d.known = make(map[string]bool)
		}
		d.known[strings.Clone(name)] = true // it may be part of a buffer that holds much of the log
	default:
		if d.crowd == nil {
			d.crowd = &sketch{}
			for known := range d.known {
				d.crowd.add(known, 1)
			}
		}
		d.crowd.add(name, 1)
	}
}

// count returns how many names there are, and whether that is exact.
func (d *distinct) count() (n int, exact bool) {
	if d.crowd == nil {
		return len(d.known), true
	}
	return max(d.crowd.names(), len(d.known)+1), false
}
