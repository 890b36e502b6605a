// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxRequests is how many requests of root are remembered, maxContainerRequests how many of the root of a container,
	// and maxUserRequests how many of any other user: whoever connects all the time displaces only his own.
	maxRequests, maxContainerRequests, maxUserRequests = 2048, 256, 64
	// maxRequesters is of how many of these requests are remembered. Whoever is many of them makes room of his own.
	maxRequesters = 256
	// maxUnits is how many units of one manager are remembered, maxManagers how many managers: each is
	// a container or a user, who may invent as many units as he likes. All but the host's share maxOthersUnits.
	maxUnits, maxManagers, maxOthersUnits = 2048, 256, 8192
	// maxSessions is how many sessions are remembered, maxOthersSessions how many of these may be of containers: they may invent
	// as many as they like, and make room for the host's, of which some is only known from audit records that are gone.
	maxSessions, maxOthersSessions = 4096, 1024
	// maxHosts is how many hosts' records may be in one log.
	maxHosts = 256
	// maxJobs is how many jobs of one unit are remembered.
	maxJobs = 8
	// maxEnds is of how many processes it is remembered that a manager has begun to end them, goesOnFor for
	// how long: a manager is patient for some minutes at most.
	maxEnds   = 4096
	goesOnFor = 10 * time.Minute
	// maxPressures is how many reports of systemd-oomd are remembered.
	maxPressures = 64
)

// Processes knows the processes of the host.
type Processes interface {
	// Complete adds to a process that had a pid at a time what is known about it, and reports whether it was
	// found.
	Complete(p *kill.Process, at time.Time) bool
	// LeftBefore reports whether it is known that a process with an Instance had ended before a time.
	LeftBefore(p *kill.Process, at time.Time) bool
	// Titled returns the parents of a process with their command lines: last itself, if it is the same.
	Titled(p *kill.Process, last []kill.Ancestor) []kill.Ancestor
	// Programs returns a number that changes whenever Titled may return something else for a parent that lives.
	Programs() uint64
	// Begun returns the real user who has begun the audit session of a process, unknown if that was one who had become another user before.
	// It returns false if the kernel has not reported who has begun it.
	Begun(p *kill.Process) (by kill.ID, seen bool)
	// Opening returns which process seems to have begun it. It returns false if it cannot tell.
	Opening(p *kill.Process) (kill.Opening, bool)
}

// Config says what a Table may ask.
type Config struct {
	// Processes is nil if nothing but the facts themselves is known, as about a log of another host.
	Processes Processes
	// Live is true if events are told as they happen, so that Processes knows most of who takes part in them.
	Live bool
	// Session looks up a session of the logind of a manager, 0 for the host's; it may be nil.
	Session func(manager int, id string) (Login, bool)
	// Local reports whether a host that audit records name is this one; nil if none is.
	Local func(node string) bool
	// Name adds to a process, a requester, the names of its users; it may be nil.
	Name func(p *kill.Process)
}

// Table holds what is known, and explains events by it. It is safe for concurrent use.
type Table struct {
	config Config

	mu       sync.Mutex
	requests map[asker]*requests
	managers map[int]*managed
	logins   map[loginKey]*session
	// commands are those of audit records, pressures the reports of systemd-oomd, both oldest first.
	commands  requests
	pressures []Pressure
	served    *served
	proofs    *proofs
	// habits are those of the host's root, othersHabits those of all others.
	habits, othersHabits *habits
	lineages             map[*kill.Ancestor]*lineage
	// listeners counts the requests to managers that are no systemd, by their pids.
	listeners map[int]int
	// ends are the processes that managers have begun to end.
	ends map[target]*begun
	// relayed are the last signals to programs that pass them on.
	relayed map[target]received
	// hosts are what is known of other hosts, whose audit records are in the same log.
	hosts map[string]*Table
}

// New returns a table that knows nothing.
func New(config Config) *Table {
	return &Table{
		config: config, requests: map[asker]*requests{}, managers: map[int]*managed{}, logins: map[loginKey]*session{}, served: newServed(), proofs: newProofs(), habits: newHabits(),
		othersHabits: newHabits(),
		lineages:     map[*kill.Ancestor]*lineage{}, listeners: map[int]int{}, ends: map[target]*begun{}, relayed: map[target]received{}, hosts: map[string]*Table{},
	}
}

// Learn takes note of a fact.
func (t *Table) Learn(f *Fact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if host := t.host(f.Node); host != nil {
		host.learn(f)
	}
}

// host returns the table of a host that audit records name; nil if there are too many.
func (t *Table) host(node string) *Table {
	if node == "" || t.config.Local != nil && t.config.Local(node) {
		return t
	}
	host := t.hosts[node]
	if host == nil {
		if len(t.hosts) >= maxHosts {
			return nil
		}
		host = New(Config{})
		t.hosts[strings.Clone(node)] = host
	}
	return host
}

func (t *Table) learn(f *Fact) {
	switch {
	case f.Request != nil:
		t.learnRequest(f.Request)
	case f.Job != nil:
		t.learnJob(f.Job)
	case f.Unit != nil:
		t.learnUnit(f.Unit)
	case f.Login != nil:
		t.learnLogin(f.Login)
	case f.Logout != nil: // what the session has left behind may end long after
		if l := t.logins[loginKey{zeroForHost(f.Logout.Manager), f.Logout.ID}]; l != nil {
			l.ended = f.Logout.Time
		}
	case f.Shutdown != nil:
		if m := t.managerOf(hostFor0(f.Shutdown.Manager)); m != nil {
			m.end(f.Shutdown.Time, f.Shutdown.Canceled)
		}
	case f.Pressure != nil:
		t.pressures = append(t.pressures, *f.Pressure)
		if len(t.pressures) > maxPressures {
			t.pressures = slices.Delete(t.pressures, 0, 1)
		}
		t.managerOf(hostInit).heard++
	case f.Command != nil:
		t.learnCommand(f.Command)
	}
}
