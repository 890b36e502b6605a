// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

import (
	"bytes"
	"hash/fnv"
)

// prefixLength is how much of a file's beginning identifies it. The first line
// of an audit log holds a time and a serial that no other log begins with.
const prefixLength = 1024

// identity recognises a file whatever it is called now. The inode alone does
// not: it is used again, survives copytruncate, and changes with gzip.
type identity struct {
	// Length and Sum are of the file's first bytes, at most prefixLength.
	Length int    `json:"prefix_length"`
	Sum    uint64 `json:"prefix_sum"`
	// Device and Inode decide only where no byte was written yet.
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

func sumOf(prefix []byte) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write(prefix) // never fails
	return hash.Sum64()
}

// matches reports whether a file that begins with prefix is the one meant.
func (id identity) matches(prefix []byte, device, inode uint64) bool {
	if id.Length == 0 {
		return id.Inode != 0 && id.Device == device && id.Inode == inode
	}
	return len(prefix) >= id.Length && sumOf(prefix[:id.Length]) == id.Sum
}

// extends reports whether a file that began with old may now begin with the
// longer prefix.
func extends(old, prefix []byte) bool { return bytes.HasPrefix(prefix, old) }
