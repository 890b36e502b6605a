// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// maxOpeners bounds how many parents are asked for the session of a process.
	maxOpeners = 32
	// openingsPerSecond bounds how often /proc is read for it: whoever begins sessions all the time must not use up other reads.
	openingsPerSecond = 500
)

// Begun returns the real user who has begun the audit session of a process, unknown if that was one who had become another user before. It
// returns false if the kernel has not reported who has begun it.
func (t *Table) Begun(p *kill.Process) (by kill.ID, seen bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Instance == nil {
		return kill.ID{}, false
	}
	e := t.memory.find(Key{PID: p.PID, Start: p.Instance.SinceBoot}.rounded())
	if e == nil {
		return kill.ID{}, false
	}
	user, seen := e.begun.who(p.Session.Value)
	return kill.NewID(user), seen
}

// Opening returns which process seems to have begun the audit session of another one. It returns false if that cannot be found out.
func (t *Table) Opening(p *kill.Process) (kill.Opening, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var at *entry
	born := t.now()
	if p.Instance != nil {
		born = p.Instance.SinceBoot
		at = t.memory.find(Key{PID: p.PID, Start: born}.rounded())
	}
	return t.opener(p, at, born)
}

// opener looks for the process that has begun the session of another one among its ancestors.
func (t *Table) opener(p *kill.Process, at *entry, born time.Duration) (kill.Opening, bool) {
	pid := p.ParentPID
	if len(p.Ancestry) > 0 {
		pid = p.Ancestry[0].PID
	}
	user, sure := p.RealUser.ID, true
	for range maxOpeners {
		e := t.bornBefore(pid, born)
		switch {
		case e == nil:
			return kill.Opening{}, false
		case !t.knowsOwner(e, born):
			sure = false // it has ended, or too much was read
		case e.owner.session == p.Session:
			at, user, sure = e, e.owner.user, true
		case sure:
			return t.seeming(at, user, p.Login.ID)
		default:
			return kill.Opening{}, false
		}
		pid, born = e.parent, e.Start
	}
	return kill.Opening{}, false
}

// seeming returns what is known of the process that seems to have begun a session of a login user. What it runs is asked after its
// user was: he may have had a program run that is root whoever runs it.
func (t *Table) seeming(e *entry, user, login kill.ID) (kill.Opening, bool) {
	if e == nil || t.proc.err != nil || !t.openings.take() {
		return kill.Opening{}, false
	}
	dir, s, ok := t.proc.openLife(e.Key)
	if !ok {
		return kill.Opening{}, false
	}
	defer dir.close()
	by := kill.Process{
		PID: e.PID, Command: s.Command, Executable: withoutDeleted(dir.executable()), RealUser: kill.User{ID: user},
		Instance: &kill.Instance{Cgroup: parseCgroups(dir.cgroups())},
	}
	return kill.Opening{By: by, NamespaceRoot: user.Value != 0 && dir.mayBecome(user.Value, login.Value)}, true
}

// knowsOwner reports whether it is known on whose behalf a process has run since it had a child. What was read before does not count: it
// may have begun the child's session in between. A session that it begins later is not the child's.
func (t *Table) knowsOwner(e *entry, child time.Duration) bool {
	if e.owner.at != 0 && e.owner.at >= child+procstat.Tick {
		return true
	}
	return t.proc.err == nil && t.openings.take() && t.readOwner(e)
}
