// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"cmp"
	"os"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// indexOf returns the index of an open file, or -1 if it has no name any more.
func indexOf(entries []logfile.File, file *logFile) int {
	return slices.IndexFunc(entries, func(e logfile.File) bool { return os.SameFile(e.Info, file.info) })
}

// find returns the index of the file with the given identity, or -1. Where two
// begin alike, as during copytruncate, the one with the same inode counts, and
// else the oldest: what is read twice does less harm than what is left out.
func find(entries []logfile.File, id identity) int {
	found := -1
	// The live file first: if that was emptied already, its copy is finished.
	for i, e := range slices.Backward(entries) {
		prefix, err := logfile.Prefix(e.Path)
		if err != nil || !id.matches(prefix) {
			continue // what cannot be read, or has gone, is not the one
		}
		if device, inode := inodeOf(e.Info); device == id.Device && inode == id.Inode {
			return i
		}
		found = i
	}
	return found
}

// newer returns the files that begin after the given stamp, and the live one in
// any case: if the clock was set back, it may begin before it.
func newer(entries []logfile.File, stamp auditrecord.Stamp) []logfile.File {
	for i, e := range slices.Backward(entries) {
		if e.Number == 0 {
			continue
		}
		prefix, err := logfile.Prefix(e.Path)
		if err != nil {
			continue
		}
		if first, ok := logfile.FirstStamp(prefix); ok && !after(first, stamp) {
			return entries[i+1:]
		}
	}
	return entries
}

// after reports whether stamp a is later than b.
func after(a, b auditrecord.Stamp) bool {
	return cmp.Or(cmp.Compare(a.Milliseconds, b.Milliseconds), cmp.Compare(a.Serial, b.Serial)) > 0
}
