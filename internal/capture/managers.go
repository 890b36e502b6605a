// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/manager"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/rhythm"
)

// discovery is how often systemds are searched for among the processes: those of containers and of users
// come and go.
const discovery = 2 * time.Second

// offerAgain is after how long all of them are looked at again: one that there was no place for may have one by now.
const offerAgain = 30 * time.Second

// openManagers prepares to listen to systemds, if what is behind signals is wanted and the source is live.
func (c *Capture) openManagers() {
	if c.behind == nil || !c.traits.Live {
		return
	}
	s := &c.settings
	c.managers = manager.New(manager.Config{
		Root: s.Root, Logger: c.sampled, Warn: s.Warn, Panics: c.panics,
		Tell:   func(f attribution.Fact) { c.behind.learn(&f) },
		Follow: c.behind.table.Follow,
	})
}

// listenToManagers listens to the host's systemd, and to all others that appear, until ctx is done.
func (c *Capture) listenToManagers(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.managers.Run(ctx)
	}()
	defer func() { <-done }()
	timer := time.NewTimer(rhythm.Next(discovery))
	defer timer.Stop()
	var known map[process.Key]bool
	var offered time.Time
	for programs := uint64(0); ; {
		if now := time.Now(); now.Sub(offered) >= offerAgain {
			known, offered = nil, now
		}
		if now := c.processes.Programs(); now != programs || known == nil { // nothing is new while nobody runs a program
			known, programs = c.watchManagers(known), now
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(rhythm.Next(discovery))
	}
}

// watchManagers listens to the systemds among the processes that were not there before, and returns them all.
func (c *Capture) watchManagers(known map[process.Key]bool) map[process.Key]bool {
	found := map[process.Key]bool{}
	for _, key := range c.processes.Named("systemd", "init") {
		if found[key] = true; !known[key] {
			c.managers.Watch(key.PID)
		}
	}
	return found
}
