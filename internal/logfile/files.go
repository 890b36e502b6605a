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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// File is one file of the log, live or rotated.
type File struct {
	Path string
	Info fs.FileInfo
	// Number is n of audit.log.n, and 0 for the live file. That of a dated file, audit.log-20261129, is beyond all others.
	Number int
	// date is what follows the hyphen or dot in the name of a dated file.
	date string
}

// Empty reports whether nothing has been written to the file yet.
func (f File) Empty() bool { return f.Info.Size() == 0 }

const (
	// maxNumber is the highest number of a rotated file. auditd keeps at most 999
	// (auditd.conf(5), num_logs), but keeps counting under keep_logs. A longer number is a
	// date.
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
		date, dated := rotationDate(candidate.Name(), name)
		if dated {
			number = maxNumber + 1
		} else if !ok {
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
			files = append(files, File{Path: full, Info: info, Number: number, date: date})
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.date, b.date), cmp.Compare(len(b.Path), len(a.Path)))
	})
	return byBeginning(dropCopies(files)), nil
}

// byBeginning sorts files by what they begin with if some are numbered and others dated: who renames the log has changed, or
// two do it. The live file stays the last, and each file without a record stays behind the one before it.
func byBeginning(files []File) []File {
	rotated := files
	if last := len(files) - 1; last >= 0 && files[last].Number == 0 {
		rotated = files[:last]
	}
	dated := slices.IndexFunc(rotated, func(f File) bool { return f.date != "" })
	numbered := slices.IndexFunc(rotated, func(f File) bool { return f.date == "" })
	if dated < 0 || numbered < 0 {
		return files
	}
	begins := make(map[string]auditrecord.Stamp, len(rotated))
	var latest auditrecord.Stamp
	for i, f := range rotated {
		if i == numbered {
			latest = auditrecord.Stamp{} // they come after the dated ones
		}
		if prefix, err := Prefix(f.Path); err == nil {
			if stamp, ok := FirstStamp(prefix); ok {
				latest = stamp
			}
		}
		begins[f.Path] = latest
	}
	slices.SortStableFunc(rotated, func(a, b File) int {
		return cmp.Or(cmp.Compare(begins[a.Path].Milliseconds, begins[b.Path].Milliseconds),
			cmp.Compare(begins[a.Path].Serial, begins[b.Path].Serial))
	})
	return files
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

// Belongs reports whether candidate is the name of the log or of a file that was rotated from it.
func Belongs(candidate, name string) bool {
	_, numbered := rotationNumber(candidate, name)
	_, dated := rotationDate(candidate, name)
	return numbered || dated
}

// dates are those that logrotate's dateformat makes of %Y%m%d, with %H, %M and %S or %s behind it, and %Y-%m-%d. Their order
// is that of their texts.
var dates = regexp.MustCompile(`^[-.](20\d{2}(?:-\d{2}-\d{2}|\d{4})(?:[-_T.]?\d{2,10})?)(?:\.gz|\.xz|\.zst)?$`)

// rotationDate returns the date if candidate is name-date, also with what compressed files have behind it.
func rotationDate(candidate, name string) (date string, ok bool) {
	suffix, ok := strings.CutPrefix(candidate, name)
	if !ok {
		return "", false
	}
	m := dates.FindStringSubmatch(suffix)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// rotationNumber returns n if candidate is name.n, name.n.gz, .xz or .zst, and 0 if it is
// name itself.
func rotationNumber(candidate, name string) (int, bool) {
	suffix, ok := strings.CutPrefix(candidate, name)
	if !ok {
		return 0, false
	}
	if suffix == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(suffix, string(formatByName(suffix))), ".")
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
		if i+1 < len(files) && files[i+1].Number == f.Number && files[i+1].date == f.date && isCopy(f.Path, files[i+1].Path) {
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
