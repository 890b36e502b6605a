// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// The outcome says which limit was reached, also if that was after a softer signal, or before a restart.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	why := &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg, Cgroup: "/a", Limit: kill.NewAmount(1), Invoker: kill.Process{PID: 7, Command: "b"}}
	held := &kill.Memory{AnonRSS: kill.NewAmount(2)}
	oom := func(e *kill.Event) {
		e.Origin, e.Cause, e.Sender, e.OutOfMemory = kill.OriginKernel, kill.CauseOOM, kill.Process{}, why
		e.Targets[0].Memory = held
	}
	for name, tt := range map[string]struct{ softer, later, restart bool }{
		"at once": {}, "after a softer signal": {softer: true}, "before another signal": {later: true}, "before a restart": {softer: true, restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.born(pid)
			if tt.softer {
				f.sendWith(kill.SIGTERM, from("systemd", 1), pid)
			}
			f.sendWith(kill.SIGKILL, oom, pid)
			f.at += time.Millisecond
			if tt.later {
				f.sendWith(kill.SIGKILL, from("systemd", 1), pid)
			}
			if tt.restart {
				f = f.restarted(t, "boot")
			}
			f.died(pid, 9)
			e := f.only(t)
			assert.Equal(t, why, e.OutOfMemory)
			assert.Equal(t, held, e.Targets[0].Memory)
		})
	}
	f := newFixture(t, true)
	f.born(pid)
	f.send(kill.SIGKILL, pid)
	f.died(pid, 9)
	e := f.only(t)
	require.Nil(t, e.OutOfMemory)
	assert.Nil(t, e.Targets[0].Memory)
}
