// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"hash/fnv"

	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// identity recognizes a file under any name. The inode alone does not: it is reused,
// survives copytruncate, and changes with gzip.
type identity struct {
	// Length and Sum describe the file's first bytes, at most logfile.PrefixLength. The
	// length is 0 as long as there is no whole line, because half a line could also begin
	// another file.
	Length int    `json:"prefix_length"`
	Sum    uint64 `json:"prefix_sum"`
	// Device and Inode decide only between files that begin alike.
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// identityOf returns the identity of a file that begins with prefix.
func identityOf(prefix []byte, device, inode uint64) identity {
	prefix = logfile.Settled(prefix)
	return identity{Length: len(prefix), Sum: sumOf(prefix), Device: device, Inode: inode}
}

func sumOf(prefix []byte) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write(prefix) // never fails
	return hash.Sum64()
}

// matches reports whether a file that begins with prefix has this identity.
func (id identity) matches(prefix []byte) bool {
	return id.Length > 0 && len(prefix) >= id.Length && sumOf(prefix[:id.Length]) == id.Sum
}

// extends reports whether a file that used to begin with old may now begin with the longer
// prefix.
func extends(old, prefix []byte) bool { return bytes.HasPrefix(prefix, old) }
