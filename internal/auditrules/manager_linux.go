// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Settings says what a Manager keeps loaded.
type Settings struct {
	Signals []kill.Signal
	// Key is the key of the rules: printable ASCII without spaces and quotes.
	Key string
	// Logger logs what the Manager changes; it may be nil.
	Logger *zap.Logger

	// The fields below are for tests.

	// Kernel is the running kernel if nil.
	Kernel Kernel
	// Self is the process that the rules exclude; the current one if 0.
	Self int
	// Proc is the folder of the processes; /proc if empty.
	Proc string
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Manager keeps rules loaded. Its methods may be called from any goroutine.
type Manager struct {
	kernel  Kernel
	signals []kill.Signal
	key     string
	self    int
	proc    procfs
	logger  *zap.Logger
	limit   limit
	// own is what is known about the collector, ownCalls the calls that it makes all the time.
	own      caller
	ownCalls []call

	mutex sync.Mutex
	// active is true from Install to Remove, queried once the kernel has reported what is loaded.
	active, queried bool
	rules           []*managed
	shield          *managed
	// added are the rules that this Manager has loaded into the kernel.
	added []loaded
	power power
	// reported are the problems that have already been reported.
	reported map[string]bool
}

// New returns a Manager that has changed nothing yet.
func New(s Settings) *Manager {
	m := &Manager{
		kernel: s.Kernel, signals: s.Signals, key: s.Key, self: s.Self, proc: procfs(s.Proc), logger: s.Logger,
		limit: limit{now: s.Now, most: maxRestorations},
	}
	if m.kernel == nil {
		m.kernel = auditcontrol.Client{}
	}
	if m.self == 0 {
		m.self = os.Getpid()
	}
	if m.proc == "" {
		m.proc = "/proc"
	}
	if m.logger == nil {
		m.logger = zap.NewNop()
	}
	if m.limit.now == nil {
		m.limit.now = time.Now
	}
	m.own = m.proc.caller(m.self)
	m.ownCalls = ownCalls(m.own)
	return m
}

// Install loads the missing rules, after removing those that a crashed collector has left
// behind, and turns audit on. It returns what still keeps signals from being recorded.
func (m *Manager) Install() []*Problem {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.active = true
	return m.news(m.install())
}

func (m *Manager) install() []*Problem {
	if m.rules == nil {
		if err := m.build(); err != nil {
			return []*Problem{m.cannotBuild(err)}
		}
	}
	status, list, err := m.query()
	if err != nil {
		return []*Problem{m.refused(err)}
	}
	if !m.queried {
		m.queried = true
		m.power.found(status, list)
	}
	var problems []*Problem
	if status.Enabled != locked {
		if list, err = m.removeLeftovers(list); err != nil {
			problems = append(problems, m.refused(err))
		}
	}
	if missing := m.missing(list); len(missing) > 0 && status.Enabled == locked {
		problems = append(problems, m.isLocked(len(missing)))
	} else if err := m.add(missing); err != nil {
		problems = append(problems, m.refused(err))
	}
	if status.Enabled == 0 && m.anySeen() {
		if err := m.turnOn(); err != nil {
			problems = append(problems, m.refused(err))
		} else if !m.proc.bootParameter("audit=1") {
			problems = append(problems, neverOn())
		}
	}
	if _, err := m.keepShield(list, status.Enabled != locked); err != nil {
		problems = append(problems, err)
	}
	return append(problems, m.obstacles(list)...)
}

// Tampering is what has been done since the last check that keeps signals from being recorded.
type Tampering struct {
	// Removed are the rules that were gone, Restored those of them that were put back.
	Removed, Restored []Rule
	// Disabled is true if audit was turned off (auditctl -e 0), Locked if it was locked
	// (auditctl -e 2), Enabled if it was turned on again.
	Disabled, Locked, Enabled bool
	// Obstacles are the problems that are new.
	Obstacles []*Problem
}

// Any reports whether there was any tampering.
func (t Tampering) Any() bool {
	return len(t.Removed) > 0 || t.Disabled || t.Locked || len(t.Obstacles) > 0
}

// Restore checks that what Install has found or made is still there, and puts it back. The
// error says why something could not be put back; it is ErrTooOften if that happens too
// often.
func (m *Manager) Restore() (Tampering, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if !m.active {
		return Tampering{}, nil
	}
	if !m.queried { // Install could not do that
		return Tampering{Obstacles: m.news(m.install())}, nil
	}
	status, list, err := m.query()
	if err != nil {
		return Tampering{}, err
	}
	gone, late := m.gone(list)
	found := Tampering{Disabled: status.Enabled == 0 && m.power.seenOn, Locked: m.power.changed(status) == locked}
	problems := m.obstacles(list)
	lost, problem := m.keepShield(list, status.Enabled != locked)
	if problem != nil {
		problems = append(problems, problem)
	}
	if lost {
		gone = append(gone, m.shield)
	}
	for _, r := range gone {
		found.Removed = append(found.Removed, r.Rule)
	}
	found.Obstacles = m.news(problems)
	switch {
	case status.Enabled != locked:
		err = errors.Join(m.catchUp(late), m.putBack(gone, &found))
		return found, err
	case len(gone) > 0:
		return found, errors.New("not put back: the audit rules are locked until the next boot")
	}
	return found, nil
}

// catchUp does what Install could not do.
func (m *Manager) catchUp(late []*managed) error {
	err := m.add(late)
	if m.anySeen() && !m.power.seenOn {
		err = errors.Join(err, m.turnOn())
	}
	return err
}

// putBack undoes the tampering.
func (m *Manager) putBack(gone []*managed, found *Tampering) error {
	if len(gone) == 0 && !found.Disabled {
		return nil
	}
	if !m.limit.allow() {
		return ErrTooOften
	}
	var errs []error
	for _, r := range gone {
		if err := m.add([]*managed{r}); err != nil {
			errs = append(errs, err)
			continue
		}
		found.Restored = append(found.Restored, r.Rule)
	}
	if found.Disabled {
		err := m.turnOn()
		found.Enabled = err == nil
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Remove removes the rules that this Manager has added, and turns audit off if it was off
// before.
func (m *Manager) Remove() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.active = false
	var errs []error
	if len(m.added) > 0 {
		if err := m.removeAdded(); err != nil {
			errs = append(errs, fmt.Errorf("removing our audit rules: %w; auditctl -l lists them", err))
		}
	}
	if err := m.turnOff(); err != nil {
		errs = append(errs, fmt.Errorf("turning audit off again, as it was before: %w; auditctl -e 0 does it", err))
	}
	return errors.Join(errs...)
}

// news returns the problems that have not been reported yet.
func (m *Manager) news(problems []*Problem) []*Problem {
	var fresh []*Problem
	now := make(map[string]bool)
	for _, p := range problems {
		if !m.reported[p.What] {
			fresh = append(fresh, p)
		}
		now[p.What] = true
	}
	m.reported = now
	return fresh
}
