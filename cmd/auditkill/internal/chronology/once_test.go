// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package chronology

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Two logs tell of one kill, but never one log of the same kill twice.
func TestOnce(t *testing.T) {
	t.Parallel()
	oom := func(file, host string, after time.Duration, anon int64, pids ...int) *kill.Event {
		e := &kill.Event{Time: start.Add(after), File: file, OutOfMemory: &kill.OutOfMemory{}}
		e.Audit.Node = host
		for _, pid := range pids {
			*e.AddTarget() = kill.Process{PID: pid, Command: "sh", Memory: &kill.Memory{AnonRSS: kill.NewAmount(anon)}}
		}
		return e
	}
	for name, c := range map[string]struct {
		events []*kill.Event
		want   []int
	}{
		"another log":          {[]*kill.Event{oom("a", "", 0, 5, 1), oom("b", "host", time.Second, 5, 1)}, []int{1}},
		"one log":              {[]*kill.Event{oom("a", "", 0, 5, 1), oom("a", "", time.Second, 5, 1)}, []int{1, 1}},
		"other figures":        {[]*kill.Event{oom("a", "", 0, 5, 1), oom("b", "", time.Second, 6, 1)}, []int{1, 1}},
		"another host":         {[]*kill.Event{oom("a", "x", 0, 5, 1), oom("b", "y", time.Second, 5, 1)}, []int{1, 1}},
		"much later":           {[]*kill.Event{oom("a", "", 0, 5, 1), oom("b", "", time.Hour, 5, 1)}, []int{1, 1}},
		"one of a group":       {[]*kill.Event{oom("a", "", 0, 5, 1), oom("b", "", time.Second, 5, 1, 2)}, []int{1, 2}},
		"no kill of that kind": {[]*kill.Event{{Time: start, Targets: []kill.Process{{PID: 1}}}, {Time: start, Targets: []kill.Process{{PID: 1}}}}, []int{1, 1}},
	} {
		var got []int
		for e := range Once(slices.Values(c.events), func(e *kill.Event) *kill.Event { return e }) {
			for _, p := range e.Targets {
				got = append(got, p.PID)
			}
		}
		assert.Equal(t, c.want, got, name)
	}
}
