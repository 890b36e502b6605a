// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxAncestry is how many parents are reported. That includes a shell, the process that started
	// it, a session, a service and the processes of a container.
	maxAncestry = 8
	// parentFor is how long what is known about a parent is considered current, so that a storm of
	// events does not read all parents for each event.
	parentFor = 50 * time.Millisecond
)

// parents returns the parents of a living process, whose events share the list. One batch asks once, unless one of
// them has ended.
func (in *inquiry) parents(of *entry, parent int) []kill.Ancestor {
	if asked := of.parentsOf; asked.parent == parent && in.batch.covers(asked.batch) {
		return of.parents
	}
	all, lasting := in.ancestry(parent, of.Start)
	of.parentsOf = parentsOf{}
	if lasting {
		of.parentsOf = parentsOf{parent: parent, batch: in.batch.number}
	}
	return of.sharing(all)
}

// parentsOf says for which parent and batch an entry's parents were found.
type parentsOf struct {
	parent int
	batch  uint64
}

// ancestry returns a process and its parents, nearest first, and whether all of them live. Each is older than its child,
// so that a process that was given a parent's old pid is left out.
func (in *inquiry) ancestry(pid int, born time.Duration) (all []kill.Ancestor, lasting bool) {
	lasting = true
	for len(all) < maxAncestry {
		e := in.remembered(pid)
		if e == nil || e.gone || in.at > e.seen+parentFor {
			e = in.bearer(pid)
		}
		if e == nil || e.program == nil || e.Start > born {
			break
		}
		lasting = lasting && !e.gone
		if e.gone && e.seen < in.at {
			break // it may have run something else since it was seen
		}
		all = append(all, kill.Ancestor{PID: e.PID, Command: e.program.command})
		pid, born = e.parent, e.Start
	}
	return all, lasting
}

// sharing returns the parents that were found last, if they are the same: events share the list.
func (e *entry) sharing(parents []kill.Ancestor) []kill.Ancestor {
	if !slices.Equal(parents, e.parents) {
		e.parents = parents
	}
	return e.parents
}

// sameLogin reports whether the parent of an unknown sender, such as a kill(1) that has long ended,
// belongs to the same login. The audit system records login and session of both, so a log of
// another host is unlikely to match.
func (in *inquiry) sameLogin(sender *kill.Process) bool {
	e := in.bearer(sender.ParentPID)
	if e == nil || e.gone {
		return false
	}
	in.askOwner(e)
	return e.owner.at != 0 && e.owner.login == sender.Login.ID && e.owner.session == sender.Session
}
