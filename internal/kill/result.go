// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Result is how a signal call ended, or what it meant for one of several targets. The zero
// value is "not known".
type Result struct {
	Known bool
	// Errno is 0 for success.
	Errno int
	// Error is the name of Errno, such as "EPERM"; empty on success.
	Error string
}

// Success is the result of a call that delivered its signal.
func Success() Result { return Result{Known: true} }

// Name returns the value of the attribute kill.result.
func (r Result) Name() string {
	switch {
	case !r.Known:
		return "unknown"
	case r.Errno != 0:
		return "failure"
	}
	return "success"
}

// Failed reports whether the call is known to have failed.
func (r Result) Failed() bool { return r.Known && r.Errno != 0 }

// Succeeded reports whether the call is known to have succeeded.
func (r Result) Succeeded() bool { return r.Known && r.Errno == 0 }
