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

// indexOf returns the index of an open file, or -1 if it no longer has a name.
func indexOf(entries []logfile.File, file *logFile) int {
	return slices.IndexFunc(entries, func(e logfile.File) bool { return os.SameFile(e.Info, file.info) })
}

// find returns the index of the file with the given identity, or -1. If two files begin
// alike, as during copytruncate, it prefers the one with the same inode, then the oldest:
// reading twice does less harm than leaving something out.
func find(entries []logfile.File, id identity) int {
	found := -1
	// The live file first: once that has been emptied, its copy is complete.
	for i, e := range slices.Backward(entries) {
		prefix, err := logfile.Prefix(e.Path)
		if err != nil || !id.matches(prefix) {
			continue // it cannot be read, or is gone
		}
		if device, inode := inodeOf(e.Info); device == id.Device && inode == id.Inode {
			return i
		}
		found = i
	}
	return found
}

// newer returns the files that begin after the given stamp, and always the live file: if
// the clock was set back, it may begin before the stamp.
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
