// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// forever is longer than any test waits.
const forever = time.Hour

func newTestWatcher(t *testing.T, path string) *watcher {
	t.Helper()
	w := newWatcher(path, zap.NewNop())
	t.Cleanup(func() { assert.NoError(t, w.close()) })
	if w.notify == nil {
		t.Skip("SKIPPED: this system does not let us watch files")
	}
	return w
}

// TestWatcherWaits checks that only a change of the log ends a wait early: a source with nothing to
// read must cost nothing.
func TestWatcherWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("line\n"), 0o600))
	w := newTestWatcher(t, path)
	// What the source itself does, and what other programs do beside the log.
	_, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = logfile.List(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "other"), nil, 0o600))
	const limit = 200 * time.Millisecond
	begin := time.Now()
	w.wait(t.Context(), gatherTime, limit)
	assert.GreaterOrEqual(t, time.Since(begin), limit)
}

func TestWatcherEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	for name, w := range map[string]*watcher{
		"watching":               newTestWatcher(t, path),
		"waiting for the folder": newTestWatcher(t, filepath.Join(path, "missing")),
		"unable to watch":        {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			begin := time.Now()
			for range 100 {
				w.wait(ctx, gatherTime, forever)
			}
			assert.Less(t, time.Since(begin), 100*pollBlind, "each waits for its time otherwise")
		})
	}
}

// TestWatcherFollowsTheFolder watches a folder that does not exist yet, and the folder that replaces it.
func TestWatcherFollowsTheFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "audit")
	w := newTestWatcher(t, filepath.Join(folder, "audit.log"))
	require.Empty(t, w.folder)
	for range 2 {
		require.NoError(t, os.Mkdir(folder, 0o700))
		for w.folder == "" {
			w.wait(t.Context(), gatherTime, forever)
		}
		require.Equal(t, folder, w.folder)
		require.NoError(t, os.Remove(folder))
		for w.folder != "" {
			w.wait(t.Context(), gatherTime, forever)
		}
	}
}

func TestWatcherFollowsALink(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "audit.log")
	target := filepath.Join(t.TempDir(), "real.log")
	require.NoError(t, os.Symlink(target, link))
	w := newTestWatcher(t, link)
	assert.Equal(t, filepath.Dir(target), w.folder)
	assert.Equal(t, "real.log", w.name)
}

// TestWatcherHearsOfChanges waits for the notification of each kind of change, rather than for the
// time after which the watcher checks anyway.
func TestWatcherHearsOfChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	w := newTestWatcher(t, path)
	for _, test := range []struct {
		change func() error
		want   fsnotify.Event
	}{
		{change: func() error { return os.WriteFile(path, nil, 0o600) }, want: fsnotify.Event{Name: path, Op: fsnotify.Create}},
		{change: func() error { return os.WriteFile(path, []byte("line\n"), 0o600) }, want: fsnotify.Event{Name: path, Op: fsnotify.Write}},
		{change: func() error { return os.Rename(path, path+".1") }, want: fsnotify.Event{Name: path, Op: fsnotify.Rename}},
		{change: func() error { return os.Remove(path + ".1") }, want: fsnotify.Event{Name: path + ".1", Op: fsnotify.Remove}},
	} {
		require.NoError(t, test.change())
		for event := range w.notify.Events {
			require.True(t, w.concerns(event), event)
			if event.Name == test.want.Name && event.Op == test.want.Op {
				break
			}
		}
	}
	assert.False(t, w.concerns(fsnotify.Event{Name: filepath.Join(w.folder, "other"), Op: fsnotify.Write}))
}
