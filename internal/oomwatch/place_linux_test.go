// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
)

// boot identifies the boot of this host.
const boot = "this boot"

// runOnce runs a Watcher that begins at a place until it has read all that there is. It returns the kills of a process.
func runOnce(t *testing.T, from Place, pid int) (kills []*kill.Event, end *Place) {
	t.Helper()
	logger := zaptest.NewLogger(t)
	w := New(Config{
		Logger: logger, Panics: panics.NewGuard(logger), Lose: func(int64) {}, Boot: boot, From: &from,
	})
	if err := w.Start(); err != nil {
		audittest.Skip(t, "the kernel's log cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx, func(found []*kill.Event) {
		for _, e := range found {
			for i := range e.Targets {
				if e.Targets[i].PID == pid {
					kills = append(kills, e)
				}
			}
		}
	})
	require.NoError(t, w.Close())
	require.NotNil(t, w.Place())
	return kills, w.Place()
}

// What was killed while nothing was running is reported once, with the time at which it was killed.
func TestResumes(t *testing.T) {
	t.Parallel()
	folder := memoryGroup(t, fmt.Sprintf("/oomwatch-resumes-%d", os.Getpid()), 32<<20)
	_, before := runOnce(t, Place{}, 0)
	assert.Equal(t, boot, before.Boot)

	process, eat := hog(t, folder, "", 0)
	began := time.Now()
	died := eat()
	pid := process.Process.Pid
	time.Sleep(100 * time.Millisecond) // so that a time of reading is another one

	kills, after := runOnce(t, *before, pid)
	require.Len(t, kills, 1)
	assert.WithinRange(t, kills[0].Time, began.Add(-clockError), died.Add(clockError))
	assert.Greater(t, after.Sequence, before.Sequence)
	again, _ := runOnce(t, *before, pid)
	require.Len(t, again, 1, "its place was not stored")
	assert.Equal(t, kills[0].LogRecord, again[0].LogRecord)
	assert.NotEmpty(t, again[0].LogRecord)

	for name, from := range map[string]Place{
		"after it":        *after,
		"another boot":    {Boot: "another boot", Sequence: before.Sequence},
		"no place":        {},
		"numbers are new": {Boot: boot, Sequence: after.Sequence + 1<<40, Ahead: after.Ahead},
	} {
		kills, end := runOnce(t, from, pid)
		assert.Empty(t, kills, name)
		assert.GreaterOrEqual(t, end.Sequence, after.Sequence, name)
		assert.Less(t, end.Sequence, after.Sequence+1<<39, name)
	}
}

// clockError is how far the clock of the log may drift while nobody compares it.
const clockError = 10 * time.Millisecond

// What is missing between a place and the oldest record was overwritten, and is counted.
func TestOverrunWhileDown(t *testing.T) {
	t.Parallel()
	lost := int64(0)
	w := New(Config{Lose: func(n int64) { lost += n }, Boot: "b", From: &Place{Boot: "b", Sequence: 10}})
	w.told = 10
	w.resume([]byte("6,15,1,-;hello"))
	w.resume([]byte("6,16,1,-;hello"))
	assert.Equal(t, int64(4), lost)
	assert.Equal(t, uint64(16), w.sequence)
}

// The place does not pass a report of which more may come.
func TestPlaceWaits(t *testing.T) {
	t.Parallel()
	w := New(Config{Lose: func(int64) {}, Boot: "b", From: &Place{}})
	w.add([]byte("6,1,1,-;hello"))
	w.advance()
	w.add([]byte("3,2,2,-;Out of memory: Killed process 7 (sh) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"))
	w.advance()
	assert.Equal(t, uint64(1), w.Place().Sequence)
	w.parser.Flush()
	require.Len(t, w.parser.Take(), 1)
	w.advance()
	assert.Equal(t, uint64(2), w.Place().Sequence)
}
