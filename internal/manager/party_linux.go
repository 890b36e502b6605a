// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import "golang.org/x/sys/unix"

// parties returns whose place a systemd takes. What root has started, such as containers, may be many: then those in each
// container share some, as their users have the numbers of others. Those of other users than root share some in all
// containers together.
func (p *process) parties() []party {
	user := p.maker()
	login := p.loginuid()
	switch {
	case user != 0:
		return partiesOf(user, login)
	case !p.nested:
		return []party{{partyUser, 0}}
	}
	all := []party{{partyContainer, p.container()}}
	if login.Known { // a program of root, such as a sandbox, makes a container for anybody
		all = append(all, party{partyLogin, uint64(login.Value)})
	}
	if p.user != 0 && all[0].id != 0 {
		all = append(all, party{partyContainer, 0})
	}
	return all
}

// maker returns who has made the container of the process, or the user namespace right below ours: he may be many users in there. It is
// the process's own user if there is none, or if that cannot be seen.
func (p *process) maker() uint32 {
	namespace, seen := p.outermost("ns/user")
	switch {
	case !seen:
		return p.user
	case namespace < 0 && p.nested:
		return 0 // nobody else makes one without a user namespace
	case namespace < 0:
		return p.user
	}
	defer unix.Close(namespace)
	owner, err := unix.IoctlGetUint32(namespace, unix.NS_GET_OWNER_UID)
	if err != nil {
		return p.user
	}
	return owner
}

// container returns the number of the pid namespace of the process, right below ours; 0 if there is none, or if that cannot be
// seen.
func (p *process) container() uint64 {
	namespace, _ := p.outermost("ns/pid")
	if namespace < 0 {
		return 0
	}
	defer unix.Close(namespace)
	var file unix.Stat_t
	if unix.Fstat(namespace, &file) != nil {
		return 0
	}
	return file.Ino
}

// outermost opens the ancestor of a namespace of the process that is right below ours (ioctl_nsfs(2)): -1 if the process is in ours. It
// returns false if that cannot be seen.
func (p *process) outermost(name string) (below int, seen bool) {
	at, err := unix.Openat(p.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	below = -1
	for {
		parent, err := unix.IoctlRetInt(at, unix.NS_GET_PARENT) // nobody sees beyond his own
		if err != nil {
			_ = unix.Close(at)
			return below, true
		}
		if below >= 0 {
			_ = unix.Close(below)
		}
		below, at = at, parent
	}
}
