// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// maxManagers is how many systemds are listened to at a time.
	maxManagers = 256
	// maxOfOne is how many of these may be of one party: anybody may start as many as he likes, and nobody but a developer of
	// systemd has more than a manager of his own and some containers.
	maxOfOne = 16
	// hopelessAfter is after how many attempts to connect, which take some 20 seconds, a systemd has to make room for another one.
	hopelessAfter = 10
)

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
	// parties are whose place it takes.
	parties []party
	// failures is how often it has not let us in since it last did.
	failures atomic.Int64
}

// party is somebody whose systemds share some places: a user, a login, or a container by its pid namespace.
type party struct {
	kind partyKind
	id   uint64
}

type partyKind int

const (
	partyUser partyKind = iota
	partyLogin
	partyContainer
)

// unknown is a user that nobody is.
const unknown = 1<<64 - 1

// partiesOf returns who a user is. Whoever has sub-uids is many users (subuid(5)), but his login is the same for all of them. A
// process without one may choose a login, but not its user: so it counts for both. A user himself does not count for his login,
// so that nobody who has chosen that takes his places.
func partiesOf(user uint32, login kill.ID) []party {
	all := []party{{partyUser, uint64(user)}}
	if login.Known && login.Value != user {
		all = append(all, party{partyLogin, uint64(login.Value)})
	}
	return all
}

// tried notes whether a systemd has let us in. A nil watch takes no place.
func (x *watch) tried(connected bool) {
	switch {
	case x == nil:
	case connected:
		x.failures.Store(0)
	default:
		x.failures.Add(1)
	}
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
// (systemd --user). It may be called again for the same process, and for one that turns out to be none. It returns false if
// there is no place for it, though there may be later.
func (w *Watcher) Watch(pid int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pid <= 0 || w.watched[pid] != nil {
		return true
	}
	if len(w.watched) >= maxManagers && !w.makeRoom() {
		w.counters.unwatched.Add(1)
		return false
	}
	each := new(watch)
	w.watched[pid] = each
	return w.ctx == nil || w.begin(w.ctx, pid, each)
}

// makeRoom gives up the systemd that has refused us most often, and reports whether there is a hopeless one. mu is held.
func (w *Watcher) makeRoom() bool {
	most, failures := 0, int64(hopelessAfter-1)
	for pid, each := range w.watched {
		if n := each.failures.Load(); pid != hostPID && n > failures {
			most, failures = pid, n
		}
	}
	if most == 0 {
		return false
	}
	w.remove(most)
	return true
}

// Unwatch stops listening to a systemd. It does not wait until that has happened.
func (w *Watcher) Unwatch(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(pid)
}

// remove gives up a systemd. mu is held.
func (w *Watcher) remove(pid int) {
	if each := w.watched[pid]; each != nil && each.end != nil {
		each.end()
	}
	delete(w.watched, pid)
}

// begin starts to listen to a process if it is a systemd. It returns false if its parties have their places already. mu is held.
func (w *Watcher) begin(ctx context.Context, pid int, each *watch) bool {
	of, err := openProcess(w.config.Root, pid)
	if err != nil {
		w.config.Logger.Debug("no systemd to listen to", zap.Int("pid", pid), zap.Error(err))
		delete(w.watched, pid)
		return true
	}
	if !of.host {
		each.parties = of.parties()
		if slices.ContainsFunc(each.parties, w.crowded) {
			of.close()
			delete(w.watched, pid)
			w.counters.unwatched.Add(1)
			return false
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	each.end = cancel
	w.running.Go(func() {
		defer cancel()
		w.listen(ctx, of, each)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.watched[pid] == each {
			delete(w.watched, pid)
		}
	})
	return true
}

// crowded reports whether more than its places are taken by a party. mu is held.
func (w *Watcher) crowded(of party) bool {
	taken := 0
	for _, each := range w.watched {
		if slices.Contains(each.parties, of) {
			taken++
		}
	}
	return taken > maxOfOne
}

// others returns how many systemds other than the host's are listened to, and at least 1.
func (w *Watcher) others() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(1, len(w.watched)-1)
}

// listen listens to a systemd until it ends, or ctx is done.
func (w *Watcher) listen(ctx context.Context, of *process, each *watch) {
	defer of.close()
	m := newManager(w, of)
	m.place = each
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
