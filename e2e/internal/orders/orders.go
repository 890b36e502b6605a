// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package orders is the protocol between the tests and the processes that send
// signals for them. It consists of lines of JSON: a sender reads orders from its
// standard input, and writes truths to its standard output.
package orders

// Orders other than the names of signal system calls.
const (
	// Start starts Count victims.
	Start = "start"
	// Rename changes the sender's command name.
	Rename = "rename"
	// LogIn makes User the login user of the sender and of the processes that it starts.
	LogIn = "log in"
	// Confine forbids the sender, and what it starts from then on, to signal others (landlock(7), LANDLOCK_SCOPE_SIGNAL).
	Confine = "confine"
	// Brief starts Path, and kills it with Signal a millisecond later.
	Brief = "brief"
	// Fault makes the sender crash with an invalid memory access, Abort as abort(3) does.
	Fault = "fault"
	Abort = "abort"
)

// Order is what to do.
type Order struct {
	// Call is the name of a signal system call, or one of the above.
	Call string `json:"call"`
	// PID is the pid argument of the call, in the sender's own pid namespace: a
	// process, 0, -1, or a negated process group.
	PID int `json:"pid,omitempty"`
	// Thread is the thread argument of tgkill and rt_tgsigqueueinfo.
	Thread int `json:"thread,omitempty"`
	Signal int `json:"signal,omitempty"`
	// Flags is the flags argument of pidfd_send_signal.
	Flags int `json:"flags,omitempty"`
	// Forged makes rt_sigqueueinfo pretend that the kernel sends the signal.
	Forged bool `json:"forged,omitempty"`
	// Times is how many times to make the call, at least once.
	Times int `json:"times,omitempty"`
	// Rate limits the calls per second; 0 is no limit.
	Rate int `json:"rate,omitempty"`
	// Quiet leaves out the truths about calls that succeed.
	Quiet bool `json:"quiet,omitempty"`
	// From has the call made by a new thread of this name.
	From string `json:"from,omitempty"`
	// Count is how many victims to start. Group puts them into a process group
	// that the first of them leads, instead of the sender's own.
	Count int  `json:"count,omitempty"`
	Group bool `json:"group,omitempty"`
	// Name is the new command name.
	Name string `json:"name,omitempty"`
	User int    `json:"user,omitempty"`
	// Path is the program to start.
	Path string `json:"path,omitempty"`
}

// Truth is the result of an order, or of one of its calls. The last truth of each order is Done.
type Truth struct {
	// PID is the sender itself, in its own pid namespace.
	PID int `json:"pid"`
	// Errno is the error of a call; 0 if it succeeded.
	Errno int `json:"errno"`
	// Nanoseconds is how long a call took.
	Nanoseconds int64 `json:"nanoseconds,omitempty"`
	// Victims are the started processes, in the sender's own pid namespace.
	Victims []int `json:"victims,omitempty"`
	Done    bool  `json:"done,omitempty"`
}
