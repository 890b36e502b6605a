// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Opening is how an audit session has begun: the children of a process are in its session, unless they begin another one.
type Opening struct {
	// By is the process that has begun the session, Parent its parent, which is not in it.
	By, Parent Process
	// NamespaceRoot is true if By is root of a user namespace that has the session's login user: it may become him.
	NamespaceRoot bool
}
