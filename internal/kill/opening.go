// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Opening is how an audit session has begun: the children of a process are in its session, unless they begin another one.
type Opening struct {
	// By is the process that has begun the session, Parent its parent, which is not in it.
	By, Parent Process
	// Namespace is true if By is in a user namespace that has the session's login user: it may become only users of there.
	Namespace bool
	// AnyonesProgram is true if the program of By gives whoever starts it another user (execve(2), set-user-ID), or if that
	// is not known: the session may have been begun before.
	AnyonesProgram bool
}
