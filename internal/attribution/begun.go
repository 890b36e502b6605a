// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// begun is the end of a process that a manager has begun.
type begun struct {
	// request is who has asked for it; nil if that is not known.
	request *request
	// other is somebody else who has asked for it later; nil if nobody has.
	other *request
	at    time.Time
}

// target identifies the target of a signal: by when it was created, or else by its name.
type target struct {
	pid   int
	start time.Duration
	name  string
}

// targetOf returns the only target of an event, if there is one.
func targetOf(e *kill.Event) (target, bool) {
	if len(e.Targets) != 1 || e.Targets[0].PID == 0 {
		return target{}, false
	}
	p := &e.Targets[0]
	if p.Instance == nil {
		return target{pid: p.PID, name: p.Command}, p.Command != ""
	}
	return target{pid: p.PID, start: p.Instance.SinceBoot}, true
}

// begun returns what a manager has begun with the target already, which it goes on with until the target has
// ended; nil if that is nothing.
func (t *Table) begun(e *kill.Event) *begun {
	k, ok := targetOf(e)
	if !ok {
		return nil
	}
	last := t.ends[k]
	if last == nil || !last.at.Before(e.Time) || e.Time.Sub(last.at) > goesOnFor {
		return nil
	}
	return last
}

// goingOn returns who has asked for the end of the target already; nil if nobody has, or if that is not known.
func (t *Table) goingOn(e *kill.Event) *request {
	if last := t.begun(e); last != nil {
		return last.request
	}
	return nil
}

// remember remembers that a manager ends the target, and who has asked for that; nil if that is not known.
func (t *Table) remember(e *kill.Event, r *request) {
	k, ok := targetOf(e)
	if !ok || t.ends[k] != nil && r == nil {
		return
	}
	if len(t.ends) >= maxEnds {
		clear(t.ends)
	}
	t.ends[k] = &begun{request: r, at: e.Time}
}

// tooLate reports whether a signal kills what has not ended by a softer one for a while.
func (t *Table) tooLate(e *kill.Event) bool {
	before := t.begun(e)
	return before != nil && e.Signal == kill.SIGKILL && e.Time.Sub(before.at) >= shortestTimeout
}
