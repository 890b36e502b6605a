// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

// Mode says how to listen to the kernel.
type Mode string

const (
	// ModeAuto listens beside an audit daemon, or acts as the daemon where there is none.
	ModeAuto Mode = "auto"
	// ModeMulticast listens beside the audit daemon.
	ModeMulticast Mode = "multicast"
	// ModeUnicast acts as the audit daemon.
	ModeUnicast Mode = "unicast"
)

// Modes returns all modes.
func Modes() []Mode { return []Mode{ModeAuto, ModeMulticast, ModeUnicast} }
