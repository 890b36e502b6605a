// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Person returns the login user behind a signal of a sender: the values of user.id and user.name. The own login
// of a sender that acts for others says nothing.
func (b *Behind) Person(sender *Process) User {
	if b == nil || !b.Managed && b.User == (User{}) {
		return sender.Person()
	}
	return b.User
}

// Person returns the login user of a process; unset if that may be anybody else.
func (p *Process) Person() User {
	if p.Claimed {
		return User{}
	}
	return p.Login
}
