// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/manager"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// TestSystemdWithoutAPlace has a systemd come while all places are taken: it is offered again until there is one.
func TestSystemdWithoutAPlace(t *testing.T) {
	t.Parallel()
	const places, late = 256, 100_000
	c := &Capture{processes: process.NewTable(process.Config{Root: t.TempDir()}), managers: manager.New(manager.Config{})}
	begun := process.Key{PID: late, Start: time.Second}
	c.processes.Exec(process.Exec{Key: begun, Parent: 1, Command: "systemd", Executable: "/usr/lib/systemd/systemd"})
	for pid := 2; pid <= places; pid++ {
		assert.True(t, c.managers.Watch(pid))
	}
	known := c.watchManagers(nil)
	assert.True(t, known[begun], "it is not offered with each program that runs")
	assert.EqualValues(t, 1, c.managers.Counts().Unwatched)
	c.managers.Unwatch(places)
	c.watchManagers(known)
	assert.EqualValues(t, 1, c.managers.Counts().Unwatched)
	assert.True(t, c.managers.Watch(places), "it was not offered again")
	c.managers.Unwatch(places)
	c.watchManagers(nil)
	assert.False(t, c.managers.Watch(places), "it has the place")
}
