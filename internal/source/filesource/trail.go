// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

var (
	// What may have been lost, for people who read the collector's log.
	errGone    = errors.New("the file that was read last is gone, continuing with the files after it")
	errRotated = errors.New("the log was rotated so often that files may have been removed before they were read: " +
		"raise num_logs or max_log_file in auditd.conf")
	errEmptied = errors.New("the log was emptied and no copy was kept: what had not been read is gone")
)

// trail is the log as one stream: the live file, the rotated ones, and the way from each to
// the next.
type trail struct {
	path string
	// toEnd is true if the log is read to its end only, not followed.
	toEnd  bool
	logger *zap.Logger
	// lost is called when something may have disappeared before it was read.
	lost func()

	// current is nil while there is no file to read.
	current *logFile
	// following is the file after current, known once current can no longer grow. It is
	// kept open, so that it can be read even if it is removed.
	following *logFile
	// done is the first stamp of a file before current: files that begin later have not been read.
	done auditrecord.Stamp
	// segments are the files since the last checkpoint, each with the position at which
	// reading it began.
	segments []segment
}

type segment struct {
	start correlate.Position
	file  *logFile
	// done is that of the trail when reading this file began.
	done auditrecord.Stamp
}

// choice is the file to read next.
type choice struct {
	// file is nil if there is none yet.
	file *logFile
	// loss is what may have been lost before it, or nil.
	loss error
}

// choose lets pick choose among the files of the log, and repeats that until nothing was
// renamed or copied meanwhile.
func (t *trail) choose(pick func([]logfile.File) (choice, error)) (choice, error) {
	for try := range logfile.SettleTries {
		if try > 0 {
			time.Sleep(logfile.SettlePause)
		}
		entries, err := logfile.List(t.path)
		if err != nil {
			return choice{}, err
		}
		chosen, err := pick(entries)
		again, listErr := logfile.List(t.path)
		settled := listErr == nil && logfile.Same(entries, again) && !errors.Is(err, logfile.ErrUnsettled)
		// Files that begin alike for this long are not a copy in progress.
		if settled && (try == logfile.SettleTries-1 || !beingCopied(chosen.file, entries)) {
			return chosen, err
		}
		if chosen.file != nil {
			_ = chosen.file.close() // it was only read
		}
	}
	return choice{}, logfile.ErrUnsettled
}

// beingCopied reports whether a file seems to be the copy that logrotate makes of the live
// file before emptying it.
func beingCopied(file *logFile, entries []logfile.File) bool {
	if file == nil || file.number == 0 || file.unzipped != nil {
		return false
	}
	live := entries[len(entries)-1]
	prefix, err := logfile.Prefix(live.Path)
	return err == nil && live.Number == 0 && extends(file.prefix, prefix)
}

// openFirst opens the first of the given files that holds a line. A new live file without
// one may mean that the previous file is still being written, as with logrotate until the
// daemon is asked to reopen its log; and if that file were emptied, nothing would
// distinguish it from the one after it.
func (t *trail) openFirst(entries []logfile.File) (choice, error) {
	for _, e := range entries {
		if e.Empty() {
			continue
		}
		file, err := openLogFile(e, 0)
		if err == nil && e.Number == 0 && !file.begun() && !t.toEnd {
			return choice{}, file.close()
		}
		return choice{file: file}, err
	}
	return choice{}, nil
}

// openAgain opens a file that was found by its identity, to continue in it.
func openAgain(e logfile.File, id identity, offset int64) (choice, error) {
	file, err := openLogFile(e, offset)
	if err == nil && !id.matches(file.prefix) {
		return choice{}, errors.Join(logfile.ErrUnsettled, file.close())
	}
	return choice{file: file}, err
}

// begin makes the choice of pick the first file to read.
func (t *trail) begin(pick func([]logfile.File) (choice, error)) error {
	chosen, err := t.choose(pick)
	if err != nil {
		return err
	}
	if chosen.loss != nil {
		t.lose(chosen.loss)
	}
	if chosen.file != nil {
		t.follow(chosen.file, 0)
	}
	return nil
}

// openAt begins where a checkpoint says.
func (t *trail) openAt(at checkpoint) error {
	t.done = at.First
	return t.begin(func(entries []logfile.File) (choice, error) {
		if i := find(entries, at.identity); i >= 0 {
			return openAgain(entries[i], at.identity, at.Offset)
		}
		chosen, err := t.openFirst(newer(entries, at.First))
		if at.Length > 0 {
			chosen.loss = errGone
		}
		return chosen, err
	})
}

// openOldest begins at the very beginning of the oldest file.
func (t *trail) openOldest() error { return t.begin(t.openFirst) }

// openEnd begins after the last whole line.
func (t *trail) openEnd() error {
	return t.begin(func(entries []logfile.File) (choice, error) {
		for _, e := range slices.Backward(entries) {
			file, err := openLogFile(e, 0)
			if err != nil {
				return choice{}, err
			}
			if err := file.seekEnd(); err != nil {
				return choice{}, errors.Join(err, file.close())
			}
			if file.begun() {
				return choice{file: file}, nil
			}
			_ = file.close() // it was only read
		}
		return choice{}, nil
	})
}

