// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/moby/sys/capability"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kernellog"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// Source is the value of kill.source.
	Source = "kmsg"
	// device is the kernel's log (Documentation/ABI/testing/dev-kmsg).
	device = "/dev/kmsg"
	// maxRecord is more than the kernel returns at once (kernel/printk, CONSOLE_EXT_LOG_MAX, PRINTK_MESSAGE_MAX).
	maxRecord = 16 << 10
	// pause follows an error that should not be, so that it does not use up a processor.
	pause = time.Second
)

// Config configures a Watcher.
type Config struct {
	// Root is where the host's root directory is mounted; empty for /.
	Root   string
	Logger *zap.Logger
	// Panics contains a panic while a message is worked on.
	Panics *panics.Guard
	// Lose counts messages that the kernel has overwritten before they were read.
	Lose func(messages int64)
	// Boot identifies the boot of the host.
	Boot string
	// From is where an earlier run has ended, the zero value if there was none; nil if nobody will ask for Place.
	From *Place
	// EachVictim makes an event of each victim, as soon as its line is read (kernellog.Parser).
	EachVictim bool
}

// Watcher reads the kernel's log.
type Watcher struct {
	config Config
	file   *os.File
	clock  *clock
	parser kernellog.Parser
	buffer [maxRecord]byte
	// sequence is the number of the last record, overrun is true if some after it were overwritten.
	sequence uint64
	overrun  bool
	// told is the number of the last record that an earlier run has reported.
	told  uint64
	place atomic.Pointer[Place]
}

// New returns a Watcher that has opened nothing yet.
func New(config Config) *Watcher {
	return &Watcher{config: config, clock: newClock(), parser: kernellog.Parser{Source: Source, EachVictim: config.EachVictim}}
}

// Start opens the log. From then on nothing is missed. It fails if a person has to fix something.
func (w *Watcher) Start() error {
	file, err := open(w.config.Root)
	if err != nil {
		return err
	}
	w.file = file
	if w.config.From == nil {
		_, err = file.Seek(0, io.SeekEnd)
	} else {
		err = w.catchUp()
	}
	if err != nil {
		w.file = nil
		return errors.Join(err, file.Close())
	}
	return nil
}

// Check reports whether the log can be read, as Start does.
func Check(root string) error {
	file, err := open(root)
	if err != nil {
		return err
	}
	return file.Close()
}

// open opens the log at its beginning.
func open(root string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join("/", root, device), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explain(err)
	}
	return file, nil
}

// explain says what to do about a log that cannot be opened (kernel/printk/printk.c, check_syslog_permissions).
func explain(err error) error {
	p := &problem.Problem{Err: err}
	switch {
	case errors.Is(err, os.ErrPermission):
		p.Lacking = privilege.Lacking(capability.CAP_SYSLOG)
		p.Fix = "in a systemd unit set ProtectKernelLogs=no and DeviceAllow=/dev/kmsg r; a container has to be privileged"
	case errors.Is(err, os.ErrNotExist):
		p.Fix = "mount the host's /dev/kmsg; in a systemd unit set PrivateDevices=no"
	}
	return p
}

// Run reports kills until ctx is done.
func (w *Watcher) Run(ctx context.Context, report func([]*kill.Event)) {
	// A deadline in the past wakes the reader.
	defer context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })()
	w.hand(report)
	w.advance()
	for {
		_ = w.file.SetReadDeadline(w.deadline()) // fails only if the file is closed
		if ctx.Err() != nil {
			break
		}
		if !w.read(ctx) {
			break
		}
		w.hand(report)
		w.advance()
	}
	w.parser.Flush()
	w.hand(report)
	w.advance()
}

// deadline returns when the report that is being read is complete; the zero time if there is none.
func (w *Watcher) deadline() time.Time {
	due := w.parser.Due()
	if due.IsZero() {
		return due
	}
	// The clock may have been set meanwhile.
	return time.Now().Add(min(max(time.Until(due), time.Millisecond), kernellog.SettleGroup))
}

// read reads one record. It reports whether there may be more.
func (w *Watcher) read(ctx context.Context) bool {
	defer w.config.Panics.Contain("reading the kernel's log")
	n, err := w.file.Read(w.buffer[:])
	switch {
	case err == nil:
		w.add(w.buffer[:n])
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.parser.Flush()
	case errors.Is(err, unix.EPIPE): // overwritten before it was read
		w.overrun = true
	case errors.Is(err, os.ErrClosed):
		return false
	default:
		w.config.Logger.Warn("the kernel's log cannot be read", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return true
}

func (w *Watcher) add(data []byte) {
	record, err := kernellog.ParseRecord(data)
	if err != nil {
		return // a newer kernel's
	}
	if w.overrun {
		w.overrun = false
		w.parser.Lost()
		if w.sequence != 0 && record.Sequence > w.sequence {
			w.config.Lose(int64(record.Sequence - w.sequence - 1))
		} else {
			w.config.Lose(1)
		}
	}
	w.sequence = record.Sequence
	at := w.clock.time(record.SinceBoot)
	if record.Kernel {
		w.parser.Add(kernellog.Message{Time: at, Text: record.Text, Caller: record.Caller, ID: w.id(record.Sequence)})
	}
	if record.Sequence <= w.told {
		w.parser.Forget()
	}
}

func (w *Watcher) hand(report func([]*kill.Event)) {
	events := w.parser.Take()
	if len(events) == 0 {
		return
	}
	for _, e := range events {
		w.identify(&e.OutOfMemory.Invoker)
	}
	report(events)
}

// identify finds out to which process the thread belongs that asked for memory. It has mostly not ended yet.
func (w *Watcher) identify(invoker *kill.Process) {
	if invoker.ThreadID == 0 || invoker.PID != 0 {
		return
	}
	proc := filepath.Join("/", w.config.Root, "proc", strconv.Itoa(invoker.ThreadID))
	name, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || string(bytes.TrimSuffix(name, []byte("\n"))) != invoker.Command {
		return
	}
	status, _ := os.ReadFile(filepath.Join(proc, "status"))
	for line := range bytes.Lines(status) {
		if id, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			invoker.PID, _ = strconv.Atoi(string(bytes.TrimSpace(id)))
			return
		}
	}
}

// Close releases what Start has opened. It is called after Run, or instead of it.
func (w *Watcher) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
