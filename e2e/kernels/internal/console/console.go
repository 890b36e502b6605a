// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package console is what the init inside a machine and the driver outside have
// agreed on. They have nothing but the machine's console to talk over.
package console

// Job is what a machine does. It is in a file of which the path is all that the
// kernel's command line says: that is too short for the names of many tests.
type Job struct {
	// Folder is that of the package, relative to Sources.
	Folder string
	// Command is a program with its arguments.
	Command []string
	// Environment is NAME=VALUE for each variable, besides the usual ones.
	Environment []string
	// Systemd has systemd as process 1, of which the command is a service.
	Systemd bool
}

// Sources is the folder inside that holds a copy of the repository, with each
// test program in the folder of its package.
const Sources = "/src"

// A line with one of these marks comes from the init: no test prints this byte.
const (
	// Kernel is followed by the release of the kernel.
	Kernel = "\x01kernel "
	// Exit is followed by the exit code of what was run.
	Exit = "\x01exit "
	// Broken is followed by why nothing could be run.
	Broken = "\x01broken "
)