// lose reports that something may have disappeared before it was read.
func (t *trail) lose(loss error) {
	t.logger.Warn("a part of the log is lost", zap.String("path", t.path), zap.Error(loss))
	t.lost()
}

// follow makes a file the current one, at the given stream position.
func (t *trail) follow(file *logFile, at correlate.Position) {
	if t.following == file {
		t.following = nil
	}
	_ = t.close() // it was only read
	t.done = t.stamp()
	file.base = at - correlate.Position(file.offset)
	t.current, t.following = file, nil
	t.segments = append(t.segments, segment{start: at, file: file, done: t.done})
	// If this fails now, it is tried again at the end of the file.
	_ = t.lookAhead()
}

// stamp returns the stamp that current begins with, or that of a file before it if current
// has no whole record.
func (t *trail) stamp() auditrecord.Stamp {
	if t.current != nil {
		if stamp, ok := logfile.FirstStamp(t.current.prefix); ok {
			return stamp
		}
	}
	return t.done
}

// position returns the stream position of the next read.
func (t *trail) position() correlate.Position {
	if t.current == nil {
		return 0
	}
	return t.current.position()
}

// lookAhead opens the file after the current one, unless the current one may still grow. It
// returns errTruncated if a copy has taken the place of the current one.
func (t *trail) lookAhead() error {
	if t.following != nil {
		return nil
	}
	live, err := logfile.Regular(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Between two steps of a rotation; there may be older files to continue with.
	case err != nil:
		return err
	case t.current != nil && os.SameFile(live, t.current.info):
		return nil
	}
	chosen, err := t.choose(t.successor)
	if err != nil {
		return err
	}
	if t.following = chosen.file; chosen.file != nil && chosen.loss != nil {
		t.lose(chosen.loss)
	}
	return nil
}

// successor chooses the file after the current one.
func (t *trail) successor(entries []logfile.File) (choice, error) {
	if t.current == nil {
		return t.openFirst(newer(entries, t.done))
	}
	at := indexOf(entries, t.current)
	if at < 0 {
		// It may have been compressed meanwhile.
		at = find(entries, t.current.identity())
	}
	switch {
	case at < 0:
	case entries[at].Number == 0 && !os.SameFile(entries[at].Info, t.current.info):
		return choice{}, errTruncated
	default:
		return t.openFirst(entries[at+1:])
	}
	chosen, err := t.openFirst(newer(entries, t.stamp()))
	// If it was live when it was opened, and no other file was rotated away, somebody has
	// removed it, and the new one begins where it ended.
	if t.current.number > 0 || len(entries) > 1 {
		chosen.loss = errRotated
	}
	return chosen, err
}

// resume opens the file in which to continue after the current one was emptied, or returns
// nil if there is none yet. Copytruncate leaves a copy: that is opened at the offset
// reached in the current file.
func (t *trail) resume() (*logFile, error) {
	chosen, err := t.choose(t.remains)
	if chosen.loss != nil && !t.current.emptied {
		t.lose(chosen.loss)
		t.current.emptied = true
	}
	return chosen.file, err
}

func (t *trail) remains(entries []logfile.File) (choice, error) {
	copies := slices.DeleteFunc(slices.Clone(entries), func(e logfile.File) bool {
		return os.SameFile(e.Info, t.current.info) || !logfile.Compressed(e.Path) && e.Info.Size() < t.current.offset
	})
	if i := find(copies, t.current.identity()); i >= 0 {
		return openAgain(copies[i], t.current.identity(), t.current.offset)
	}
	rest := newer(entries, t.stamp())
	if at := indexOf(entries, t.current); at >= 0 && len(entries[at:]) > len(rest) {
		rest = entries[at:] // it was only shortened: read it again
	}
	chosen, err := t.openFirst(rest)
	chosen.loss = errEmptied
	return chosen, err
}

// checkpoint translates a stream position into a place that can be found again. It drops
// the segments before that.
func (t *trail) checkpoint(at correlate.Position) checkpoint {
	for len(t.segments) > 1 && t.segments[1].start <= at {
		t.segments = t.segments[1:]
	}
	if len(t.segments) == 0 {
		return checkpoint{Version: checkpointVersion, First: t.done}
	}
	oldest := t.segments[0]
	stamp, ok := logfile.FirstStamp(oldest.file.prefix)
	if !ok {
		stamp = oldest.done
	}
	return checkpoint{
		Version:  checkpointVersion,
		identity: oldest.file.identity(),
		Offset:   int64(at - oldest.file.base),
		First:    stamp,
	}
}

// behind returns how many bytes are left to read; compressed files count with their
// compressed size.
func (t *trail) behind() int64 {
	if t.current == nil {
		return 0
	}
	bytes := t.current.behind()
	if t.following == nil {
		return bytes
	}
	bytes += t.following.info.Size()
	if entries, err := logfile.List(t.path); err == nil {
		for _, e := range entries[indexOf(entries, t.following)+1:] {
			bytes += e.Info.Size()
		}
	}
	return bytes
}

func (t *trail) close() error {
	var errs []error
	for _, file := range []*logFile{t.current, t.following} {
		if file != nil {
			errs = append(errs, file.close())
		}
	}
	return errors.Join(errs...)
}
