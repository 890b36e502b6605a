// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Opening is how an audit session seems to have begun: the children of a process are in its session, unless they begin another one.
type Opening struct {
	// By is the process that seems to have begun it, as it is now: its parent is not in the session. It may have become another user, and
	// run another program, since.
	By Process
	// NamespaceRoot is true if By is root of a user namespace that has the session's login user: it may become him.
	NamespaceRoot bool
}
