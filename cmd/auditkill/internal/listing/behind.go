// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"cmp"
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// inferred stands before what time, right and command line say, but nobody has seen.
const inferred = "~"

// By is who and what is behind the signal: "alice@10.0.0.5: sudo systemctl restart mariadb". It is the cause
// alone, in parentheses, if nobody is known, with whose session or terminal it was if that is all that is known, and empty if no
// more is known than the sender.
func (e Entry) By(conceal redact.Policy) string {
	b := e.Event.Behind
	person, program := e.person(), e.program(conceal)
	by := person
	switch {
	case person != "" && program != "":
		by = person + ": " + program
	case person != "" && e.Event.Cause.Befalls() && b.Requester == nil && b.Candidates == 0:
		by = "(" + string(e.Event.Cause) + " of " + person + ")"
	case program != "":
		by = program
	case person == "" && b != nil && b.Candidates > 0:
		by = "one of " + strconv.Itoa(b.Candidates) + " processes"
	case person == "" && e.Event.Cause.Managed():
		by = "(" + string(e.Event.Cause) + ")"
	}
	if by != "" && e.inferred() {
		return inferred + by
	}
	return by
}

// inferred reports whether nobody has seen who is behind the signal.
func (e Entry) inferred() bool {
	return e.Event.Behind != nil && e.Event.Behind.Evidence == kill.EvidenceInferred
}

// person is who had logged in, and from where, if that is more than the login of the sender.
func (e Entry) person() string {
	if e.Event.Behind == nil {
		return ""
	}
	person := e.Login()
	if address := e.Address(); address != "" {
		person += "@" + address
	}
	return person
}

// program is the command line of what has begun it, of what has asked for it or, if the sender acts for nobody
// else, of the sender, or of who has made the kernel kill a control group.
func (e Entry) program(conceal redact.Policy) string {
	b := e.Event.Behind
	switch {
	case b != nil && b.Initiator != nil:
		return cmp.Or(shownTitle(b.Initiator.Title, conceal), visible.Text(b.Initiator.Command))
	case b != nil && b.Requester != nil:
		return cmp.Or(shownTitle(b.Requester.Title, conceal), nameOf(b.Requester))
	case e.Event.Cause == kill.CauseCgroupKill && e.Event.Sender.PID != 0: // who has written to cgroup.kill
		return cmp.Or(shownTitle(e.Event.Sender.Title, conceal), nameOf(&e.Event.Sender))
	case b == nil:
		return ""
	case !b.Managed && !e.Kernel():
		return cmp.Or(e.CommandLine(conceal), nameOf(&e.Event.Sender))
	}
	return ""
}

// Address is the host that the login behind the signal came from; empty for a local one.
func (e Entry) Address() string {
	if b := e.Event.Behind; b != nil && b.Session != nil {
		return visible.Text(b.Session.Address)
	}
	return ""
}

// Cause is why the signal was sent; empty for a plain one.
func (e Entry) Cause() string { return string(e.Event.Cause) }

// Evidence is how it is known who is behind the signal.
func (e Entry) Evidence() string {
	if e.Event.Behind == nil {
		return ""
	}
	return string(e.Event.Behind.Evidence)
}

// Requester is the name of the program that has asked for the signal, RequesterPID its number, and
// RequesterProgram its path or, if that is not known, its name.
func (e Entry) Requester() string {
	if b := e.Event.Behind; b != nil && b.Requester != nil {
		return nameOf(b.Requester)
	}
	return ""
}

// RequesterPID is empty if nobody is known to have asked for the signal.
func (e Entry) RequesterPID() string {
	if b := e.Event.Behind; b != nil {
		return pidOf(b.Requester)
	}
	return ""
}

// RequesterProgram identifies a requester over many of its processes.
func (e Entry) RequesterProgram() string {
	if b := e.Event.Behind; b != nil && b.Requester != nil {
		return cmp.Or(visible.Text(b.Requester.Executable), nameOf(b.Requester))
	}
	return ""
}

// RequesterCommandLine is the command line of whoever has asked for the signal, as far as it may be shown.
func (e Entry) RequesterCommandLine(conceal redact.Policy) string {
	if b := e.Event.Behind; b != nil && b.Requester != nil {
		return shownTitle(b.Requester.Title, conceal)
	}
	return ""
}

// Initiator is the name of the program that has begun it.
func (e Entry) Initiator() string {
	if b := e.Event.Behind; b != nil && b.Initiator != nil {
		return visible.Text(b.Initiator.Command)
	}
	return ""
}

// InitiatorCommandLine is its command line, as far as it may be shown.
func (e Entry) InitiatorCommandLine(conceal redact.Policy) string {
	if b := e.Event.Behind; b != nil && b.Initiator != nil {
		return shownTitle(b.Initiator.Title, conceal)
	}
	return ""
}
