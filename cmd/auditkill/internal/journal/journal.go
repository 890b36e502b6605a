// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package journal asks the systemd journal how a unit's main process ended. It runs journalctl, which reads what the
// user may read.
package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	// patience is how long journalctl may take: it reads a journal of gigabytes for something that is not in it.
	patience = 10 * time.Second
	// maxEntries is how many entries are read, maxLine how long one may be.
	maxEntries = 100
	maxLine    = 1 << 20
)

// ErrMissing says that there is no journalctl.
var ErrMissing = errors.New("no journalctl on this host")

// The entries that say how a unit's process ended, by the ids that systemd gives them (sd-messages.h).
const (
	processExit   = "98e322203f7a4ed290d09fe03c09fe15" // SD_MESSAGE_UNIT_PROCESS_EXIT
	failureResult = "d9b373ed55a64feb8242e02dbe79a49c" // SD_MESSAGE_UNIT_FAILURE_RESULT
	outOfMemory   = "fe6faa94e7774663a0da52717891d8ef" // SD_MESSAGE_UNIT_OUT_OF_MEMORY
)

// Entry is what systemd has said about a unit.
type Entry struct {
	Time time.Time
	// Message is systemd's sentence.
	Message string
	// Ended is true if it is about the end of a process.
	Ended bool
}

// Journal is the journal of this host.
type Journal struct {
	// program is the path of journalctl.
	program string
}

// Open finds journalctl.
func Open() (*Journal, error) {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return nil, ErrMissing
	}
	return &Journal{program: program}, nil
}

// Ends returns what systemd has said between two times about how a unit ended, the oldest first.
func (j *Journal) Ends(ctx context.Context, unit string, from, until time.Time) ([]Entry, error) {
	return j.read(ctx, unit, "--since=@"+strconv.FormatInt(from.Unix(), 10), "--until=@"+strconv.FormatInt(until.Unix()+1, 10))
}

// LastEnd returns what systemd has said last about the end of a unit's process until some time; zero for now. It is nil
// if it has said nothing.
func (j *Journal) LastEnd(ctx context.Context, unit string, until time.Time) (*Entry, error) {
	arguments := []string{"--reverse", "--lines=" + strconv.Itoa(maxEntries)}
	if !until.IsZero() {
		arguments = append(arguments, "--until=@"+strconv.FormatInt(until.Unix()+1, 10))
	}
	entries, err := j.read(ctx, unit, arguments...)
	for i := range entries {
		if entries[i].Ended {
			return &entries[i], err
		}
	}
	return nil, err
}

// read runs journalctl. Only the host's first process counts: anybody can write the rest into the journal.
func (j *Journal) read(ctx context.Context, unit string, arguments ...string) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	arguments = append(arguments, "--quiet", "--no-pager", "--output=json", "_PID=1", "UNIT="+unit,
		"MESSAGE_ID="+processExit, "MESSAGE_ID="+failureResult, "MESSAGE_ID="+outOfMemory)
	command := exec.CommandContext(ctx, j.program, arguments...) //nolint:gosec // each is one argument, and no shell reads it
	var said bytes.Buffer
	command.Stderr = &limited{&said, maxLine}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	err = command.Start()
	if err != nil {
		return nil, err
	}
	entries := parse(out)
	_, _ = io.Copy(io.Discard, out) // so that it can end
	err = command.Wait()
	switch {
	case ctx.Err() != nil:
		return entries, fmt.Errorf("journalctl took longer than %s", patience)
	case err != nil:
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return entries, fmt.Errorf("journalctl: %w: %s", err, first)
	}
	return entries, nil
}

// parse reads entries, as many as anybody wants.
func parse(in io.Reader) (entries []Entry) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for len(entries) < maxEntries && lines.Scan() {
		var entry struct {
			Time    string `json:"__REALTIME_TIMESTAMP"`
			ID      string `json:"MESSAGE_ID"`
			Message any    `json:"MESSAGE"` // a list of numbers if it is no text
		}
		if json.Unmarshal(lines.Bytes(), &entry) != nil {
			continue
		}
		message, isText := entry.Message.(string)
		microseconds, err := strconv.ParseInt(entry.Time, 10, 64)
		if !isText || err != nil {
			continue
		}
		entries = append(entries, Entry{Time: time.UnixMicro(microseconds), Message: message, Ended: entry.ID == processExit})
	}
	return entries
}

// limited is a writer that forgets what is too much.
type limited struct {
	out  *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.out.Write(p[:n])
	return len(p), nil
}
