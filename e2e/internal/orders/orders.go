// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package orders is the language of the tests and the processes that send
// signals for them: lines of JSON, orders on the process's standard input,
// and truths on its output.
package orders

// What a process does besides making a signal system call by its name.
const (
	// Start starts Count victims.
	Start = "start"
	// Rename changes the process's command name.
	Rename = "rename"
	// LogIn makes User the login user of the process and of those that it starts.
	LogIn = "log in"
	// Brief starts Path, and kills it with Signal a millisecond later.
	Brief = "brief"
	// Fault makes the process die of an instruction of its own, Abort of abort(3).
	Fault = "fault"
	Abort = "abort"
)

// Order is what to do.
type Order struct {
	// Call is the name of a signal system call, or one of the above.
	Call string `json:"call"`
	// PID is what the call names in the process's own pid namespace: a process,
	// 0, -1, or a process group with a minus sign.
	PID int `json:"pid,omitempty"`
	// Thread is what tgkill and rt_tgsigqueueinfo name besides.
	Thread int `json:"thread,omitempty"`
	Signal int `json:"signal,omitempty"`
	// Flags are those of pidfd_send_signal.
	Flags int `json:"flags,omitempty"`
	// Forged makes rt_sigqueueinfo pretend that the kernel sends the signal.
	Forged bool `json:"forged,omitempty"`
	// Times is how often to make the call, at least once.
	Times int `json:"times,omitempty"`
	// Rate limits how many calls are made in a second; 0 is no limit.
	Rate int `json:"rate,omitempty"`
	// Quiet spares the truth about each of many calls; one that fails is told
	// nevertheless.
	Quiet bool `json:"quiet,omitempty"`
	// From is the name of another thread, which makes the call.
	From string `json:"from,omitempty"`
	// Count is how many victims to start; Group puts them in a process group
	// that is led by the first of them, instead of the process's own.
	Count int  `json:"count,omitempty"`
	Group bool `json:"group,omitempty"`
	// Name is the new command name.
	Name string `json:"name,omitempty"`
	User int    `json:"user,omitempty"`
	// Path is the program to start.
	Path string `json:"path,omitempty"`
}

// Truth is what came of an order. The last one of an order is Done.
type Truth struct {
	// PID is the process itself, in its own pid namespace.
	PID int `json:"pid"`
	// Errno is how a call failed; 0 if it did not.
	Errno int `json:"errno"`
	// Nanoseconds is how long a call took.
	Nanoseconds int64 `json:"nanoseconds,omitempty"`
	// Victims are those that were started, in the process's own pid namespace.
	Victims []int `json:"victims,omitempty"`
	Done    bool  `json:"done,omitempty"`
}
