// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package console is what the init inside a machine and the driver outside have
// agreed on. They have nothing but the machine's console to talk over.
package console

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
