// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"iter"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// sameKill is how far the times may differ that two kernel logs have of one kill: one of them may tell it by a clock that
	// has drifted away.
	sameKill = time.Minute
	// maxKills is how many kills are remembered for that long.
	maxKills = 4096
)

// Once leaves out the targets of kills for lack of memory that another kernel log has told already, such as journalctl -k
// after dmesg. A process has the same pid, name and figures in both.
// What is in order may be more than events; eventOf returns the event of each.
func Once[T any](all iter.Seq[T], eventOf func(T) *kill.Event) iter.Seq[T] {
	return func(yield func(T) bool) {
		var told memory
		for one := range all {
			e := eventOf(one)
			if e.OutOfMemory != nil && e.File != "" {
				e.Targets = slices.DeleteFunc(e.Targets, func(p kill.Process) bool { return told.has(e, &p) })
				if len(e.Targets) == 0 {
					continue
				}
				e.TargetCount = len(e.Targets)
			}
			if !yield(one) {
				return
			}
		}
	}
}

// memory has the last kills for lack of memory.
type memory []killed

type killed struct {
	at         time.Time
	file, host string
	pid        int
	name       string
	held       kill.Memory
}

// has reports whether another log has told a kill, and remembers it.
func (m *memory) has(e *kill.Event, p *kill.Process) bool {
	if p.Memory == nil {
		return false
	}
	one := killed{e.Time, e.File, e.Audit.Node, p.PID, p.Command, *p.Memory}
	old := slices.IndexFunc(*m, func(k killed) bool { return e.Time.Sub(k.at) <= sameKill })
	if old < 0 {
		old = len(*m)
	}
	*m = slices.Delete(*m, 0, max(old, len(*m)-maxKills+1))
	for _, k := range *m {
		if k.file != one.file && k.pid == one.pid && k.name == one.name && k.held == one.held &&
			(k.host == one.host || k.host == "" || one.host == "") {
			return true
		}
	}
	*m = append(*m, one)
	return false
}
