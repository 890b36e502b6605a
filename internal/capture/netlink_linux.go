// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"github.com/auditkill/auditkillreceiver/internal/exitwatch"
	"github.com/auditkill/auditkillreceiver/internal/panics"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

func (n Netlink) source(c *Capture, k *Candidate) source.Source {
	return netlinksource.New(netlinksource.Settings{
		Mode: n.Mode, ReceiveBuffer: n.ReceiveBuffer, Correlation: c.correlation(k), Facts: c.settings.Attribution.Enabled,
		Panics: c.panics, Counts: &c.counts, Logger: c.settings.Logger, Warn: c.settings.Warn,
		Tampered: c.requestRulesCheck, Health: c.settings.Health,
	})
}

// newExits returns a watcher of processes for sources that do not report their ends.
func newExits(s *Settings, contain *panics.Guard) exits {
	return exitwatch.New(exitwatch.Config{Root: s.Root, Logger: s.Logger, Warn: s.Warn, Panics: contain})
}
