// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxProofs is how many sessions are remembered of which it is known who has begun them.
	maxProofs = 4096
	// doubtFor is how long a session is in doubt before the question is asked again: more may be known then.
	doubtFor = time.Second
)

// proofs says of sessions whether the login user that the kernel has for them can be believed. The kernel asks for no right to set
// one that is unset (kernel/audit.c, audit_set_loginuid_perm), so that any process of a service may say that it is anybody. It
// gives each session a number of its own, and all processes in it inherit that.
type proofs struct {
	// proven are the users of sessions that root or they themselves have begun; doubted when it was not known who has.
	proven  map[uint32]uint32
	doubted map[uint32]time.Time
	// claimed are sessions that an audit record shows to have been begun by another user, forgotten the highest number of one
	// that is not among them any more, as there were too many.
	claimed   map[uint32]struct{}
	forgotten uint32
}

func newProofs() *proofs {
	return &proofs{proven: map[uint32]uint32{}, doubted: map[uint32]time.Time{}, claimed: map[uint32]struct{}{}}
}

// claim notes a session that a user has begun as somebody else.
func (p *proofs) claim(session uint32) {
	if len(p.claimed) >= maxProofs {
		p.forgotten = max(p.forgotten, forgetLowest(p.claimed))
	}
	p.claimed[session] = struct{}{}
	delete(p.proven, session)
}

// prove notes a session that root or the user himself has begun.
func (p *proofs) prove(session uint32, user kill.ID) {
	if len(p.proven) >= maxProofs {
		forgetLowest(p.proven)
	}
	p.proven[session] = user.Value
	delete(p.claimed, session) // of an earlier boot
	delete(p.doubted, session)
}

func (p *proofs) doubt(session uint32, at time.Time) {
	if len(p.doubted) >= maxProofs {
		clear(p.doubted)
	}
	p.doubted[session] = at
}

// forgetLowest forgets half of the sessions, the oldest of a boot, and returns the highest number of these.
func forgetLowest[T any](of map[uint32]T) uint32 {
	numbers := slices.Sorted(maps.Keys(of))
	half := numbers[:len(numbers)/2]
	for _, number := range half {
		delete(of, number)
	}
	return half[len(half)-1]
}

// claims reports whether a process may have become its login user without any right, so that nobody is to be accused of what it does.
func (t *Table) claims(p *kill.Process, at time.Time) bool {
	if !p.Login.ID.Known {
		return false
	}
	if !p.Session.Known { // the kernel sets both: it has ended before both were read
		return t.config.Live
	}
	if of := t.session(0, idOf(p.Session), p.Login.ID); of != nil && of.Service == "systemd-run0" {
		return true // root has not logged in: somebody who has was given his right
	}
	var by kill.ID // of whom it is known that he was nobody else before
	seen := false
	if t.config.Processes != nil {
		by, seen = t.config.Processes.Begun(p)
	}
	reported := seen && by.Known
	user := p.RealUser.ID
	if !user.Known {
		user = p.User.ID
	}
	_, claimed := t.proofs.claimed[p.Session.Value]
	switch {
	case reported && (by.Value == 0 || by == p.Login.ID):
		return false
	case !seen && !claimed && user == p.Login.ID && user.Value != 0: // who is root may be so by sudo
		return false
	}
	number, known := p.Session.Value, t.proofs
	if of, proven := known.proven[number]; proven && !reported {
		return of != p.Login.ID.Value
	}
	if last, doubted := known.doubted[number]; doubted && at.Sub(last).Abs() < doubtFor {
		return true
	}
	if of := t.session(0, idOf(p.Session), p.Login.ID); !reported && !claimed && of != nil && fromOutside(of.Service) {
		known.prove(number, p.Login.ID)
		return false
	}
	if t.config.Processes != nil {
		switch opening, ok := t.config.Processes.Opening(p); {
		case ok && reported && opening.NamespaceRoot && opening.By.RealUser.ID == by && allowed(&opening, p.Login.ID):
			return false
		case ok && !reported && allowed(&opening, p.Login.ID) && (!claimed || opening.NamespaceRoot):
			known.prove(number, p.Login.ID)
			return false
		case ok || reported || t.config.Live:
			known.doubt(number, at)
			return true
		}
	}
	return claimed || known.forgotten != 0 && number <= known.forgotten // the record of the login may be in an older file of a log
}

// believed returns the login user of a process; unset if it only claims to be his.
func (t *Table) believed(p *kill.Process, at time.Time) kill.ID {
	if t.claims(p, at) {
		return kill.ID{}
	}
	return p.Login.ID
}

// openers are the programs of root that let users in.
var openers = map[string]bool{
	"atd": true, "cockpit-session": true, "cron": true, "crond": true, "dropbear": true, "gdm-session-worker": true, "in.rshd": true,
	"lightdm": true, "login": true, "rlogind": true, "sddm-helper": true, "sshd": true, "sshd-session": true, "vsftpd": true,
	"xrdp-sesexec": true, "xrdp-sesman": true,
}

// allowed reports whether the process that seems to have begun the session of a user was allowed to. All that is known is what it is now. It
// may have become root by sudo(8), or the user, so that only programs of root that let users in count, or of the root of a namespace that
// has him, and his systemd.
func allowed(o *kill.Opening, login kill.ID) bool {
	switch user := o.By.RealUser.ID; {
	case o.NamespaceRoot, user.Known && user.Value == 0:
		return openers[path.Base(o.By.Executable)]
	case user == login:
		return IsSystemd(o.By.Executable) && strings.HasPrefix(o.By.Instance.Cgroup, fmt.Sprintf("/user.slice/user-%[1]d.slice/user@%[1]d.service/", user.Value))
	}
	return false
}

// fromOutside reports whether a service (pam(8)) lets somebody in from outside. logind takes what su(1) begins for a session, too, under the
// number of that in which it runs, whoever has begun it.
func fromOutside(service string) bool {
	program, _, _ := strings.Cut(service, "-") // such as su-l
	return !ChangesUser(program) && program != "polkit" && service != "systemd-run0"
}

// ChangesUser reports whether a program gives somebody the right of another user, without a new session.
func ChangesUser(program string) bool {
	switch program {
	case "sudo", "sudoedit", "sudo-rs", "sudo.ws", "su", "su-rs", "su.ws", "newgrp", "runuser", "doas", "pkexec", "polkit-agent-helper-1", "newrole", "sg", "setpriv":
		return true
	}
	return false
}
