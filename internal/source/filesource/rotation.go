// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// entry is one file of the log: the live one or one that was rotated away.
type entry struct {
	path string
	info fs.FileInfo
	// number is n of audit.log.n, and 0 for the live file.
	number int
}

func (e entry) empty() bool { return e.info.Size() == 0 }

const (
	// maxNumber is the highest number of a rotated file. auditd keeps at most
	// 999 (auditd.conf(5), num_logs), but counts on under keep_logs. What is
	// longer is a date, and dated files are not in the order of rotation.
	maxNumber = 99_999
	// maxLinks is how many links the kernel follows (include/linux/namei.h).
	maxLinks = 40
)

// list returns the files of the log from the oldest to the live one. While a
// rotation renames them one after the other they may not fit together.
func list(path string) ([]entry, error) {
	directory, name := filepath.Split(resolve(path))
	names, err := os.ReadDir(filepath.Clean(directory))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	var entries []entry
	for _, candidate := range names {
		number, ok := rotationNumber(candidate.Name(), name)
		if !ok {
			continue
		}
		file := directory + candidate.Name()
		// Stat, not the entry's own information: the log may be a link.
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed since
		}
		if err != nil {
			return nil, explain(err)
		}
		if info.Mode().IsRegular() {
			entries = append(entries, entry{path: file, info: info, number: number})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(len(b.path), len(a.path)))
	})
	return dropCopies(entries), nil
}

// resolve follows the links that path itself may be: rotated files lie beside
// the file that is written.
func resolve(path string) string {
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// rotationNumber returns n if candidate is name.n or name.n.gz, and 0 if it is
// name itself.
func rotationNumber(candidate, name string) (int, bool) {
	suffix, ok := strings.CutPrefix(candidate, name)
	if !ok {
		return 0, false
	}
	if suffix == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(suffix, ".gz"), ".")
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(digits)
	if err != nil || number < 1 || number > maxNumber || digits != strconv.Itoa(number) {
		return 0, false
	}
	return number, true
}

// dropCopies leaves out audit.log.1.gz where it is the same as audit.log.1,
// which is there together with it while gzip runs. Otherwise it is the older
// one: it was compressed, and then another file took its number.
func dropCopies(entries []entry) []entry {
	kept := entries[:0]
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].number == e.number && isCopy(e.path, entries[i+1].path) {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// isCopy reports whether a compressed file begins as the plain one does, as far
// as it was written yet.
func isCopy(compressed, plain string) bool {
	begun, err := prefixOf(compressed)
	if err != nil {
		return true // of use to nobody as long as the plain one is there
	}
	whole, err := prefixOf(plain)
	return err == nil && extends(begun, whole)
}

// sameEntries reports whether nothing was renamed between two looks, and no copy
// begun.
func sameEntries(a, b []entry) bool {
	return slices.EqualFunc(a, b, func(a, b entry) bool {
		return a.path == b.path && os.SameFile(a.info, b.info) && a.empty() == b.empty()
	})
}

// indexOf returns the index of an open file, or -1 if it has no name any more.
func indexOf(entries []entry, file *logFile) int {
	return slices.IndexFunc(entries, func(e entry) bool { return os.SameFile(e.info, file.info) })
}

// find returns the index of the file with the given identity, or -1. Where two
// begin alike, as during copytruncate, the one with the same inode counts, and
// else the oldest: what is read twice does less harm than what is left out.
func find(entries []entry, id identity) int {
	found := -1
	// The live file first: if that was emptied already, its copy is finished.
	for i, e := range slices.Backward(entries) {
		prefix, err := prefixOf(e.path)
		if err != nil || !id.matches(prefix) {
			continue // what cannot be read, or has gone, is not the one
		}
		if device, inode := inodeOf(e.info); device == id.Device && inode == id.Inode {
			return i
		}
		found = i
	}
	return found
}

// newer returns the files that begin after the given stamp, and the live one in
// any case: if the clock was set back, it may begin before it.
func newer(entries []entry, stamp auditrecord.Stamp) []entry {
	for i, e := range slices.Backward(entries) {
		if e.number == 0 {
			continue
		}
		prefix, err := prefixOf(e.path)
		if err != nil {
			continue
		}
		if first, ok := firstStamp(prefix); ok && !after(first, stamp) {
			return entries[i+1:]
		}
	}
	return entries
}

// after reports whether stamp a is later than b.
func after(a, b auditrecord.Stamp) bool {
	return cmp.Or(cmp.Compare(a.Milliseconds, b.Milliseconds), cmp.Compare(a.Serial, b.Serial)) > 0
}
