// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// checkEBPF says which right is missing to trace in the kernel.
func checkEBPF() error {
	// CAP_SYS_ADMIN contains both (capabilities(7)).
	if has, err := privilege.Has(capability.CAP_SYS_ADMIN); err != nil || has {
		return nil
	}
	return lacks(privilege.Lacking(capability.CAP_BPF, capability.CAP_PERFMON))
}

// checkNetlink says which right is missing to take audit records from the kernel.
func checkNetlink(mode string) error {
	if mode == Unicast {
		return lacks(privilege.Lacking(capability.CAP_AUDIT_CONTROL))
	}
	return lacks(privilege.Lacking(capability.CAP_AUDIT_READ))
}

// adviseFile says why nothing may come to be in the log, if the kernel tells.
func (c *Config) adviseFile() {
	found, err := auditrules.Check(auditrules.Settings{Signals: c.signals(), Key: capture.DefaultKey})
	if err != nil {
		return // few may ask, and a log may be of another host
	}
	switch {
	case found.Status.PID == 0:
		c.Say("warning: no audit daemon runs on this host that would write a log")
	case !found.Recorded():
		c.Say("warning: no audit rule of this host records all that is asked for; auditkill rules --check tells more")
	}
}
