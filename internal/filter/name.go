// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// commandLength is how many bytes of a name the kernel keeps (include/linux/sched.h,
// TASK_COMM_LEN less the NUL).
const commandLength = 15

// names is a list of globs. One of them has to match.
type names []name

// name is one glob as path.Match reads it.
type name struct {
	// command matches the kernel's name of a process or of one of its threads.
	command string
	// executable matches the path of the program; empty if the glob has no slash.
	executable string
}

// Check returns an error if a glob cannot be used.
func Check(glob string) error {
	_, err := compileName(glob)
	return err
}

func compile(globs []string) (names, error) {
	var compiled names
	for _, glob := range globs {
		n, err := compileName(glob)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, n)
	}
	return compiled, nil
}

func compileName(glob string) (name, error) {
	if glob == "" {
		return name{}, errors.New("empty name: use a command name such as mysqld, a glob such as \"postgres*\", " +
			"or the path of a program")
	}
	if _, err := path.Match(glob, ""); err != nil {
		return name{}, fmt.Errorf("%q is not a valid glob (close every [ and do not end with a backslash): %w", glob, err)
	}
	if !strings.Contains(glob, "/") {
		return name{command: shorten(glob)}, nil
	}
	return name{command: shorten(path.Base(glob)), executable: glob}, nil
}

// shorten cuts a glob to what the kernel keeps of a name, if that much of it is
// plain text.
func shorten(glob string) string {
	if plain := strings.IndexAny(glob, `*?[\`); plain < 0 && len(glob) > commandLength || plain > commandLength {
		return glob[:commandLength]
	}
	return glob
}

func (n names) needPaths() bool {
	return slices.ContainsFunc(n, func(each name) bool { return each.executable != "" })
}

func (n names) match(p *kill.Process) bool {
	if len(n) == 0 || p.Command == "" && p.Leader == "" && p.Executable == "" {
		return true // all are wanted, or nothing is known
	}
	for _, each := range n {
		if each.match(p) {
			return true
		}
	}
	return false
}

// match compares the path if the glob has one and the path is known, else the name. The audit
// log does not have the path of a target, for example. A path that is not the host's is none of
// those that the globs mean: any user can mount a program of his own there.
func (n name) match(p *kill.Process) bool {
	if n.executable != "" && p.Home.Program == kill.WhoseOther {
		return false
	}
	if n.executable != "" && p.Executable != "" {
		ok, _ := path.Match(n.executable, p.Executable) // checked when compiled
		return ok
	}
	return n.matchCommand(p.Command) || p.Leader != "" && n.matchCommand(p.Leader)
}

func (n name) matchCommand(command string) bool {
	// A command may hold slashes (kworker/0:1), which no path.Match star
	// crosses.
	ok, _ := path.Match(n.command, strings.ReplaceAll(command, "/", "\x00"))
	return ok
}
