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

// Opening returns how the audit session of a process has begun. It returns false if that is not known.
func (t *Table) Opening(p *kill.Process) (kill.Opening, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pid, born := p.ParentPID, t.now()
	var at *entry
	if p.Instance != nil {
		born = p.Instance.SinceBoot
		at = t.memory.find(Key{PID: p.PID, Start: born}.rounded())
	}
	if len(p.Ancestry) > 0 {
		pid = p.Ancestry[0].PID
	}
	opener, ok := kill.Process{PID: p.PID, Command: p.Command, Executable: p.Executable, RealUser: p.RealUser}, true
	if at != nil && at.program != nil { // what an audit record says may be the name of a thread
		opener.Command, opener.Executable = at.program.command, at.program.executable
	}
	for range maxOpeners {
		e := t.bornBefore(pid, born)
		if e == nil || e.program == nil {
			break
		}
		is := kill.Process{PID: e.PID, Command: e.program.command, Executable: e.program.executable}
		switch {
		case !t.knowsOwner(e, born):
			ok = false // it has ended, or too much was read
		case e.owner.session == p.Session:
			is.RealUser.ID = e.owner.user
			opener, at, ok = is, e, true
		default:
			return kill.Opening{By: opener, Forked: at != nil && at.forked, NamespaceRoot: t.namespaceRoot(at, opener.RealUser.ID, p.Login.ID)}, ok
		}
		pid, born = e.parent, e.Start
	}
	return kill.Opening{}, false
}

// knowsOwner reports whether it is known on whose behalf a process has run since it had a child. What was read before does not count: it
// may have begun the child's session in between. A session that it begins later is not the child's.
func (t *Table) knowsOwner(e *entry, child time.Duration) bool {
	if e.owner.at != 0 && e.owner.at >= child+procstat.Tick {
		return true
	}
	return t.proc.err == nil && t.openings.take() && t.readOwner(e)
}

// namespaceRoot reports whether a process of a user is root of a user namespace that has a login user.
func (t *Table) namespaceRoot(e *entry, user, login kill.ID) bool {
	if e == nil || user.Value == 0 || t.proc.err != nil || !t.openings.take() {
		return false
	}
	dir, _, ok := t.proc.openLife(e.Key)
	if !ok {
		return false
	}
	defer dir.close()
	return dir.mayBecome(user.Value, login.Value)
}
