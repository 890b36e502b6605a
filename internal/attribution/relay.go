// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"maps"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// relayWindow is within which time a program passes on a signal that it has received.
	relayWindow = time.Second
	// maxRelayed is how many signals to such programs are remembered.
	maxRelayed = 1024
)

// relays are programs that pass on to their child what they receive (sudo(8), su(1), timeout(1), and what runs
// as init in many containers).
var relays = map[string]bool{
	"sudo": true, "su": true, "doas": true, "runuser": true, "timeout": true, "tini": true, "docker-init": true, "dumb-init": true,
	"catatonit": true, "setsid": true, "script": true, "systemd-nspawn": true, "sshd": true, "sshd-session": true,
}

// enders are programs that end their children once they are told to end, first softly and then not.
var enders = map[string]bool{"supervisord": true}

// endWindow is within which time they do that.
const endWindow = 20 * time.Second

// received is a signal to a program that passes it on.
type received struct {
	at     time.Time
	signal kill.Signal
	// command is the name of the program that has received it.
	command string
	sender  kill.Process
	behind  *kill.Behind
	cause   kill.Cause
}

// noteRelay remembers a signal to a program that may pass it on.
func (t *Table) noteRelay(e *kill.Event) {
	for i := range e.Targets {
		p := &e.Targets[i]
		if p.Instance == nil || !relays[p.Command] && (!enders[p.Command] || !ends(e.Signal)) {
			continue
		}
		if len(t.relayed) >= maxRelayed {
			maps.DeleteFunc(t.relayed, func(_ target, r received) bool { return e.Time.Sub(r.at) > endWindow })
		}
		if len(t.relayed) >= maxRelayed {
			clear(t.relayed)
		}
		t.relayed[target{pid: p.PID, start: p.Instance.SinceBoot}] = received{
			at: e.Time, signal: e.Signal, command: p.Command, sender: e.Sender, behind: e.Behind, cause: e.Cause,
		}
	}
}

// ends reports whether a signal asks a program to end.
func ends(signal kill.Signal) bool {
	return signal == kill.SIGTERM || signal == kill.SIGINT || signal == kill.SIGQUIT
}

// passes reports whether a sender sends a signal because of one that it has received.
func (t *Table) passes(e *kill.Event, r *received) bool {
	since := e.Time.Sub(r.at)
	if r.sender.PID == e.Sender.PID {
		return false // it was its own
	}
	if enders[e.Sender.Command] {
		return since >= 0 && since <= endWindow && t.toChildren(e)
	}
	return since >= 0 && since <= relayWindow && r.signal == e.Signal && t.toChildren(e)
}

// toChildren reports whether the targets are known to be children of the sender, or children of these. What it sends to
// others is its own business.
func (t *Table) toChildren(e *kill.Event) bool {
	if len(e.Targets) == 0 || t.config.Processes == nil {
		return false
	}
	for i := range e.Targets {
		child := kill.Process{PID: e.Targets[i].PID, Instance: e.Targets[i].Instance}
		if !t.config.Processes.Complete(&child, e.Time) || child.ParentPID != e.Sender.PID &&
			!slices.ContainsFunc(child.Ancestry, func(a kill.Ancestor) bool { return a.PID == e.Sender.PID }) {
			return false
		}
	}
	return true
}

// receivedBy returns the signal that the sender of another one may have passed on.
func (t *Table) receivedBy(e *kill.Event) (received, bool) {
	if last, ok := t.relayed[target{pid: e.Sender.PID, start: e.Sender.Instance.SinceBoot}]; ok {
		passed := t.passes(e, &last)
		return last, passed
	}
	// In a terminal, sudo(8) has a child that does it.
	for k, last := range t.relayed {
		if k.pid == e.Sender.ParentPID && last.command == e.Sender.Command && t.passes(e, &last) {
			return last, true
		}
	}
	return received{}, false
}

// explainRelay explains a signal that the sender has only passed on.
func (t *Table) explainRelay(e *kill.Event) bool {
	if len(t.relayed) == 0 || !relays[e.Sender.Command] && !enders[e.Sender.Command] || e.Sender.Instance == nil {
		return false
	}
	last, ok := t.receivedBy(e)
	if !ok {
		return false
	}
	b := kill.Behind{Managed: true}
	if last.behind != nil {
		b = *last.behind
	}
	b.Managed, b.Evidence = true, kill.EvidenceInferred
	if b.Requester == nil && (last.behind == nil || !last.behind.Managed) {
		sender := last.sender
		sender.Title = commandLine(&sender)
		b.Requester, b.User = &sender, sender.Person()
	}
	if b.Requester == nil && !last.cause.Managed() {
		b.Evidence = ""
	}
	e.Behind, e.Cause = &b, last.cause
	return true
}
