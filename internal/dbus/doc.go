// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package dbus speaks D-Bus (dbus.freedesktop.org/doc/dbus-specification.html) with a peer that may hang, lie
// or flood, such as the bus of a container: whatever it sends, a connection uses little memory and time.
//
// It exists beside godbus because that trusts its peer: it reserves memory for strings and arrays as
// long as the peer says, up to 100 GB, which ends the program; it panics in a goroutine of its own if a message
// of the bus has an unexpected body, or is cut; and it starts a goroutine for each call of the peer.
package dbus
