// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// explainable reports whether more may be known of a signal of the kernel than the kernel says.
func explainable(e *kill.Event) bool {
	return inTerminal(e.Cause) && len(e.Targets) > 0 || killsGroup(e) && e.Sender.PID != 0
}

func inTerminal(cause kill.Cause) bool {
	return cause == kill.CauseTerminalKey || cause == kill.CauseTerminalHangup
}

// killsGroup reports whether somebody has written to a cgroup.kill. A manager that does so may have a cause of its own.
func killsGroup(e *kill.Event) bool {
	return e.Cause == kill.CauseCgroupKill || e.Cause.Managed()
}

// explainKernel explains a signal of the kernel.
func (t *Table) explainKernel(e *kill.Event) (settled bool) {
	if inTerminal(e.Cause) {
		e.Behind = t.behindTerminal(&e.Targets[0], e.Time)
		return true
	}
	e.Cause, e.Behind = kill.CauseNone, nil
	settled = t.explain(e) // as if who has written had sent the signal
	if e.Cause == kill.CauseNone {
		e.Cause = kill.CauseCgroupKill
	}
	return settled
}

// behindTerminal returns to whose login a process in a terminal belongs; nil if that is not known. It need not be
// who has pressed a key: others may share the terminal.
func (t *Table) behindTerminal(p *kill.Process, at time.Time) *kill.Behind {
	p.Claimed = t.claims(p, at)
	if p.Claimed {
		return nil
	}
	session := t.sessionOf(p)
	if session == nil && !p.Login.ID.Known {
		return nil
	}
	return &kill.Behind{Session: session, User: p.Person()}
}
