// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditfile

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

const (
	// pollWatched is how often to look although nothing was announced: some
	// file systems announce nothing, and a queue of announcements may overflow.
	pollWatched = time.Second
	// pollBlind is how often to look if there are no announcements.
	pollBlind = 100 * time.Millisecond
	// gatherTime is how long to let more lines come after the first, so that a
	// busy log costs a look each few milliseconds instead of one each line.
	gatherTime = 5 * time.Millisecond
)

// watcher waits for the log to change.
type watcher struct {
	// notify is nil if the system does not let us watch.
	notify *fsnotify.Watcher
	// name is what the names of all files of the log begin with.
	name string
}

func newWatcher(path string, logger *zap.Logger) *watcher {
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		// The folder, not the file: a new file of the same name counts as well.
		if err = notify.Add(filepath.Dir(path)); err != nil {
			_ = notify.Close()
		}
	}
	if err != nil {
		logger.Info("cannot watch the folder of the log, looking at it every so often instead",
			zap.Error(err), zap.Duration("interval", pollBlind))
		return &watcher{}
	}
	return &watcher{notify: notify, name: filepath.Base(path)}
}

// wait returns when the log may have changed, after limit, or when ctx is done.
func (w *watcher) wait(ctx context.Context, limit time.Duration) {
	if w.notify == nil {
		sleep(ctx, min(limit, pollBlind))
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
			if strings.HasPrefix(filepath.Base(event.Name), w.name) {
				sleep(ctx, min(limit, gatherTime))
				w.drain()
				return
			}
		}
	}
}

// drain forgets the announcements that the coming look will answer. It may
// leave some, since the library hands them over one by one; then the look after
// it finds nothing new.
func (w *watcher) drain() {
	for {
		select {
		case <-w.notify.Events:
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
