// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// looksPerSecond bounds how often it is found out whose files a process sees, at some 30 µs each.
	looksPerSecond = 500
	// spaceFor is how long a running process's users are considered current.
	spaceFor = time.Second
	// maxOthers is how many namespaces of others are remembered: about as many as there are containers. It begins anew when it is
	// full.
	maxOthers = 256
	// maxExtents is how many lines of a uid_map are remembered; containers have at most three.
	maxExtents = 8
)

// home is whose names and numbers a process uses, and how its own user database is reached.
type home struct {
	kill.Home
	// presumed is true if the files that the process sees could not be compared with the host's.
	presumed bool
	// native is true if it sees the host's own mounts.
	native bool
	// foreign is where its users are found, if they are not the host's.
	foreign *foreign
}

// foreign leads to the names of users that are not the host's. Forked processes share it.
type foreign struct {
	space spaceID
	ids   idMap
}

// homes finds out whose files the processes see. Any user can make a namespace in which another
// /etc/passwd or /usr/sbin/nginx is mounted (user_namespaces(7)), so neither a path nor a user id
// says anything before it is known who means it.
type homes struct {
	host vantage
	// known are the namespaces and the root of the host's own processes; zero until one was looked at.
	known Namespaces
	// others are those of processes that were seen to see other files than the host's.
	others map[Namespaces]struct{}
	spaces spaces
	// looks bounds those at processes of the initial user namespace, strangers those at all others,
	// which any user can start.
	looks, strangers budget
}

func newHomes(root string) homes {
	return homes{
		host: newVantage(root), others: map[Namespaces]struct{}{}, spaces: newSpaces(),
		looks: budget{perSecond: looksPerSecond}, strangers: budget{perSecond: looksPerSecond},
	}
}

// Namespaces are those in which a process has called execve(2), as the kernel reports them.
type Namespaces struct {
	// Mount is the inode number of the mount namespace; 0 if not known.
	Mount uint32
	// Root is the process's root folder; no two have the same number.
	Root uint64
	// UserLevel is how many user namespaces the process's user namespace is below the initial one.
	UserLevel int
}

// arrive finds out whose files a process sees that has called execve(2). It may be gone before it can be
// looked at. Then it counts as the host's only if it sees the host's root and is in no user namespace: with
// one, any user can mount what he likes, without one it takes root.
func (t *Table) arrive(e *entry, n Namespaces) {
	e.home = home{Home: kill.Home{PIDs: e.home.PIDs}}
	if n.Mount == 0 {
		return
	}
	if n == t.homes.known {
		e.home.Users, e.home.Program = kill.WhoseHost, kill.WhoseHost
		return
	}
	looks := &t.homes.looks
	if n.UserLevel > 0 {
		looks = &t.homes.strangers
	}
	switch {
	case t.proc.err == nil && looks.take() && t.visit(e, 0):
		t.homes.learn(e, n)
	case t.homes.foreign(n), n.UserLevel > 0, n.Root != t.homes.known.Root && t.homes.known.Root != 0:
		e.home.Users, e.home.Program = kill.WhoseOther, kill.WhoseOther
	case n.Root == t.homes.known.Root:
		e.home.Users, e.home.Program, e.home.presumed = kill.WhoseHost, kill.WhoseHost, true
	}
}

// learn notes whose the files are that processes see in some namespaces.
func (h *homes) learn(e *entry, n Namespaces) {
	switch {
	case e.home.native && n.UserLevel == 0: // a user who leaves a namespace of his own again looks like one of the host
		h.known = n
	case e.home.Users == kill.WhoseOther && !h.foreign(n):
		if len(h.others) >= maxOthers {
			clear(h.others)
		}
		h.others[n] = struct{}{}
	}
}

// foreign reports whether a process in these namespaces was seen to see other files than the host's. Until one of the host was
// seen, nothing else tells. Who sees the host's root may be any service's.
func (h *homes) foreign(n Namespaces) bool {
	_, known := h.others[n]
	return known && n.Root != h.known.Root
}

