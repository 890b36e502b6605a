// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entry is one file of the log: the live one or one that was rotated away.
type entry struct {
	path string
	info fs.FileInfo
	// number is n of audit.log.n, and 0 for the live file.
	number int
}

const (
	// maxFiles is the most that auditd keeps (auditd.conf(5), num_logs).
	maxFiles = 999
	// stableTries and stablePause limit how long to wait for a rotation in
	// progress, which takes auditd less than a millisecond a file.
	stableTries = 50
	stablePause = 10 * time.Millisecond
)

// listing returns the files of the log from the oldest to the live one. A
// rotation renames one file after the other, so that it looks twice until both
// looks agree.
func listing(path string) ([]entry, error) {
	last, err := list(path)
	for range stableTries {
		if err != nil {
			return nil, err
		}
		var again []entry
		if again, err = list(path); err == nil && sameEntries(last, again) {
			return again, nil
		}
		last = again
		time.Sleep(stablePause)
	}
	return last, err
}

func list(path string) ([]entry, error) {
	directory, name := filepath.Dir(path), filepath.Base(path)
	names, err := os.ReadDir(directory)
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
		file := filepath.Join(directory, candidate.Name())
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
	// Highest number first. Of audit.log.1 and audit.log.1.gz, which exist
	// together while gzip runs, the former is whole.
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(len(a.path), len(b.path)))
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.number == b.number }), nil
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
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil && number > 0 && number <= maxFiles
}

func sameEntries(a, b []entry) bool {
	return slices.EqualFunc(a, b, func(a, b entry) bool {
		return a.path == b.path && os.SameFile(a.info, b.info)
	})
}
