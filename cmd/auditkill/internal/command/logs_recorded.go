// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/journal"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// openOwn opens what this host has: the audit log, and what a collector has recorded. One of them is enough.
func (l *logs) openOwn(ctx context.Context, recorded string) error {
	l.own = true
	opened, err := l.open(ctx, nil, capture.DefaultLog)
	if err == nil {
		l.add(capture.DefaultLog, opened)
	}
	wrong := l.openHistory(ctx, recorded)
	missing := errors.Is(wrong, fs.ErrNotExist)
	switch {
	case err != nil && wrong != nil && (missing || !errors.Is(err, fs.ErrNotExist)):
		return withFix(err)
	case err != nil && wrong != nil:
		return withFix(wrong)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		l.notes.fail(withFix(err))
	case wrong != nil && !missing:
		l.notes.fail(withFix(wrong))
	}
	return nil
}

// openJournal opens what the journal has, as far as it may matter.
func (l *logs) openJournal(ctx context.Context, asked *selection.Config) error {
	const name = "the journal"
	until := asked.Until
	if !until.IsZero() {
		until = until.Add(lookAhead) // what comes after it may explain it
	}
	opened, err := journal.OpenRecords(ctx, asked.Since, until)
	if err != nil {
		return fmt.Errorf("--journal: %w", err)
	}
	l.journal = opened
	l.add(name, auditlog.New(name, opened))
	return nil
}

// closeJournal reports that the journal could not be read to its end.
func (l *logs) closeJournal() {
	if l.journal == nil {
		return
	}
	if err := l.journal.Close(); err != nil {
		l.notes.fail(fmt.Errorf("the journal: %w", err))
	}
}

// openHistory opens what a collector has recorded, and closes it when ctx is done.
func (l *logs) openHistory(ctx context.Context, path string) error {
	opened, err := history.Open(path)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, opened.Close)
	l.histories, l.paths = append(l.histories, opened), append(l.paths, opened.Path())
	return nil
}

// isHistory reports whether a path is that of a history: a file with log records in OTLP JSON, or a directory with
// such a file in it.
func isHistory(path string) bool {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		_, err = os.Stat(filepath.Join(path, history.FileName))
		return err == nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 4096)
	n, _ := io.ReadFull(file, head) // a shorter file is one as well
	return bytes.Contains(head[:n], []byte(`{"resourceLogs":`))
}

func (l *logs) addProgress(n int64) { l.bar.Add(n) }

// audited returns the events of an audit log.
func audited(events iter.Seq[*kill.Event]) iter.Seq[telling.Telling] {
	return func(yield func(telling.Telling) bool) {
		for e := range events {
			if !yield(telling.Telling{Event: e, Host: e.Audit.Node}) {
				return
			}
		}
	}
}

// recorded returns the events of a history.
func (l *logs) recorded(h *history.History) iter.Seq[telling.Telling] {
	several := l.severalNamed()
	return func(yield func(telling.Telling) bool) {
		for e := range h.Events() {
			if several {
				e.File = cmp.Or(e.HostName, e.File, h.Path())
			}
			if !yield(telling.Telling{Event: e.Event, Record: &e.Record, Host: cmp.Or(e.Audit.Node, e.HostName)}) {
				return
			}
		}
	}
}
