// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Whose says whether something is the host's own. The zero value means that this is not known.
type Whose uint8

const (
	WhoseUnknown Whose = iota
	// WhoseHost is the host's own.
	WhoseHost
	// WhoseOther belongs to a container, a chroot or a namespace that somebody has made.
	WhoseOther
)

// Home says whose the names and numbers of a process are: inside a container, the same path is
// another program, the same user id another person, and the same pid another process.
type Home struct {
	// Users is its user database, Program the path of its program, PIDs the pids that it names.
	Users, Program, PIDs Whose
}
