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
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/progress"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
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
	// histories are what collectors have recorded.
	histories []*history.History
	// own is true if the user has named none, so that these are this host's.
	own   bool
	bar   *progress.Bar
	notes *notes
	// journal is what journalctl prints, if that was asked for.
	journal io.Closer
	// interrupt ends all reading, as Ctrl-C does.
	interrupt context.CancelFunc
}

// openLogs opens the logs that the user names or, if he names none, those of this host. If one cannot be opened, the
// others are still read. If asked is not nil, the journal is read with those that are named.
func openLogs(cmd *cobra.Command, paths []string, recorded string, asked *selection.Config) (*logs, error) {
	ctx, cancel := context.WithCancel(cmd.Context())
	l := &logs{notes: newNotes(cmd.ErrOrStderr()), interrupt: cancel}
	if asked != nil {
		if err := l.openJournal(ctx, asked); err != nil {
			cancel()
			return nil, err
		}
		l.own = len(paths) == 0
	}
	if len(paths) == 0 && asked == nil {
		if err := l.openOwn(ctx, recorded); err != nil {
			cancel()
			return nil, err
		}
		l.show(ctx, cmd)
		return l, nil
	}
	for _, path := range paths {
		if path == "" {
			cancel()
			return nil, errors.New("the name of a log is empty")
		}
		if path == standardInput && slices.Contains(l.paths, nameOf(path)) {
			continue
		}
		err := l.openNamed(ctx, cmd.InOrStdin(), path)
		if err == nil {
			continue
		}
		err = orTarget(withFix(err), path)
		if len(paths) == 1 {
			cancel()
			return nil, err
		}
		l.notes.fail(err)
	}
	l.show(ctx, cmd)
	return l, nil
}

