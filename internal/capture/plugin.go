// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/pluginsource"
)

// DefaultSocket is where auditd's af_unix plugin listens up to version 3.1; later ones listen in
// /run/audit.
const DefaultSocket = "/var/run/audispd_events"

// Plugin reads what auditd's af_unix plugin writes to a Unix socket.
type Plugin struct{ Path string }

// Candidate returns the source under a name.
func (p Plugin) Candidate(name string) Candidate {
	return Candidate{Name: name, fromKernel: someDaemon, ofHost: anyRoot, make: func(c *Capture, k *Candidate) source.Source {
		return pluginsource.New(pluginsource.Settings{
			Path: p.Path, Correlation: c.correlation(k), Facts: c.settings.Attribution.Enabled, Panics: c.panics, Counts: &c.counts,
			Logger: c.settings.Logger, Tampered: c.requestRulesCheck, Health: c.settings.Health,
		})
	}}
}
