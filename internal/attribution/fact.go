// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Fact is something that helps to explain signals. Exactly one of its pointers is set. Nobody changes a
// fact, or what it refers to, once it was told.
type Fact struct {
	// Node is the host, if it was told by an audit record that names one: as kill.Audit.Node, whose
	// events it explains.
	Node string
	// Request is somebody who turned to a manager.
	Request *Request
	// Job is what a manager does to a unit, Unit the state that a unit has entered.
	Job  *Job
	Unit *Unit
	// Login is a session that has begun, Logout one that ends.
	Login  *Login
	Logout *Logout
	// Shutdown is the end of the whole system, Pressure a group of processes that a daemon kills because
	// memory is short.
	Shutdown *Shutdown
	Pressure *Pressure
	// Command is a program that somebody ran by the right of another user, such as with sudo.
	Command *Command
}

// At returns when it was, or began; the zero time for none.
func (f *Fact) At() time.Time {
	switch {
	case f.Request != nil:
		return f.Request.Time
	case f.Job != nil:
		return f.Job.Time
	case f.Unit != nil:
		return f.Unit.Time
	case f.Login != nil:
		return f.Login.Time
	case f.Logout != nil:
		return f.Logout.Time
	case f.Shutdown != nil:
		return f.Shutdown.Time
	case f.Pressure != nil:
		return f.Pressure.Time
	case f.Command != nil:
		return f.Command.Time
	}
	return time.Time{}
}

// Request is a process that has connected to a manager's socket, or whose call to a manager was seen.
type Request struct {
	Time time.Time
	// Requester is the process that asked. Its User is the effective user at that moment.
	Requester kill.Process
	// Manager is the pid of the process that listens on the socket; 0 if not known.
	Manager int
	// Socket is the path under which the listener has bound its socket, as the kernel knows it, in the
	// listener's own mount namespace; empty for a call on a bus.
	Socket string
	// Call is what was asked for, if that was seen; nil if only the connection was.
	Call *Call
}

// Call is a call to a manager.
type Call struct {
	// Member is the name of the method, such as "RestartUnit" (org.freedesktop.systemd1(5)) or
	// "TerminateSession" (org.freedesktop.login1(5)).
	Member string
	// Object is what it is about: a unit or a session; empty if it is about all.
	Object string
	// Signal is the signal that the caller wants to be sent; 0 if none is named.
	Signal kill.Signal
	// Job is the number of the job that a systemd has made of it; 0 if it has made none, or if that is not known.
	Job uint32
}

// Job is something that a systemd does to a unit (org.freedesktop.systemd1(5), JobNew and JobRemoved).
type Job struct {
	Time time.Time
	// Manager is the pid of the systemd.
	Manager int
	ID      uint32
	Unit    string
	// Type is the type of the job, such as "stop" or "restart"; empty if not known.
	Type string
	// Done is true if the job has ended, with Result, such as "done" or "timeout".
	Done   bool
	Result string
}

// Unit is the state that a unit of a systemd has entered.
type Unit struct {
	Time time.Time
	// Manager is the pid of the systemd.
	Manager int
	Name    string
	// Names are all its names, if they are known; Bases the units whose stop stops it, and Rivals those whose start
	// does.
	Names, Bases, Rivals []string
	// Active and Sub are its states, such as "deactivating" and "stop-sigterm", Result why it
	// fails, such as "watchdog"; empty if not known.
	Active, Sub, Result string
	// Main is the pid of the main process of the service, or of the last one; 0 if that is not known.
	Main int
	// MainExit is when the main process of the service has ended; zero if it has not, or if that is not known.
	MainExit time.Time
	// The limits that it has; 0 if it has none, or if they are not known.
	StopTimeout, StartTimeout, RuntimeLimit, Watchdog time.Duration
}

// Login is a session that has begun. It is told again with the same Session.ID once more is known of it.
type Login struct {
	Time time.Time
	// Manager is the pid of the systemd whose logind knows the session; 0 for the host's, and if audit
	// records tell it.
	Manager int
	Session kill.Session
	// User is the user who has logged in, Leader the pid of the process that has let him in; 0 if not
	// known. Audit is the number of the audit session; unset if the audit system does not work.
	User   kill.User
	Leader int
	Audit  kill.ID
	// Claimed is true if a process has begun it without any right, as a user who is another one (LOGIN). Nothing else but Audit and
	// Time is known of it then.
	Claimed bool
}

// Logout is a session that ends. It may be told before signals that came before it, if these wait for facts.
type Logout struct {
	Time time.Time
	// Manager is as in Login, ID as in kill.Session.
	Manager int
	ID      string
}

// Shutdown is the end of the whole system.
type Shutdown struct {
	Time time.Time
	// Manager is the pid of the systemd; 0 for the host's.
	Manager int
	// Canceled is true if it was called off.
	Canceled bool
}

// Pressure is a control group whose processes systemd-oomd kills (org.freedesktop.oom1(5), Killed).
type Pressure struct {
	Time time.Time
	// Cgroup is its path.
	Cgroup string
	// Swap is true if swap ran out; false if memory was under pressure.
	Swap bool
}

// Command is a program that somebody ran by the right of another user, as an audit record says (USER_CMD), or
// one that is there to ask managers (execve). It is told again with the same PID and Time once more is known of it.
type Command struct {
	Time time.Time
	// PID is the process that ran it, such as sudo, or the program itself if Self is true.
	PID  int
	Self bool
	// Title is its command line with a NUL after each argument, Command the name of its program.
	Command, Title string
	// User is by whose right it ran; Login and Session are who asked for it. Of a user that an audit
	// record names, only the name is known, but for root.
	User    kill.User
	Login   kill.User
	Session kill.ID
}
