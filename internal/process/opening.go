// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

// maxOpeners bounds how many parents are asked for the session of a process.
const maxOpeners = 32

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
	opener, ok := *p, true
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
			is.RealUser.ID = e.owner.user
			opening := kill.Opening{By: opener, Parent: is}
			opening.Namespace, opening.AnyonesProgram = t.rights(at, p.Login.ID)
			return opening, ok
		}
		pid, born = e.parent, e.Start
	}
	return kill.Opening{}, false
}

// knowsOwner reports whether it is known on whose behalf a process runs, or has run after it had a child: it may have begun a
// session of its own before, but none later that the child is in as well.
func (t *Table) knowsOwner(e *entry, child time.Duration) bool {
	if e.owner.at != 0 && e.owner.at >= child+procstat.Tick {
		return true
	}
	return t.proc.err == nil && t.reads.take() && t.readOwner(e)
}

// rights implements Opening for its opener: whether it is in a user namespace that has a user, and whether its program gives whoever
// starts it another user, or may do so, as the process has ended.
func (t *Table) rights(e *entry, user kill.ID) (namespace, anyones bool) {
	if e == nil || t.proc.err != nil || !t.reads.take() {
		return false, true
	}
	dir, _, ok := t.proc.openLife(e.Key)
	if !ok {
		return false, true
	}
	defer dir.close()
	return dir.has(user.Value), dir.setsUser()
}