// visit looks at a process that lives, and reports whether it was still there.
func (t *Table) visit(e *entry, age time.Duration) bool {
	dir, _, ok := t.proc.openLife(e.Key)
	if !ok {
		return false
	}
	defer dir.close()
	executable := ""
	if e.program != nil {
		executable = e.program.executable
	}
	if !t.lookAround(e, dir, executable, age) {
		return false
	}
	// Who has left a chroot since his execve(2) sees the host's root again, but ran another file than the
	// path now names.
	if at := dir.executable(); at != "" && executable != "" && at != executable {
		e.home.Program, e.home.native = kill.WhoseOther, false
	}
	return true
}

// lookAround notes whose files a process sees. One that is ending sees none, so that what was known
// about it remains. What is known about its mount namespace may have some age: who has just
// made one may have mounted something since.
func (t *Table) lookAround(e *entry, dir folder, executable string, age time.Duration) bool {
	seen, ok := t.homes.look(t.proc, dir, executable, t.now(), age)
	if !ok {
		return false
	}
	seen.PIDs = e.home.PIDs
	if seen.Home != e.home.Home || seen.presumed != e.home.presumed {
		e.instance = nil
	}
	e.home = seen
	return true
}

// whose returns whose names and numbers a process uses. Its control group may say so if its files do not:
// a container has files of its own.
func (e *entry) whose(p *program) kill.Home {
	h := e.home.Home
	if p != e.program {
		h.Program = kill.WhoseUnknown // that of the program before
	}
	if e.place == nil || e.place.container == "" {
		return h
	}
	if h.Users == kill.WhoseUnknown || e.home.presumed {
		h.Users = kill.WhoseOther
	}
	if h.Program == kill.WhoseUnknown || e.home.presumed {
		h.Program = kill.WhoseOther
	}
	h.PIDs = cmp.Or(h.PIDs, kill.WhoseOther)
	return h
}

// askPIDs finds out whose pids a process names. It keeps its pid namespace for life
// (pid_namespaces(7)).
func (t *Table) askPIDs(e *entry) {
	if e.home.PIDs != kill.WhoseUnknown || e.gone {
		return
	}
	dir, _, ok := t.proc.openLife(e.Key)
	if !ok {
		return
	}
	defer dir.close()
	if e.home.PIDs = dir.pids(); e.home.PIDs != kill.WhoseUnknown {
		e.instance = nil
	}
}

// nameOwn adds what a process's own database calls its user, if that is not the host's.
func (t *Table) nameOwn(p *kill.Process) {
	if p.Home.Users == kill.WhoseHost || p.Instance == nil || !p.User.ID.Known {
		return
	}
	e := t.memory.find(Key{PID: p.PID, Start: p.Instance.SinceBoot}.rounded())
	if e == nil {
		return
	}
	if t.outdated(e) && t.homes.strangers.take() && t.visit(e, spaceFor) {
		p.Home.Users = e.whose(e.program).Users
	}
	if f := e.home.foreign; f != nil && p.Home.Users == kill.WhoseOther {
		if id, ok := f.ids.inside(p.User.ID.Value); ok {
			p.ContainerUser = t.homes.spaces.name(f.space, id)
		}
	}
}

// outdated reports whether a process that lives may have other users by now, or names for them.
func (t *Table) outdated(e *entry) bool {
	if e.gone || e.home.presumed || t.proc.err != nil {
		return false
	}
	return e.home.foreign == nil || t.homes.spaces.stale(e.home.foreign.space, t.now())
}

// idMap is the beginning of a uid_map (user_namespaces(7)). Empty, it maps nothing.
type idMap []extent

type extent struct{ inside, outside, count uint32 }

func parseIDMap(data []byte) idMap {
	var m idMap
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) != 3 || len(m) == maxExtents {
			break
		}
		var numbers [3]uint32
		for i, field := range fields {
			n, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return m
			}
			numbers[i] = uint32(n)
		}
		m = append(m, extent{numbers[0], numbers[1], numbers[2]})
	}
	return m
}

// inside returns the id that a user of the host has inside of the namespace.
func (m idMap) inside(id uint32) (uint32, bool) {
	for _, x := range m {
		if id >= x.outside && id-x.outside < x.count {
			return x.inside + (id - x.outside), true
		}
	}
	return 0, false
}

// initial reports whether the map is that of the initial user namespace, or of one in which nothing
// has another number; a user without rights can make neither.
func (m idMap) initial() bool {
	return len(m) == 1 && m[0] == extent{0, 0, 1<<32 - 1}
}
