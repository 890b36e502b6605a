// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/exitwatch"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// netlink listens to the kernel's audit system, in one of two ways or, with Auto, in the
// one that is right.
func (w *Watch) netlink(mode string) candidate {
	name, needed := mode, []capability.Cap{capability.CAP_AUDIT_READ}
	switch mode {
	case Auto:
		name = eitherNetlink
	case Unicast:
		needed[0] = capability.CAP_AUDIT_CONTROL
	}
	c := candidate{
		name: name, check: func() error { return lacking(needed...) },
		exits: exitwatch.New(exitwatch.Config{Logger: w.logger}),
	}
	c.guard = newGuard(w)
	listener := netlinksource.New(netlinksource.Settings{
		Mode: netlinksource.Mode(mode), ReceiveBuffer: receiveBuffer, Correlation: w.correlation(w.config.Key),
		Telemetry: w.telemetry, Logger: w.logger, Tampered: c.guard.suspect, Report: ignore,
	})
	c.Source, c.began = listener, func() string { return string(listener.Began()) }
	return c
}

// lacking says which capabilities are missing.
func lacking(needed ...capability.Cap) error {
	var missing []string
	for _, c := range needed {
		if has, err := privilege.Has(c); err == nil && !has {
			missing = append(missing, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("it lacks %s", strings.Join(missing, " and "))
}

// adviseFile says why nothing may come to be in the log, if the kernel tells.
func (w *Watch) adviseFile() {
	found, err := auditrules.Check(auditrules.Settings{Signals: w.config.signals(), Key: logKey})
	if err != nil {
		return // it is told to few, and a log may be of another host
	}
	switch {
	case found.Status.PID == 0:
		w.config.Say("warning: no audit daemon runs on this host that would write a log")
	case !found.Recorded():
		w.config.Say("warning: no audit rule of this host records all that is asked for; auditkill rules --check tells more")
	}
}
