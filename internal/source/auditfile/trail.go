// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
)

// trail is the log as one stream: the live file, those that were rotated away,
// and the way from one to the next.
type trail struct {
	path   string
	logger *zap.Logger
	// lost is called when something may have gone before it was read.
	lost func()

	// current is nil as long as there is no file to read.
	current *logFile
	// segments are the files since the last checkpoint, with the position at
	// which the reading of each began.
	segments []segment
}

type segment struct {
	start correlate.Position
	file  *logFile
}

// openAt begins where a checkpoint says.
func (t *trail) openAt(at checkpoint) error {
	entries, err := listing(t.path)
	if err != nil {
		return err
	}
	if i := find(entries, at.identity); i >= 0 {
		return t.open(entries[i:], at.Offset)
	}
	i := firstNewer(entries, at.First)
	if i < 0 {
		t.logger.Warn("the file that was read last is gone, and there is no newer one yet", zap.String("path", t.path))
		t.lost()
		return nil
	}
	t.logger.Warn("the file that was read last is gone; reading on with the next one that is left",
		zap.String("path", entries[i].path), zap.Stringer("last_file_began_at", at.First))
	t.lost()
	return t.open(entries[i:], 0)
}

// openOldest begins at the very beginning of everything that is there.
func (t *trail) openOldest() error {
	entries, err := listing(t.path)
	if err != nil {
		return err
	}
	return t.open(entries, 0)
}

