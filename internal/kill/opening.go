// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Opening is how an audit session has begun: the children of a process are in its session, unless they begin another one.
type Opening struct {
	// By is the process that has begun the session; its parent is not in it.
	By Process
	// Forked is true if By was seen to be forked, and has run no other program since: what it may do, it has been given by none.
	Forked bool
	// NamespaceRoot is true if By is root of a user namespace that has the session's login user: it may become him.
	NamespaceRoot bool
}
