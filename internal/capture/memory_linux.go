// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// memory is what reads the kernel's log.
type memory = oomwatch.Watcher

// openMemory begins to read the kernel's log, if it has something to add to the source.
func (c *Capture) openMemory(ctx context.Context) {
	switch s := &c.settings; {
	case s.KernelLog == KernelLogNever:
	case c.traits.InfersLimits && c.behind != nil:
		c.openLimits()
	case c.chosen.ofHost != nil && (s.KernelLog == KernelLogAlways || c.chosen.ofHost(s.Root)):
		watcher := c.newMemory(oomwatch.Config{
			Lose: func(messages int64) { c.counts.Lose(source.KernelLogMessages, messages) }, From: c.loadPlace(ctx),
		})
		if err := watcher.Start(); err != nil {
			s.Warn(&problem.Problem{What: "kills for lack of memory will not be reported, as the kernel's log cannot be read", Err: err})
			return
		}
		c.memory = watcher
	}
}

// openLimits begins to read the kernel's log for a source that sees the kills itself. Without the log, and of messages
// that are overwritten, it infers the rest.
func (c *Capture) openLimits() {
	watcher := c.newMemory(oomwatch.Config{EachVictim: true, Lose: func(messages int64) {
		c.sampled.Debug("messages of the kernel's log were overwritten before they were read", zap.Int64("messages", messages))
	}})
	if err := watcher.Start(); err != nil {
		c.settings.Logger.Info("which limit was reached by a process that is killed for lack of memory is inferred: "+
			"the kernel does not allow the function to be traced that knows it, nor the kernel's log to be read", zap.Error(err))
		return
	}
	c.memory, c.behind.limits = watcher, &limits{}
}

func (c *Capture) newMemory(config oomwatch.Config) *memory {
	config.Root, config.Boot, config.Logger, config.Panics = c.settings.Root, c.settings.Host.Boot, c.sampled, c.panics
	return oomwatch.New(config)
}

// watchMemory delivers kills for lack of memory until ctx is done, or adds what is known of them to those of the source.
func (c *Capture) watchMemory(ctx context.Context, producing *sync.WaitGroup) {
	if c.behind != nil && c.behind.limits != nil {
		producing.Go(func() { c.memory.Run(ctx, c.behind.learnLimits) })
		return
	}
	c.queued(producing, func(add func([]source.Observation)) {
		c.memory.Run(ctx, func(kills []*kill.Event) { add(source.Events(kills)) })
	}, c.savePlace)
}

func (c *Capture) closeMemory() error {
	if c.memory == nil {
		return nil
	}
	watcher := c.memory
	if c.handler != nil {
		c.savePlace(func() bool { return true })
	}
	c.memory = nil
	return watcher.Close()
}

// daemon returns the audit daemon's pid; 0 if there is none, or if we may not ask.
func daemon() int {
	status, err := auditcontrol.Client{}.GetStatus()
	if err != nil {
		return 0
	}
	return int(status.PID)
}
