// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxAncestry is how many parents are told: a shell, what it was started from, a
	// session, a service and those of a container fit in.
	maxAncestry = 8
	// parentFor is how long a parent is taken to be what it was, so that a storm of
	// events is not as many looks at all parents.
	parentFor = 50 * time.Millisecond
)

// ancestry returns a process and its parents, nearest first. Each is older than
// its child, which a process that was given a parent's old pid is not.
func (in *inquiry) ancestry(pid int, born time.Duration) []kill.Ancestor {
	var all []kill.Ancestor
	for len(all) < maxAncestry {
		e := in.remembered(pid)
		if e == nil || e.gone || in.at > e.seen+parentFor {
			e = in.bearer(pid)
		}
		if e == nil || e.program == nil || e.Start > born {
			break
		}
		if e.gone && e.seen < in.at {
			break // it may have run something else since it was seen
		}
		all = append(all, kill.Ancestor{PID: e.PID, Command: e.program.command})
		pid, born = e.parent, e.Start
	}
	return all
}

// sameLogin reports whether the parent of a sender that is not known itself, such
// as a kill(1) long gone, belongs to the same login. Both were told by the audit
// system, so a log of another host hardly fits.
func (in *inquiry) sameLogin(sender *kill.Process) bool {
	e := in.bearer(sender.ParentPID)
	if e == nil || e.gone {
		return false
	}
	in.askOwner(e)
	return e.owner.at != 0 && e.owner.login == sender.Login.ID && e.owner.session == sender.Session
}
