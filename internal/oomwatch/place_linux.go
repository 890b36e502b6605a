// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kernellog"
)

// maxRing is more records than the kernel's buffer holds, unless somebody has made it larger than 100 MB, so that reading
// them ends however fast others are written.
const maxRing = 1 << 20

// catchUp reads what the log holds, from its beginning. It keeps what was written after the place where an earlier run of
// the same boot has ended, and nothing if there was none.
func (w *Watcher) catchUp() error {
	resumes := w.config.From.Boot == w.config.Boot && w.config.Boot != ""
	if resumes {
		w.told = w.config.From.Sequence
		w.clock.resume(w.config.From.Ahead)
	}
	connection, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = connection.Control(func(fd uintptr) {
		for i := 0; i < maxRing && failed == nil; i++ {
			failed = w.readAhead(int(fd), resumes)
		}
	})
	if !errors.Is(failed, unix.EAGAIN) {
		err = errors.Join(err, failed)
	}
	w.told = min(w.told, w.sequence) // the numbers may have begun anew: a snapshot of the machine was restored
	return err
}

// readAhead reads one record, if there is one.
func (w *Watcher) readAhead(fd int, resumes bool) error {
	n, err := unix.Read(fd, w.buffer[:]) // which does not wait
	if errors.Is(err, unix.EPIPE) {
		w.overrun = resumes
		return nil
	}
	if err != nil {
		return err
	}
	if resumes {
		w.resume(w.buffer[:n])
	} else if record, err := kernellog.ParseRecord(w.buffer[:n]); err == nil {
		w.sequence = record.Sequence
	}
	return nil
}

// resume adds a record. What is missing between the place where the last run has ended and the first record was
// overwritten.
func (w *Watcher) resume(data []byte) {
	if record, err := kernellog.ParseRecord(data); err == nil && w.sequence == 0 && record.Sequence > w.told+1 {
		w.sequence, w.overrun = w.told, true
	}
	w.add(data)
}

// Place returns the place up to which everything was passed to the function that Run was given; nil if that is not known
// yet. It is safe for concurrent use.
func (w *Watcher) Place() *Place { return w.place.Load() }

// advance moves the place to the last record, unless something of a report is still to come.
func (w *Watcher) advance() {
	if w.config.From == nil || !w.parser.Due().IsZero() {
		return
	}
	if last := w.place.Load(); w.sequence != 0 && (last == nil || last.Sequence != w.sequence) {
		w.place.Store(&Place{Boot: w.config.Boot, Sequence: w.sequence, Ahead: w.clock.offset})
	}
}

// id identifies a record.
func (w *Watcher) id(sequence uint64) string {
	if w.config.Boot == "" {
		return ""
	}
	return w.config.Boot + "/" + strconv.FormatUint(sequence, 10)
}
