// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// result returns how the call ended. The two fields that say so must agree; otherwise exit
// decides, because success is derived from it.
func (p *pending) result(s *auditrecord.Syscall) kill.Result {
	exitKnown, successKnown := s.Has(auditrecord.FieldExit), s.Has(auditrecord.FieldSuccess)
	if exitKnown && successKnown && s.Succeeded == (s.Exit < 0) {
		p.cut = true
	}
	switch {
	case exitKnown && s.Exit < 0:
		return kill.Result{Known: true, Errno: int(-s.Exit), Error: errorName(int(-s.Exit))}
	case exitKnown, successKnown && s.Succeeded:
		return kill.Success()
	case successKnown:
		p.cut = true
		return kill.Result{Known: true, Errno: -1, Error: "_OTHER"}
	}
	return kill.Result{}
}

// errorName falls back to the value that OpenTelemetry's error.type reserves for an error
// without a name.
func errorName(errno int) string {
	if name := auditrecord.ErrorName(errno); name != "" {
		return name
	}
	return "_OTHER"
}

// denial is a security module's refusal of a signal to one target.
type denial struct {
	result *kill.Result
	// object is the target's label, if the module names it by that, pid the target otherwise.
	object []byte
	pid    int
}

// The results that targets share. SELinux and AppArmor refuse with EACCES, Landlock with EPERM.
var (
	reached    = &kill.Result{Known: true}
	unrecorded = &kill.Result{}
	noAccess   = &kill.Result{Known: true, Errno: 13, Error: "EACCES"}
	noRight    = &kill.Result{Known: true, Errno: 1, Error: "EPERM"}
)

// decide decides for each target of a call to several whether the signal reached it. The kernel
// names a target before it checks the right to signal it, and kill(-1) succeeds even if it was
// refused for each; a call to a group succeeds if one of them was reached, and fails only if none
// was (kernel/signal.c, kill_something_info, __kill_pgrp_info).
func (p *pending) decide() {
	e := p.event
	if e.Kind != kill.KindSignal || e.Scope.Single() || e.Scope == kill.ScopeUnknown || len(e.Targets) == 0 {
		return
	}
	group := e.Scope != kill.ScopeAll
	if group && e.Result.Failed() {
		return
	}
	// Who reached one process of a group by being the superuser reached all of the same user.
	superuser := group && e.Result.Succeeded() && root(e.Sender.User) && sameUser(e.Targets)
	alone := group && e.Result.Succeeded() && len(e.Targets) == 1
	attributed := p.attributeDenials()
	for i := range e.Targets {
		t := &e.Targets[i]
		switch {
		case t.Result != nil:
		case p.cut || !attributed || !e.Result.Succeeded():
			t.Result = unrecorded
		case alone || superuser || permitted(&e.Sender, t):
			t.Result = reached
		default:
			t.Result = unrecorded
		}
	}
}

// attributeDenials gives each refused target its result. It returns false if it cannot be known of
// which target a record speaks.
func (p *pending) attributeDenials() bool {
	all := true
	for _, d := range p.denials {
		found := false
		for i := range p.event.Targets {
			t := &p.event.Targets[i]
			if d.pid != 0 && t.PID == d.pid || len(d.object) > 0 && sameLabel(t.Label, d.object) {
				t.Result, found = d.result, true
			}
		}
		all = all && found
	}
	return all
}

// sameLabel compares the label of an OBJ_PID record with one of an AVC record. That of AppArmor has
// the mode of its profile behind it: docker-default (enforce).
func sameLabel(label string, object []byte) bool {
	name, _, _ := bytes.Cut([]byte(label), []byte(" ("))
	return bytes.Equal(name, object) || label == string(object)
}

// permitted reports whether the ids alone allow the sender to signal the target (kernel/signal.c,
// kill_ok_by_cred), as far as the records have them: its saved user id is not recorded.
func permitted(sender, target *kill.Process) bool {
	user := target.User.ID
	return user.Known && (sender.User.ID == user || sender.RealUser.ID == user)
}

func root(user kill.User) bool { return user.ID.Known && user.ID.Value == 0 }

// sameUser reports whether all processes are known to be of one user.
func sameUser(all []kill.Process) bool {
	user := all[0].User.ID
	return user.Known && !slices.ContainsFunc(all, func(p kill.Process) bool { return p.User.ID != user })
}

// addDenial adds a security module's refusal. Of a call whose other records are not written, because
// no rule asks for them, it is all that there is.
func (c *Correlator) addDenial(p *pending, d *auditrecord.Denial) {
	e := p.event
	refusal := denial{result: noAccess, object: bytes.Clone(d.Object), pid: d.TargetPID}
	if d.TargetPID != 0 {
		refusal.result = noRight
	}
	if len(p.denials) < maxDenials {
		p.denials = append(p.denials, refusal)
	} else {
		p.cut = true
	}
	if p.call != nil {
		return
	}
	e.Audit.Subject = c.texts.plain(d.Subject)
	e.Sender.PID, e.Sender.Command, e.Sender.Label = d.PID, c.text(p, d.Comm), e.Audit.Subject
	e.Signal, e.SignalKnown = deniedSignal(string(d.SignalName))
	e.Result = *refusal.result
	if d.TargetPID != 0 {
		p.refused = kill.Process{PID: d.TargetPID, Command: c.text(p, d.TargetComm), Label: c.texts.plain(d.Object)}
	}
}

// maxDenials bounds the refusals of one event.
const maxDenials = 1024

// deniedSignal returns the signal that a security module names; false if it has no name of its own.
func deniedSignal(name string) (kill.Signal, bool) {
	switch name {
	case "exists", "signull":
		return 0, true
	case "stp": // AppArmor's SIGTSTP (security/apparmor/include/sig_names.h)
		return 20, true
	case "signal":
		return 0, false
	}
	signal, err := kill.ParseSignal(name)
	return signal, err == nil
}

// addUnrecorded adds the target of a call for which the kernel writes no OBJ_PID record: the one that
// Landlock names, and the sender itself, if it queues a signal that looks like one of the kernel's,
// which it can do only to itself (kernel/signal.c, do_rt_sigqueueinfo, si_fromuser).
func (p *pending) addUnrecorded() {
	e := p.event
	if len(e.Targets) > 0 {
		return
	}
	switch {
	case p.refused.PID != 0 && e.Result.Failed():
		*e.AddTarget() = p.refused
	case p.call != nil && e.Result.Succeeded() && e.Requested != 0 && e.Requested == e.Sender.PID &&
		(p.call.name == "rt_sigqueueinfo" || p.call.name == "rt_tgsigqueueinfo"):
		s := &e.Sender
		*e.AddTarget() = kill.Process{
			PID: s.PID, Command: s.Command, Executable: s.Executable, User: s.RealUser, Login: s.Login, Session: s.Session, Label: s.Label,
		}
	}
}
