// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
	"github.com/auditkill/auditkillreceiver/internal/logsampling"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// Settings says which log to read, and how.
type Settings struct {
	// Path is the live file.
	Path string
	// FromBeginning reads everything there is, rotated files first, unless a checkpoint
	// says where to continue.
	FromBeginning bool
	// Follow waits for more at the end of the log.
	Follow bool
	// Correlation says how records are joined.
	Correlation correlate.Config
	// Facts delivers facts as well as events: before a restart and after it as if there had been none.
	Facts bool
	// Store keeps the checkpoint and facts; nil keeps none.
	Store source.Store
	// Conceal returns what may be stored of a command line; nil stores it as it is.
	Conceal func(commandLine string) string
	// Panics contains a panic to the line that caused it.
	Panics *panics.Guard
	Counts *source.Counts
	Logger *zap.Logger
	// Tampered is called when an act that blinds the monitor is seen.
	Tampered func()
	// Health is called with a problem that may pass, and with nil once it has passed.
	Health func(error)
}

// Source follows one audit log.
type Source struct {
	settings Settings
	// sampled is the logger for messages that may repeat.
	sampled     *zap.Logger
	trail       *trail
	scanner     *logfile.Scanner
	watcher     *watcher
	checkpoints *checkpoints
	memory      *memory
	// remembered are the facts from before the restart, until Run has delivered them.
	remembered []source.Observation

	// reported and correlated are the counts of the scanner and of its correlator that
	// settings.Counts already includes.
	reported   logfile.Counts
	correlated correlate.Counts

	lastBatch, lastBehind time.Time
	// idleAt is how many bytes had been read when all was read that had been written.
	idleAt int64
	// readError is why no more could be read, while what was read before that is scanned.
	readError error
	// warned is true once a log was said to be none.
	warned bool
	// failing is true while the log cannot be read, ended once a log that is not followed
	// has been read to its end.
	failing, ended bool
}

var _ source.Source = (*Source)(nil)

// New returns a source that has opened nothing yet.
func New(settings Settings) *Source {
	settings.Correlation.PID, settings.Correlation.Since = source.OwnPID(), time.Now()
	s := &Source{
		settings:    settings,
		sampled:     logsampling.New(settings.Logger),
		scanner:     logfile.NewScanner(settings.Correlation, 0, settings.Facts),
		checkpoints: newCheckpoints(settings.Store, settings.Path),
		memory:      newMemory(&settings),
		watcher:     &watcher{},
	}
	s.scanner.Tampered, s.scanner.Panics, s.scanner.Rejected = settings.Tampered, settings.Panics, s.rejected
	s.trail = &trail{path: settings.Path, toEnd: !settings.Follow, logger: s.sampled, lost: func() {
		settings.Counts.Lose(source.RotatedFiles, 1)
	}}
	return s
}

// Start opens the log at the place where reading has to begin. It waits for a log that does
// not exist; one that cannot be read is an error.
func (s *Source) Start(ctx context.Context) error {
	if err := readable(s.settings.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at, err := s.checkpoints.load(ctx)
	switch {
	case err != nil:
		return err
	case at != nil:
		s.remember(ctx)
		err = s.trail.openAt(*at)
	case s.settings.FromBeginning:
		err = s.trail.openOldest()
	default:
		err = s.trail.openEnd()
	}
	if err != nil {
		return err
	}
	if err := s.checkExists(); err != nil {
		return err
	}
	// From here on nothing may be missed, even if the collector is killed before the first event.
	s.save(ctx, s.trail.checkpoint(s.trail.position()))
	if s.settings.Follow {
		s.watcher = newWatcher(s.settings.Path, s.settings.Logger)
	}
	return nil
}

// checkExists decides whether to wait for a log that does not exist.
func (s *Source) checkExists() error {
	_, err := os.Stat(s.settings.Path)
	switch {
	case err == nil:
	case s.settings.Follow:
		s.settings.Logger.Warn("the log does not exist yet, waiting for it: is auditd installed and running?",
			zap.String("path", s.settings.Path))
	case s.trail.current == nil:
		return fmt.Errorf("nothing to read: %w", err)
	}
	return nil
}

// Traits implements source.Source.
func (*Source) Traits() source.Traits { return source.Traits{Way: "file"} }

// Close implements source.Source.
func (s *Source) Close() error {
	return errors.Join(s.trail.close(), s.watcher.close())
}
