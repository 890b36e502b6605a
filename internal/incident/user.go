// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import "strings"

// A user is known by his name, or else by his id. Not all records of one login have the name: a source may not be able to look it up. So
// both are one person if they are of the same session of a host.

// unnamed reports whether a user is only known by his id.
func unnamed(user string) bool { return strings.HasPrefix(user, "#") }

// excludes reports whether another user is behind the incident than behind a record.
func (i *incident) excludes(r *Record) bool {
	return i.users.differs(r.user()) && !i.renames(r)
}

// renames reports whether a record and the incident are of the same session, and one of them does not have the user's name.
func (i *incident) renames(r *Record) bool {
	if unnamed(i.users.Value) == unnamed(r.user()) {
		return false
	}
	_, same := i.keys[r.session]
	return same
}

// addUser notes who is behind a member: by his name if any member has it.
func (i *incident) addUser(r *Record) {
	switch {
	case !i.users.differs(r.user()) || !i.renames(r):
		i.users.add(r.user())
	case unnamed(i.users.Value):
		i.users.Value = strings.Clone(r.user())
	}
}

// shareSession reports whether two incidents are of the same session, and one of them does not have the user's name.
func (i *incident) shareSession(other *incident) bool {
	if unnamed(i.users.Value) == unnamed(other.users.Value) {
		return false
	}
	for k := range i.keys {
		if _, both := other.keys[k]; both && k.kind() == bySession {
			return true
		}
	}
	return false
}

// absorbUsers adds who is behind another incident, with which this one fits.
func (i *incident) absorbUsers(from *incident) {
	switch {
	case !i.users.differs(from.users.Value) || from.users.Mixed:
		i.users.absorb(&from.users)
	case unnamed(i.users.Value):
		i.users = from.users
	}
}
