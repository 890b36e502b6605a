// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// keeper keeps every file open that auditd writes, so that a file can still be read
// after it was removed.
type keeper struct {
	t     *testing.T
	log   string
	files map[uint64]*os.File
}

func newKeeper(t *testing.T, log string) *keeper {
	t.Helper()
	k := &keeper{t: t, log: log, files: make(map[uint64]*os.File)}
	t.Cleanup(k.close)
	return k
}

// openNew opens the files that are new.
func (k *keeper) openNew() {
	paths, _ := filepath.Glob(k.log + "*") // the pattern is valid
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			continue // rotated meanwhile: it has another name now, and is opened next time
		}
		info, err := file.Stat()
		stat, ok := info.Sys().(*syscall.Stat_t)
		if err == nil && ok && k.files[stat.Ino] == nil {
			k.files[stat.Ino] = file
			continue
		}
		_ = file.Close() // it was only read
	}
}

func (k *keeper) close() {
	for _, file := range k.files {
		_ = file.Close() // it was only read
	}
}

var (
	killCallPattern = regexp.MustCompile(`^type=SYSCALL msg=audit\((\d+)\.(\d+):(\d+)\): ` +
		`arch=(?:c000003e syscall=62|c00000b7 syscall=129) .* a0=(\w+) a1=(?:0|12) .* pid=(\d+) `)
	objectPattern = regexp.MustCompile(`^type=OBJ_PID msg=audit\((\d+)\.(\d+):(\d+)\): opid=(\d+) `)
)

// recordedCall is a call that the collector must report.
type recordedCall struct {
	// requested is the pid argument of the call.
	requested int
	sender    int
	targets   []int
}

// calls reads all files, in any order. The kernel drops records if auditd gets too little time to
// run, perhaps only some records of an event; what was written counts.
func (k *keeper) calls() map[otlp.Key]*recordedCall {
	calls := make(map[otlp.Key]*recordedCall)
	at := func(match []string) *recordedCall {
		stamp := otlp.Key{Milliseconds: stampOf(match), Serial: harness.Number(match[3])}
		if calls[stamp] == nil {
			calls[stamp] = new(recordedCall)
		}
		return calls[stamp]
	}
	for line := range k.lines() {
		if match := objectPattern.FindStringSubmatch(line); match != nil {
			call := at(match)
			call.targets = append(call.targets, harness.Number(match[4]))
		} else if match := killCallPattern.FindStringSubmatch(line); match != nil {
			call := at(match)
			requested, _ := strconv.ParseUint(match[4], 16, 64)
			call.requested, call.sender = int(max(0, int32(uint32(requested)))), harness.Number(match[5])
		}
	}
	return calls
}

// stampOf returns the time that the first two groups of a pattern matched, in milliseconds.
func stampOf(match []string) int64 {
	return int64(harness.Number(match[1]))*1000 + int64(harness.Number(match[2]))
}

// lines yields the lines of all files.
func (k *keeper) lines() func(func(string) bool) {
	return func(yield func(string) bool) {
		k.openNew()
		for _, file := range k.files {
			reader := bufio.NewReader(io.NewSectionReader(file, 0, math.MaxInt64))
			for line, err := reader.ReadString('\n'); err == nil; line, err = reader.ReadString('\n') {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// awaitQuiet waits until auditd has written all records that the kernel holds.
func (k *keeper) awaitQuiet() {
	k.t.Helper()
	size := int64(-1)
	require.Eventually(k.t, func() bool {
		last := size
		size = k.size()
		return size == last && strings.Contains(audit.Auditctl(k.t, "-s"), "backlog 0\n")
	}, harness.Patience, 300*time.Millisecond, "auditd has written everything")
}

// size returns the total size of all files.
func (k *keeper) size() int64 {
	k.openNew()
	var sum int64
	for _, file := range k.files {
		info, err := file.Stat()
		if err != nil {
			k.t.Errorf("auditd's log: %v", err)
			return -1
		}
		sum += info.Size()
	}
	return sum
}

// written counts the calls of one sender.
func (k *keeper) written(sender int) int {
	count := 0
	for _, call := range k.calls() {
		if call.sender == sender {
			count++
		}
	}
	return count
}

// all returns the keys of the log records that must be delivered, for all senders.
func (k *keeper) all() []otlp.Key { return k.keys(func(int) bool { return true }) }

// by returns the keys for one sender.
func (k *keeper) by(pid int) []otlp.Key {
	return k.keys(func(sender int) bool { return sender == pid })
}

func (k *keeper) keys(wanted func(sender int) bool) []otlp.Key {
	var keys []otlp.Key
	for stamp, call := range k.calls() {
		if !wanted(call.sender) {
			continue
		}
		if call.targets == nil {
			call.targets = []int{call.requested}
		}
		for _, pid := range call.targets {
			keys = append(keys, otlp.Key{Milliseconds: stamp.Milliseconds, Serial: stamp.Serial, PID: pid})
		}
	}
	return keys
}
