// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/chronology"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/progress"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxLinks is how many links the kernel follows (include/linux/namei.h).
	maxLinks = 40
	// standardInput is the name of standard input among the files.
	standardInput = "-"
)

// logs are the logs of a report.
type logs struct {
	opened []*auditlog.Log
	// paths are what the user calls them.
	paths []string
	bar   *progress.Bar
	notes *notes
	// interrupt ends all reading, as Ctrl-C does.
	interrupt context.CancelFunc
}

// openLogs opens the logs that the user names. If one cannot be opened, the others are still
// read.
func openLogs(cmd *cobra.Command, paths []string) (*logs, error) {
	ctx, cancel := context.WithCancel(cmd.Context())
	l := &logs{notes: newNotes(cmd.ErrOrStderr()), interrupt: cancel}
	if len(paths) == 0 {
		paths = []string{capture.DefaultLog}
	}
	for _, path := range paths {
		if path == "" {
			cancel()
			return nil, errors.New("the name of a log is empty")
		}
		if path == standardInput && slices.Contains(l.paths, nameOf(path)) {
			continue
		}
		opened, err := l.open(ctx, cmd.InOrStdin(), path)
		if err == nil {
			l.add(nameOf(path), opened)
			continue
		}
		err = withFix(err)
		if len(paths) == 1 {
			cancel()
			return nil, err
		}
		l.notes.fail(err)
	}
	l.show(ctx, cmd)
	return l, nil
}

func nameOf(path string) string {
	if path == standardInput {
		return "standard input"
	}
	return path
}

// open opens a log, and closes it when ctx is done.
func (l *logs) open(ctx context.Context, in io.Reader, path string) (*auditlog.Log, error) {
	if path == standardInput {
		return auditlog.New(nameOf(path), interruptible(ctx, in)), nil
	}
	if isStream(path) {
		return auditlog.New(path, interruptible(ctx, &stream{path: path})), nil
	}
	opened, err := auditlog.Open(path)
	if err == nil {
		context.AfterFunc(ctx, opened.Close)
	}
	return opened, err
}

// add adds a log, unless it is a part of another one: audit.log* names all its parts.
func (l *logs) add(path string, added *auditlog.Log) {
	for i, other := range l.opened {
		if added.Same(other) || added.Within(other) {
			added.Close()
			return
		}
		if other.Within(added) {
			other.Close()
			l.opened, l.paths = slices.Delete(l.opened, i, i+1), slices.Delete(l.paths, i, i+1)
			l.add(path, added)
			return
		}
	}
	l.opened, l.paths = append(l.opened, added), append(l.paths, path)
}

// show shows the progress on a terminal.
func (l *logs) show(ctx context.Context, cmd *cobra.Command) {
	total := int64(0)
	for _, log := range l.opened {
		if size := log.Size(); size < 0 || total < 0 {
			total = -1
		} else {
			total += size
		}
	}
	if on := terminal.Of(cmd.ErrOrStderr()); on.IsTerminal {
		l.bar = progress.New(cmd.ErrOrStderr(), on.Width, total)
		l.notes.out = l.bar.Above(l.notes.out)
	}
	for _, log := range l.opened {
		log.Share = len(l.opened)
		l.noteUnread(log.Unread())
		log.Progress = l.bar.Add
		log.Problem = func(p auditlog.Problem) {
			if ctx.Err() == nil { // otherwise the log was closed on purpose
				l.notes.problem(p)
			}
		}
	}
}

// noteUnread reports the files beside a log that are not read, unless they were named, too.
func (l *logs) noteUnread(paths []string) {
	var dated, packed []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err == nil && l.contain(info):
		case slices.Contains([]string{".xz", ".bz2", ".zst", ".lz4", ".Z"}, filepath.Ext(path)):
			packed = append(packed, path)
		default:
			dated = append(dated, path)
		}
	}
	if len(dated) > 0 {
		l.notes.keep("not read because their names do not show the order; name them to read them: %s", some(dated))
	}
	if len(packed) > 0 {
		l.notes.keep("not read because gzip has not compressed them; `xzcat FILE | auditkill report -` or the like reads them: %s", some(packed))
	}
}

// some names the last few of many files, which are the newest.
func some(paths []string) string {
	const most = 5
	if len(paths) <= most {
		return strings.Join(paths, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[len(paths)-most:], " "), len(paths)-most)
}

// events returns the events of each log in order.
func (l *logs) events() []iter.Seq[*kill.Event] {
	var all []iter.Seq[*kill.Event]
	for _, log := range l.opened {
		events := log.Events(correlate.Config{Timeout: correlate.DefaultTimeout, MaxPending: correlate.DefaultMaxPending})
		all = append(all, chronology.Ahead(events))
	}
	return all
}

// contain reports whether a file is one of those being read.
func (l *logs) contain(info fs.FileInfo) bool {
	return slices.ContainsFunc(l.opened, func(log *auditlog.Log) bool { return log.Contains(info) })
}

// span returns the times of the first and the last record, and how many lines were read.
func (l *logs) span() (first, last time.Time, lines int64) {
	for _, log := range l.opened {
		begin, end := log.Span()
		if first.IsZero() || !begin.IsZero() && begin.Before(first) {
			first = begin
		}
		if end.After(last) {
			last = end
		}
		lines += log.Lines()
	}
	return first, last, lines
}

func (l *logs) close() {
	l.bar.Finish()
	l.interrupt()
}

// isStream reports whether a path leads to something that has no rotated files beside it: a
// pipe, a device, or an open file such as /dev/stdin.
func isStream(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}
	for range maxLinks {
		if strings.HasPrefix(path, "/proc/") {
			return true
		}
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return !info.Mode().IsRegular()
}

// stream is a file that may block when it is opened, such as a named pipe.
type stream struct {
	path string
	file *os.File
}

// Read opens the file the first time.
func (s *stream) Read(p []byte) (n int, err error) {
	if s.file == nil {
		if s.file, err = os.Open(s.path); err != nil {
			return 0, err
		}
	}
	if n, err = s.file.Read(p); err != nil {
		_ = s.file.Close() // was only read from
	}
	return n, err
}

// interruptible returns a reader that ends when ctx is done: a read from a terminal or a pipe
// may block for ever.
func interruptible(ctx context.Context, in io.Reader) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, in)
		_ = writer.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) }) // never fails
	return reader
}

// withFix adds what to do about a log that cannot be opened.
func withFix(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: run it as root or with CAP_DAC_READ_SEARCH, or set log_group in auditd.conf to a group of yours",
			at.Path, at.Err)
	case errors.Is(err, fs.ErrNotExist) && at.Path == capture.DefaultLog:
		return fmt.Errorf("%s: %w: is auditd installed and running? `auditkill watch` works without it, "+
			"and `auditkill doctor` shows what this host needs", at.Path, at.Err)
	}
	return fmt.Errorf("%s: %w", at.Path, at.Err)
}
