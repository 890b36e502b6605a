// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package redact removes secrets from command lines.
package redact

import (
	"slices"
	"strings"
)

// Policy says how much of a command line is kept and reported.
type Policy string

const (
	// Redacted leaves out what looks like a secret.
	Redacted Policy = "redacted"
	// Program leaves out everything but the program's name, as the process calls it.
	Program Policy = "program"
	// Full leaves out nothing.
	Full Policy = "full"
	// Off leaves out the whole command line.
	Off Policy = "off"
)

// Policies returns all policies, the default first.
func Policies() []Policy { return []Policy{Redacted, Program, Full, Off} }

// Known reports whether there is such a policy.
func (p Policy) Known() bool { return slices.Contains(Policies(), p) }

// Apply returns what may be kept of a command line, a NUL after each argument.
func (p Policy) Apply(commandLine string) string {
	switch p {
	case Off:
		return ""
	case Redacted:
		return conceal(commandLine)
	case Program:
		return conceal(firstArgument(commandLine))
	}
	return commandLine
}

// firstArgument returns the first argument of a command line. A process that writes its own
// title puts spaces where the NULs were.
func firstArgument(commandLine string) string {
	first, rest, _ := strings.Cut(commandLine, "\x00")
	if strings.Trim(rest, "\x00") == "" {
		first, _, _ = strings.Cut(first, " ")
	}
	return first
}
