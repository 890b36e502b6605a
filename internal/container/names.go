// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/panics"
)

const (
	// maxContainers bounds the containers that are remembered, at most 2 KiB each. A node of Kubernetes has room for
	// some hundred, and the names of those that have ended are wanted for a moment.
	maxContainers = 4096
	// freshFor is how long a name is considered current: people may rename containers.
	freshFor = 10 * time.Second
	// retryAfter is when to look again for a container that was not found: its files may come after its control group.
	// Each time that takes twice as long, maxMisses times.
	retryAfter = time.Second
	maxMisses  = 6
	// patience is how long an event waits for names. If they took longer, no event waits for any until hastyFor is
	// over.
	patience = 50 * time.Millisecond
	hastyFor = time.Second
)

// Config says which host the containers are on.
type Config struct {
	// Root is where its file system is mounted; "" or "/" is this one.
	Root string
	// Owner is whose files are believed: root's, but in tests.
	Owner  uint32
	Logger *zap.Logger
	Panics *panics.Guard
}

// Names remembers the names of containers. It is safe for concurrent use; nil knows none.
type Names struct {
	config Config
	// read reads what the host has about a container.
	read func(id, uid string) (found, error)
	now  func() time.Time
	// patience is the constant of that name, except in tests: an emulated host is slow.
	patience time.Duration

	mu    sync.Mutex
	known map[string]*entry
	// wanted are the ids of containers to read, in the order in which they are read. reading is true while a goroutine
	// does so.
	wanted  []string
	reading bool
	// hasty is until when nobody waits.
	hasty time.Time
	// explained is true once it was logged why there are no names.
	explained bool
}

// entry is what is known about a container.
type entry struct {
	uid   string
	names *kill.Names
	// cgroup is the cgroupsPath of its runtime.
	cgroup string
	// at is when it was last read, used when it was last asked for.
	at, used time.Time
	// done is closed once it was read that is to be read; nil if it need not be.
	done chan struct{}
	// refused is why it was not found, and misses how often that was tried.
	refused error
	misses  int
}

// finish lets go who waits for what is to be read.
func (e *entry) finish() {
	if e != nil && e.done != nil {
		close(e.done)
		e.done = nil
	}
}

// New returns names of which none is known yet.
func New(config Config) *Names {
	n := &Names{config: config, now: time.Now, patience: patience, known: make(map[string]*entry)}
	n.read = n.search
	return n
}

func (n *Names) search(id, uid string) (found, error) {
	h, err := openHost(n.config.Root, n.config.Owner)
	if err != nil {
		return found{}, err
	}
	defer h.close()
	s := search{host: h, id: id, uid: uid}
	s.run()
	return s.found, s.refused
}

// Expect notes that there is a container, in the pod with a uid, or none. Its names are read in time for an event about
// it, after which it may be gone. It waits for nothing.
func (n *Names) Expect(id, uid string) {
	if n == nil || !isID(id) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.request(id, uid)
}

// Fill adds the names of containers to the processes of an event.
func (n *Names) Fill(e *kill.Event) {
	if n == nil {
		return
	}
	n.FillProcess(&e.Sender)
	for i := range e.Targets {
		n.FillProcess(&e.Targets[i])
	}
}

// FillProcess does the same for a process that nobody shares yet.
func (n *Names) FillProcess(p *kill.Process) {
	if n == nil || p.Instance == nil || !isID(p.Instance.Container) {
		return
	}
	p.Names = n.find(p.Instance)
}

// find returns the names of the container that a process is in; nil if they are not known.
func (n *Names) find(i *kill.Instance) *kill.Names {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.request(i.Container, i.Pod)
	if e.done != nil && !n.now().Before(n.hasty) {
		n.await(e)
	}
	if e.names == nil {
		n.explain(e)
		return nil
	}
	if !inPlace(e.cgroup, i.Container, i) {
		return nil
	}
	return e.names
}

// await waits a moment until a container was read.
func (n *Names) await(e *entry) {
	done := e.done
	n.mu.Unlock()
	timer := time.NewTimer(n.patience)
	defer timer.Stop()
	select {
	case <-done:
		n.mu.Lock()
	case <-timer.C:
		n.mu.Lock()
		n.hasty = n.now().Add(hastyFor)
	}
}

// request returns what is known about a container, which is read unless that is current.
func (n *Names) request(id, uid string) *entry {
	now := n.now()
	e := n.known[id]
	if e == nil || e.uid != uid && uid != "" {
		e.finish() // it was found outside of its pod
		n.makeRoom()
		e = &entry{uid: uid}
		n.known[id] = e
	}
	e.used = now
	age := freshFor
	if e.names == nil {
		age = retryAfter << min(e.misses, maxMisses)
	}
	if e.done != nil || !e.at.IsZero() && now.Sub(e.at) < age || len(n.wanted) >= maxContainers {
		return e
	}
	e.done = make(chan struct{})
	n.wanted = append(n.wanted, id)
	if !n.reading {
		n.reading = true
		go n.work()
	}
	return e
}

// makeRoom forgets the quarter of the containers that were not asked for for the longest time.
func (n *Names) makeRoom() {
	if len(n.known) < maxContainers {
		return
	}
	ids := slices.SortedFunc(maps.Keys(n.known), func(a, b string) int { return n.known[a].used.Compare(n.known[b].used) })
	for _, id := range ids[:maxContainers/4] {
		n.known[id].finish()
		delete(n.known, id)
	}
}

// work reads containers while any are wanted. Nobody knows how long that takes: it has a goroutine of its own, and if
// that does not come back, there are no more names.
func (n *Names) work() {
	for {
		n.mu.Lock()
		if len(n.wanted) == 0 {
			n.wanted, n.reading = nil, false
			n.mu.Unlock()
			return
		}
		id := n.wanted[0]
		n.wanted = n.wanted[1:]
		e := n.known[id]
		wanted := e != nil && e.done != nil // it may have been forgotten meanwhile
		n.mu.Unlock()
		if wanted {
			n.readOne(id, e)
		}
	}
}

// readOne reads one container.
func (n *Names) readOne(id string, e *entry) {
	var f found
	var err error
	func() {
		defer n.config.Panics.Contain("reading the names of a container")
		f, err = n.read(id, e.uid)
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	e.at = n.now()
	if f.any { // else it has ended, and keeps its names
		e.names, e.cgroup, e.refused, e.misses = f.names(), f.cgroup.value, nil, 0
	} else {
		e.refused = cmp.Or(err, errNowhere)
		e.misses++
	}
	e.finish()
}

// errNowhere is the error of a container that no source knows.
var errNowhere = errors.New("no runtime that is known here has files about them")

// explain logs once why a container has no names.
func (n *Names) explain(e *entry) {
	if e.refused == nil || n.explained || n.config.Logger == nil {
		return
	}
	n.explained = true
	n.config.Logger.Info("the names of containers are not known; docs/permissions.md says what they take", zap.Error(e.refused))
}
