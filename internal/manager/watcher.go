// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// maxManagers is how many systemds are listened to at a time.
const maxManagers = 256

// hostPID is the pid of the host's init.
const hostPID = 1

// Config configures a Watcher.
type Config struct {
	// Root is where the host's root directory is mounted; empty for /.
	Root string
	// Follow is called when a systemd begins to report its jobs, and when it ends to, and with whether every call
	// on its bus is seen. nil is called by nobody.
	Follow func(pid int, follows, monitored bool)
	// Tell takes a fact. It is called by one goroutine at a time, and must not wait for anything.
	Tell   func(attribution.Fact)
	Logger *zap.Logger
	// Warn receives problems that a person has to fix, each of them once.
	Warn func(*problem.Problem)
	// Panics contains a panic while a message is handled; nil does not.
	Panics *panics.Guard
}

// Watcher listens to systemds. Any goroutine may call its methods.
type Watcher struct {
	config   Config
	counters counters
	sessions *sessions
	pids     translator

	// telling is held while a fact is told.
	telling sync.Mutex

	mu sync.Mutex
	// ctx is set while Run runs.
	ctx     context.Context //nolint:containedctx // managers that are found later end with Run, too
	running sync.WaitGroup
	// watched has the systemds that are listened to, by pid; warned the problems that were reported.
	watched map[int]*watch
	warned  map[string]bool
}

// watch is a systemd that is listened to, or will be once Run runs.
type watch struct {
	// end ends it; nil before it has begun.
	end context.CancelFunc
}

// New returns a Watcher. It does nothing until Run is called.
func New(config Config) *Watcher {
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	if config.Warn == nil {
		config.Warn = func(*problem.Problem) {}
	}
	w := &Watcher{config: config, watched: map[int]*watch{hostPID: {}}, warned: make(map[string]bool)}
	w.sessions = newSessions(config.Root, &w.counters)
	return w
}

// Run listens to the host's systemd, if it has one, and to those of Watch until ctx is done. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	w.ctx = ctx
	for pid, each := range w.watched {
		w.begin(ctx, pid, each)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.ctx = nil
	w.mu.Unlock()
	w.running.Wait()
	w.sessions.close()
}

// Watch also listens to a systemd other than the host's, until it ends: the init of a container, or a user's
// (systemd --user). It may be called again for the same process, and for one that turns out to be none.
func (w *Watcher) Watch(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pid <= 0 || w.watched[pid] != nil {
		return
	}
	if len(w.watched) >= maxManagers {
		w.counters.unwatched.Add(1)
		return
	}
	each := new(watch)
	w.watched[pid] = each
	if w.ctx != nil {
		w.begin(w.ctx, pid, each)
	}
}

// Unwatch stops listening to a systemd. It does not wait until that has happened.
func (w *Watcher) Unwatch(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if each := w.watched[pid]; each != nil && each.end != nil {
		each.end()
	}
	delete(w.watched, pid)
}

// begin starts to listen to a systemd. mu is held.
func (w *Watcher) begin(ctx context.Context, pid int, each *watch) {
	ctx, cancel := context.WithCancel(ctx)
	each.end = cancel
	w.running.Go(func() {
		defer cancel()
		w.listen(ctx, pid)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.watched[pid] == each {
			delete(w.watched, pid)
		}
	})
}

// listen listens to a systemd until it ends, or ctx is done.
func (w *Watcher) listen(ctx context.Context, pid int) {
	of, err := openProcess(w.config.Root, pid)
	if err != nil {
		w.config.Logger.Debug("no systemd to listen to", zap.Int("pid", pid), zap.Error(err))
		return
	}
	defer of.close()
	m := newManager(w, of)
	defer w.sessions.forget(m.logind())
	m.run(ctx)
}

// tell passes on a fact.
func (w *Watcher) tell(fact attribution.Fact) {
	w.telling.Lock()
	defer w.telling.Unlock()
	w.counters.facts.Add(1)
	w.config.Tell(fact)
}

// warn reports a problem, unless it was reported before.
func (w *Watcher) warn(p *problem.Problem) {
	w.mu.Lock()
	known := w.warned[p.What]
	w.warned[p.What] = true
	w.mu.Unlock()
	if !known {
		w.config.Warn(p)
	}
}
