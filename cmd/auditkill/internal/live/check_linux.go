// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// checkEBPF returns which capabilities are missing to trace in the kernel.
func checkEBPF() error { return lacks(privilege.LackingToTrace()) }

// checkNetlink returns which capability is missing to receive audit records from the kernel.
func checkNetlink(mode string) error {
	if mode == Unicast {
		return lacks(privilege.Lacking(capability.CAP_AUDIT_CONTROL))
	}
	return lacks(privilege.Lacking(capability.CAP_AUDIT_READ))
}

// adviseFile warns if signals may not get into the log, as far as the kernel lets us ask.
func (c *Config) adviseFile() {
	found, err := auditrules.Check(auditrules.Settings{Signals: c.signals(), Key: capture.DefaultKey})
	if err != nil {
		return // few users may ask, and the log may be of another host
	}
	switch {
	case found.Status.PID == 0:
		c.Say("warning: no audit daemon is running on this host to write the log")
	case !found.Recorded():
		c.Say("warning: the audit rules of this host do not record all that is asked for; see auditkill rules --check")
	}
}