// openEnd begins behind the last whole line of the live file.
func (t *trail) openEnd() error {
	file, err := openLogFile(t.path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if file.offset, err = lastLineEnd(file.file); err != nil {
		return errors.Join(err, file.close())
	}
	t.follow(file, 0)
	return nil
}

// open begins with the first of the given files that can be read.
func (t *trail) open(entries []entry, offset int64) error {
	for _, e := range entries {
		file, err := openLogFile(e.path, offset)
		if errors.Is(err, errDamaged) {
			t.skip(err)
			offset = 0
			continue
		}
		if err != nil {
			return err
		}
		t.follow(file, 0)
		return nil
	}
	return nil
}

// skip says that a file could not be read, or not to its end.
func (t *trail) skip(err error) {
	t.logger.Warn("going on with the next file of the log; what is missing of this one is lost", zap.Error(err))
	t.lost()
}

// follow makes a file the one that is read now, at the given stream position.
func (t *trail) follow(file *logFile, at correlate.Position) {
	if t.current != nil {
		_ = t.current.close() // was only read from
	}
	file.base = at - correlate.Position(file.offset)
	t.current = file
	t.segments = append(t.segments, segment{start: at, file: file})
}

// position returns the stream position of the next read.
func (t *trail) position() correlate.Position {
	if t.current == nil {
		return 0
	}
	return t.current.position()
}

// next returns the file that comes after the present one, opened, or nil if
// the present one may still grow.
func (t *trail) next() (*logFile, error) {
	if t.current == nil {
		file, err := openLogFile(t.path, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return file, err
	}
	live, err := os.Stat(t.path)
	present, errPresent := t.current.file.Stat()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // between two steps of a rotation
	case err != nil || errPresent != nil:
		return nil, explain(errors.Join(err, errPresent))
	case os.SameFile(live, present):
		return nil, nil
	}
	return t.successor(present)
}

func (t *trail) successor(present fs.FileInfo) (*logFile, error) {
	entries, err := listing(t.path)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(entries, func(e entry) bool { return os.SameFile(e.info, present) })
	if at < 0 {
		// Perhaps it was compressed meanwhile.
		at = find(entries, t.current.identity())
	}
	gone := at < 0
	following := at + 1
	if gone {
		following = firstNewer(entries, firstStamp(t.current.prefix))
	}
	if following < 0 || following >= len(entries) {
		return nil, nil
	}
	file, err := t.openSuccessor(entries[following:])
	if file != nil && gone && len(entries) > 1 {
		t.logger.Warn("the log was rotated so often that files may have been removed before they were read: "+
			"raise num_logs or max_log_file in auditd.conf", zap.String("next", file.path))
		t.lost()
	}
	return file, err
}

// openSuccessor opens the first of the given files that can be read. It returns
// nil if a later look will know better.
func (t *trail) openSuccessor(entries []entry) (*logFile, error) {
	for _, following := range entries {
		// A new file without a byte may mean that the old one is still written
		// to, as with logrotate until the daemon is told to reopen its log.
		if following.number == 0 && following.info.Size() == 0 {
			return nil, nil
		}
		file, err := openLogFile(following.path, 0)
		switch {
		case errors.Is(err, errDamaged):
			t.skip(err)
			continue
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil // renamed since
		case err != nil:
			return nil, err
		}
		if opened, err := file.file.Stat(); err != nil || !os.SameFile(opened, following.info) {
			return nil, errors.Join(err, file.close())
		}
		return file, nil
	}
	return nil, nil
}

// recover finds what was read last after the file was emptied: copytruncate
// leaves a copy, in which reading goes on at the same place. It returns nil if
// there is none.
func (t *trail) recover() (*logFile, error) {
	entries, err := listing(t.path)
	if err != nil {
		return nil, err
	}
	old := t.current
	rotated := slices.DeleteFunc(entries, func(e entry) bool { return e.number == 0 })
	if i := find(rotated, old.identity()); i >= 0 {
		return openLogFile(rotated[i].path, old.offset)
	}
	return nil, nil
}

// checkpoint translates a stream position into what can be found again. The
// segments before it are not needed any more.
func (t *trail) checkpoint(at correlate.Position) (checkpoint, bool) {
	for len(t.segments) > 1 && t.segments[1].start <= at {
		t.segments = t.segments[1:]
	}
	if len(t.segments) == 0 {
		return checkpoint{}, false
	}
	file := t.segments[0].file
	return checkpoint{
		Version:  checkpointVersion,
		identity: file.identity(),
		Offset:   int64(at - file.base),
		First:    firstStamp(file.prefix),
	}, true
}

// behind returns how many bytes are there to be read, compressed ones as they
// are.
func (t *trail) behind() int64 {
	if t.current == nil {
		return 0
	}
	bytes := t.current.behind()
	live, err := os.Stat(t.path)
	present, errPresent := t.current.file.Stat()
	if err != nil || errPresent != nil || os.SameFile(live, present) {
		return bytes
	}
	entries, err := list(t.path)
	if err != nil {
		return bytes
	}
	at := slices.IndexFunc(entries, func(e entry) bool { return os.SameFile(e.info, present) })
	for _, following := range entries[at+1:] {
		bytes += following.info.Size()
	}
	return bytes
}

func (t *trail) close() error {
	if t.current == nil {
		return nil
	}
	return t.current.close()
}

// find returns the index of the file with the given identity, or -1. Where two
// begin alike, as during copytruncate, the one with the same inode counts.
func find(entries []entry, id identity) int {
	found := -1
	for i, e := range entries {
		prefix, err := prefixOf(e.path)
		if err != nil {
			continue // unreadable or gone: not the one
		}
		device, inode := inodeOf(e.info)
		if !id.matches(prefix, device, inode) {
			continue
		}
		if found < 0 || device == id.Device && inode == id.Inode {
			found = i
		}
	}
	return found
}

// firstNewer returns the index of the oldest file that begins after the given
// stamp, or -1. A file without a readable record counts as new.
func firstNewer(entries []entry, stamp auditrecord.Stamp) int {
	return slices.IndexFunc(entries, func(e entry) bool {
		prefix, err := prefixOf(e.path)
		if err != nil {
			return false
		}
		first := firstStamp(prefix)
		return first == auditrecord.Stamp{} || first.Milliseconds > stamp.Milliseconds ||
			first.Milliseconds == stamp.Milliseconds && first.Serial > stamp.Serial
	})
}

func prefixOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if strings.HasSuffix(path, ".gz") {
		return unzippedPrefix(file)
	}
	return readPrefix(file)
}

// firstStamp returns the stamp of the first record, or the zero Stamp.
func firstStamp(prefix []byte) auditrecord.Stamp {
	line, _, _ := bytes.Cut(prefix, []byte("\n"))
	record, err := auditrecord.Parse(line)
	if err != nil {
		return auditrecord.Stamp{}
	}
	return record.Stamp
}

// lastLineEnd returns the offset behind the last line feed, so that a line that
// is being written is read whole later.
func lastLineEnd(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	tail := make([]byte, min(info.Size(), maxLine))
	start := info.Size() - int64(len(tail))
	n, err := file.ReadAt(tail, start)
	if n < len(tail) {
		return 0, err
	}
	if i := bytes.LastIndexByte(tail, '\n'); i >= 0 {
		return start + int64(i) + 1, nil
	}
	return start, nil
}
