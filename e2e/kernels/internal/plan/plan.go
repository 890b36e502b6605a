// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan is what the machine outside and the init inside agree on.
package plan

// Directory holds a copy of the repository, with each test program in the
// folder of its package.
const Directory = "/src"

// Each line of these begins with a mark that no program prints by itself.
const (
	// Begin is followed by the name of a step.
	Begin = "\x01begin "
	// End is followed by the exit code of the step that has begun.
	End = "\x01end "
	// Broken is followed by why the init could not go on.
	Broken = "\x01broken "
	// Done is the last line, once each step has ended.
	Done = "\x01done"
)

// Step is one program that is run inside.
type Step struct {
	// Name is that of the program's package, relative to the repository.
	Name string
	// Command is the program and its arguments. It is run in the folder Name.
	Command []string
}