// openNamed opens a log or a history that the user names.
func (l *logs) openNamed(ctx context.Context, in io.Reader, path string) error {
	if isHistory(path) {
		return l.openHistory(ctx, path)
	}
	opened, err := l.open(ctx, in, path)
	if err == nil {
		l.add(nameOf(path), opened)
	}
	return err
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
	for _, recorded := range l.histories {
		if total >= 0 {
			total += recorded.Size()
		}
		recorded.Progress = l.addProgress
		recorded.Problem = func(err error) {
			if ctx.Err() == nil {
				l.notes.unreadable(err)
			}
		}
	}
	if on := terminal.Of(cmd.ErrOrStderr()); on.IsTerminal {
		l.bar = progress.New(cmd.ErrOrStderr(), on.Width, total)
		l.notes.out = l.bar.Above(l.notes.out)
	}
	boot := &oomwatch.History{}
	for _, log := range l.opened {
		log.Boot = boot
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
		case slices.Contains([]string{".bz2", ".lz4", ".Z"}, filepath.Ext(path)):
			packed = append(packed, path)
		default:
			dated = append(dated, path)
		}
	}
	if len(dated) > 0 {
		l.notes.keep("not read because their names do not show the order; name them to read them: %s", some(dated))
	}
	if len(packed) > 0 {
		l.notes.keep("not read because of how they are compressed; `bzcat FILE | auditkill report -` or the like reads them: %s", some(packed))
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
func (l *logs) events() []iter.Seq[telling.Telling] {
	var all []iter.Seq[telling.Telling]
	for _, log := range l.opened {
		all = append(all, chronology.Ahead(audited(explained(log))))
	}
	for _, recorded := range l.histories {
		all = append(all, chronology.Ahead(l.recorded(recorded)))
	}
	return all
}

// merged returns the events of all logs in order, each signal once.
func (l *logs) merged() iter.Seq[telling.Telling] {
	merged := chronology.Once(chronology.Merged(l.events()...), func(t telling.Telling) *kill.Event { return t.Event })
	if len(l.histories) == 0 {
		return merged
	}
	return telling.Once(merged)
}

// severalNamed reports whether the user has named several logs, which may be those of several hosts.
func (l *logs) severalNamed() bool { return !l.own && len(l.opened)+len(l.histories) > 1 }

// lookAhead is for how long after a signal of systemd records are read that may explain it: a service takes some
// time to stop.
const lookAhead = 2 * time.Second

// explained returns the events of a log with what its other records say is behind them.
func explained(log *auditlog.Log) iter.Seq[*kill.Event] {
	table := attribution.New(attribution.Config{})
	log.Fact = table.Learn
	log.Wait = func(e *kill.Event) time.Duration {
		if attribution.Managed(e) {
			return lookAhead
		}
		return 0
	}
	events := log.Events(correlate.Config{Timeout: correlate.DefaultTimeout, MaxPending: correlate.DefaultMaxPending})
	return func(yield func(*kill.Event) bool) {
		for e := range events {
			table.Explain(e)
			if !yield(e) {
				return
			}
		}
	}
}

// noteForeign reports the histories that are none: no collector has written any of their lines.
func (l *logs) noteForeign() {
	for _, recorded := range l.histories {
		if recorded.Foreign() {
			l.notes.fail(fmt.Errorf("%s: none of its %d lines has log records in OTLP JSON, as the file exporter of a collector writes them",
				recorded.Path(), recorded.Lines()))
		}
	}
}

// disbelieved reports whether there are records that were not believed.
func (l *logs) disbelieved() bool {
	return slices.ContainsFunc(l.opened, func(log *auditlog.Log) bool { return log.Disbelieved().Records > 0 })
}

// noteDoubts says what is not certain about kernel logs, and what was not believed.
func (l *logs) noteDoubts() {
	for i, log := range l.opened {
		if d := log.Disbelieved(); d.Records > 0 {
			l.notes.say("%s: not believed: %d lines that look like %s: %s", l.paths[i], d.Records, d.Looks, d.Helps)
		}
		doubts := log.Doubts()
		if doubts&auditlog.Forgeable != 0 {
			l.notes.say("%s: any user may have had a line written to it that looks like the kernel's; journalctl -k has the kernel's only", l.paths[i])
		}
		if doubts&auditlog.NoYear != 0 {
			l.notes.say("%s: its times have no year; taken for the last year that they fit; journalctl -k -o short-iso has one", l.paths[i])
		}
		if doubts&auditlog.SinceBoot != 0 {
			l.notes.say("%s: its times are those since boot; the clock may differ by some seconds; journalctl -k has it", l.paths[i])
		}
	}
}

// contain reports whether a file is one of those being read.
func (l *logs) contain(info fs.FileInfo) bool {
	return slices.ContainsFunc(l.opened, func(log *auditlog.Log) bool { return log.Contains(info) }) ||
		slices.ContainsFunc(l.histories, func(h *history.History) bool { return h.Contains(info) })
}

// span returns the times of the first and the last record, and how many lines were read.
func (l *logs) span() (first, last time.Time, lines int64) {
	wider := func(begin, end time.Time) {
		if first.IsZero() || !begin.IsZero() && begin.Before(first) {
			first = begin
		}
		if end.After(last) {
			last = end
		}
	}
	for _, log := range l.opened {
		wider(log.Span())
		lines += log.Lines()
	}
	for _, recorded := range l.histories {
		wider(recorded.Span())
		lines += recorded.Lines()
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

// orTarget asks of a log that does not exist, and whose name is none of a log, whether a target of that name is meant.
func orTarget(err error, path string) error {
	if !errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(path, "./") {
		return err
	}
	return fmt.Errorf("%w; did you mean --target %s?", err, path)
}

// withFix adds what to do about a log that cannot be opened.
func withFix(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && filepath.Base(at.Path) != filepath.Base(capture.DefaultLog) && at.Path != filepath.Dir(capture.DefaultLog):
		return fmt.Errorf("%s: %w: run it as root", at.Path, at.Err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: run it as root or with CAP_DAC_READ_SEARCH, or set log_group in auditd.conf to a group of yours",
			at.Path, at.Err)
	case errors.Is(err, fs.ErrNotExist) && at.Path == capture.DefaultLog:
		return fmt.Errorf("%s: %w: is auditd installed and running? Or the service otelcol-auditkill, which remembers what it sees? "+
			"`auditkill watch` works without them, and `auditkill doctor` shows what this host needs", at.Path, at.Err)
	}
	return fmt.Errorf("%s: %w", at.Path, at.Err)
}
