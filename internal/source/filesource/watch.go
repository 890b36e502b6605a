// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

const (
	// pollWatched is how often to check although there was no notification: some file
	// systems send none, and a queue of notifications may overflow.
	pollWatched = time.Second
	// pollBlind is how often to check if there are no notifications.
	pollBlind = 100 * time.Millisecond
	// gatherTime is how long to wait for more lines after the first, so that a busy log
	// costs a check every few milliseconds instead of one for each line.
	gatherTime = 5 * time.Millisecond
	// busyGatherTime is the same after a wait in which busyFrom bytes or more were written: most of the work would
	// be to wake up.
	busyGatherTime = 20 * time.Millisecond
	busyFrom       = 64 << 10
)

// watcher waits for the log to change.
type watcher struct {
	path string
	// notify is nil if the system offers no notifications.
	notify *fsnotify.Watcher
	// folder is the watched folder; empty while it cannot be watched because it does not
	// exist. The names of all files of the log begin with name.
	folder, name string
}

func newWatcher(path string, logger *zap.Logger) *watcher {
	w := &watcher{path: path}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err == nil {
		err = w.watch()
	}
	if err != nil {
		logger.Info("cannot watch the folder of the log, polling it instead",
			zap.Error(err), zap.Duration("interval", pollBlind))
	}
	return w
}

// watch watches the folder, not the file, so that a new file of the same name counts as well.
func (w *watcher) watch() error {
	file := logfile.Resolve(w.path)
	folder := filepath.Dir(file)
	if err := w.notify.Add(folder); err != nil {
		return err
	}
	w.folder, w.name = folder, filepath.Base(file)
	return nil
}

// wait returns a while after the log may have changed, after limit, or when ctx is done.
func (w *watcher) wait(ctx context.Context, gather, limit time.Duration) {
	if w.notify == nil {
		sleep(ctx, min(limit, pollBlind))
		return
	}
	if w.folder == "" {
		sleep(ctx, min(limit, pollBlind))
		_ = w.watch() // retried for as long as it fails
		return
	}
	timer := time.NewTimer(min(limit, pollWatched))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-w.notify.Errors:
			return
		case event := <-w.notify.Events:
			if w.concerns(event) {
				sleep(ctx, min(limit, gather))
				w.drain()
				return
			}
		}
	}
}

// concerns reports whether something happened to a file of the log, or to the folder itself.
func (w *watcher) concerns(event fsnotify.Event) bool {
	if event.Name == w.folder && event.Has(fsnotify.Remove|fsnotify.Rename) {
		w.folder = "" // a new folder of that name is not watched yet
		return true
	}
	return strings.HasPrefix(filepath.Base(event.Name), w.name)
}

// drain discards the notifications that the coming check covers. It may leave some, because
// the library delivers them one by one; then the check after that finds nothing new.
func (w *watcher) drain() {
	for {
		select {
		case event := <-w.notify.Events:
			w.concerns(event)
		case <-w.notify.Errors:
		default:
			return
		}
	}
}

func (w *watcher) close() error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Close()
}

func sleep(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
