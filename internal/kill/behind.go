// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// Evidence says how it is known who asked for a signal, or why a manager sent it. Its values are those of
// the attribute kill.evidence.
type Evidence string

const (
	// EvidenceObserved means that the request itself was seen, or that the manager says so.
	EvidenceObserved Evidence = "observed"
	// EvidenceInferred means that time, right and command line fit.
	EvidenceInferred Evidence = "inferred"
)

// Behind is who and what is behind a signal whose sender only carries it out, and from where the person
// came. Events share it, so it is never changed.
type Behind struct {
	// Managed is true if the sender acts for others, so that its own login says nothing.
	Managed bool
	// Evidence is empty if there is neither a requester nor a manager's cause.
	Evidence Evidence
	// Requester asked the sender; nil if that is not known. Candidates is how many fitted equally well,
	// if that is why; else 0.
	Requester  *Process
	Candidates int
	// Initiator is what began it: of the requester, or else the sender, the outermost ancestor below the
	// login shell, cron or unit. nil if there is none but these themselves.
	Initiator *Ancestor
	// User is the login user behind it, and Session where that login came from; unset and nil if that
	// is not known.
	User    User
	Session *Session
	// Unit is what the manager acted upon. Named is the unit that was named instead, of which the unit
	// depends; empty if it is the same.
	Unit, Named string
	// Limit is the time that was up, for the causes that are about one; 0 if not known.
	Limit time.Duration
}

// Session is a login. Events share it, so it is never changed.
type Session struct {
	// ID is its number, which is that of the audit session where the audit system works.
	ID string
	// Service is the program that let the user in, such as "sshd"; TTY the terminal, without /dev/;
	// UserName the name under which the user logged in; empty if not known.
	Service, TTY, UserName string
	// Address is the host that the login came from, empty for a local one. Port is its port; 0 if not
	// known.
	Address string
	Port    int
	// Root is the control group of the container whose logind has told of the session; empty if the host's has. What a container
	// tells of a sender counts only for signals that stay inside.
	Root string
}
