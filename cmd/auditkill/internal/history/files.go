// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// maxFiles is how many files are read, the newest ones: far more than anybody keeps.
	maxFiles = 1000
	// settleTries is how often the files are listed again, if they are rotated at that moment.
	settleTries = 5
	settlePause = 20 * time.Millisecond
)

// rotatedMiddle is what the file exporter puts between the name and the ending of a file that it has rotated: the
// time, and why it did (timberjack) or nothing (lumberjack). The names sort by time.
var rotatedMiddle = regexp.MustCompile(`^-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(-[a-z]+)?$`)

// Open opens a history with the files rotated from it, or FileName in a directory. It holds all of them open, so
// that none is missed or read twice if it is rotated meanwhile. Files that cannot be opened become Problems, unless
// it is the one that was named, and there are no others.
func Open(path string) (*History, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	for range settleTries {
		paths, err := list(path)
		if err != nil {
			return nil, err
		}
		h := &History{path: path}
		for _, name := range paths {
			h.open(name)
		}
		if again, err := list(path); err == nil && slices.Equal(paths, again) && h.current(path) {
			return h.checked()
		}
		h.Close()
		time.Sleep(settlePause)
	}
	return nil, fmt.Errorf("%s: is rotated all the time; try again", path)
}

// checked returns the history, or why there is nothing to read.
func (h *History) checked() (*History, error) {
	if len(h.files) > 0 {
		return h, nil
	}
	if len(h.unopened) > 0 {
		return nil, h.unopened[len(h.unopened)-1]
	}
	return nil, &fs.PathError{Op: "open", Path: h.path, Err: fs.ErrNotExist}
}

// list returns the files of a history, the oldest first.
func list(path string) ([]string, error) {
	directory, name := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(directory))
	if err != nil {
		return nil, err
	}
	ending := filepath.Ext(name)
	begin := strings.TrimSuffix(name, ending)
	var paths []string
	for _, entry := range entries {
		middle, isOurs := strings.CutPrefix(entry.Name(), begin)
		middle, ends := strings.CutSuffix(middle, ending)
		if isOurs && ends && rotatedMiddle.MatchString(middle) {
			paths = append(paths, directory+entry.Name())
		}
	}
	slices.Sort(paths)
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
		paths = append(paths, path)
	}
	return paths[max(0, len(paths)-maxFiles):], nil
}

// open opens a file, if it is an ordinary one: a named pipe would block.
func (h *History) open(path string) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		h.unopened = append(h.unopened, err)
		return
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errIrregular}
	}
	if err != nil {
		h.unopened = append(h.unopened, err)
		_ = file.Close() // was only opened
		return
	}
	h.files = append(h.files, part{path, file, info})
}

// current reports whether the last file that was opened is still the one that is written to: if it was rotated,
// it has another name now.
func (h *History) current(path string) bool {
	info, err := os.Stat(path)
	if err != nil || len(h.files) == 0 {
		return true // there is none, or that is a Problem
	}
	last := h.files[len(h.files)-1]
	return last.path != path || os.SameFile(info, last.info)
}
