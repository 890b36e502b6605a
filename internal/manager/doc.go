// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package manager listens to systemds over D-Bus: the host's, those of containers and those of users. What
// they do to units, who logs in, and who calls them become facts (attribution.Fact).
//
// Each systemd has a connection of its own. What it says counts for itself only, because facts name it, and
// whatever its bus does costs the others nothing: it may hang, close, lie and flood.
package manager
