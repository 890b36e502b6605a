// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package logfile knows what an audit log consists of: its files, before and after they are
// rotated, their lines, and the events in those. It keeps no file open: its callers decide
// what to read next.
package logfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// File is one file of the log, live or rotated.
type File struct {
	Path string
	Info fs.FileInfo
	// Number is n of audit.log.n, and 0 for the live file.
	Number int
}

// Empty reports whether nothing has been written to the file yet.
func (f File) Empty() bool { return f.Info.Size() == 0 }

const (
	// maxNumber is the highest number of a rotated file. auditd keeps at most 999
	// (auditd.conf(5), num_logs), but keeps counting under keep_logs. A longer number is a
	// date, and dated files are not in the order of rotation.
	maxNumber = 99_999
	// maxLinks is how many links the kernel follows (include/linux/namei.h).
	maxLinks = 40
)

const (
	// SettleTries and SettlePause limit how long to wait for a rotation in progress. It
	// takes auditd less than a millisecond, and logrotate as long as it takes to copy a
	// file.
	SettleTries = 100
	SettlePause = 10 * time.Millisecond
)

// ErrUnsettled is returned if the files of a log keep changing.
var ErrUnsettled = errors.New("the files of the log are renamed faster than they can be listed")

// List returns the files of the log from the oldest to the live one. During a rotation,
// which renames them one after the other, the list may be inconsistent.
func List(path string) ([]File, error) {
	directory, name := filepath.Split(Resolve(path))
	names, err := os.ReadDir(filepath.Clean(directory))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Explain(err)
	}
	var files []File
	for _, candidate := range names {
		number, ok := rotationNumber(candidate.Name(), name)
		if !ok {
			continue
		}
		full := directory + candidate.Name()
		// Stat instead of the entry's own information, because the log may be a link.
		info, err := os.Stat(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed since
		}
		if err != nil {
			return nil, Explain(err)
		}
		if info.Mode().IsRegular() {
			files = append(files, File{Path: full, Info: info, Number: number})
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(len(b.Path), len(a.Path)))
	})
	return dropCopies(files), nil
}

// Resolve follows the links that path itself may be: the rotated files lie beside the real
// file.
func Resolve(path string) string {
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

// dropCopies leaves out audit.log.1.gz if it is a copy of audit.log.1, beside which it
// exists while gzip runs. Otherwise it is the older file: it was compressed, and then
// another file took its number.
func dropCopies(files []File) []File {
	kept := files[:0]
	for i, f := range files {
		if i+1 < len(files) && files[i+1].Number == f.Number && isCopy(f.Path, files[i+1].Path) {
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// isCopy reports whether a compressed file begins like the plain one, as far as it has been
// written.
func isCopy(compressed, plain string) bool {
	begun, err := Prefix(compressed)
	if err != nil {
		return true // not needed as long as the plain file exists
	}
	whole, err := Prefix(plain)
	return err == nil && bytes.HasPrefix(whole, begun)
}

// Same reports whether nothing was renamed between two listings, and no copy was begun.
func Same(a, b []File) bool {
	return slices.EqualFunc(a, b, func(a, b File) bool {
		return a.Path == b.Path && os.SameFile(a.Info, b.Info) && a.Empty() == b.Empty()
	})
}

// Regular returns a file's information if the file can be read to its end: reading a FIFO
// would block forever.
func Regular(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, Explain(err)
	case info.IsDir():
		return nil, &problem.Problem{
			What: path + " is a directory", Advice: []problem.Advice{problem.NameLogFile},
		}
	case !info.Mode().IsRegular():
		return nil, &problem.Problem{
			What:   fmt.Sprintf("%s is not a regular file (%s)", path, info.Mode().Type()),
			Advice: []problem.Advice{problem.NameLogFile},
		}
	}
	return info, nil
}

// Explain adds to an error of the file system what fixes it.
func Explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run it as root or with CAP_DAC_READ_SEARCH, "+
			"or set log_group in auditd.conf to a group of its user", err)
	}
	return err
}
