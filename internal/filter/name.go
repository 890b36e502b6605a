// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"path"
	"regexp"
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

// Names matches processes by globs on their names or, with a slash, on the paths of their programs.
type Names struct{ names names }

// NewNames compiles globs. It returns an error if one is not valid.
func NewNames(globs []string) (Names, error) {
	compiled, err := compile(globs)
	return Names{compiled}, err
}

// Match reports whether one of the globs matches a process, as Filter does it.
func (n Names) Match(p *kill.Process) bool { return n.names.match(p) }

// Hold reports whether a process is known to be one that the globs match, as Filter excludes it.
func (n Names) Hold(p *kill.Process) bool { return n.names.hold(p) }

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
	if advice := notAGlob(glob); advice != "" {
		return name{}, fmt.Errorf("%q %s", glob, advice)
	}
	if _, err := path.Match(glob, ""); err != nil {
		return name{}, fmt.Errorf("%q is not a valid glob (close every [ and do not end with a backslash): %w", glob, err)
	}
	if !strings.Contains(glob, "/") {
		return name{command: shorten(glob)}, nil
	}
	return name{command: shorten(path.Base(glob)), executable: glob}, nil
}

// withPID is how lists and sentences name a process, mysqld[3936], which as a glob would match mysqld3, mysqld6 and mysqld9. One or two
// digits are more likely what a glob means by them, worker[12].
var withPID = regexp.MustCompile(`^.+\[\d{3,}\]$`)

// notAGlob says what is wrong with what means something elsewhere, but would match nothing here; empty if nothing is.
func notAGlob(glob string) string {
	switch {
	case strings.HasPrefix(glob, "!"):
		return "does not exclude anything: name what to leave out in the list of what is excluded, without the !"
	case strings.ContainsAny(glob, "{}"):
		return "has braces, which match only themselves: use one name for each, as in [mysqld, mariadbd]"
	case strings.Trim(glob, "0123456789") == "":
		return fmt.Sprintf("is a number, and a pid names another process after a restart: use the name of the process; "+
			"if that is a number, write [%c]%s", glob[0], glob[1:])
	case withPID.MatchString(glob):
		name := glob[:strings.LastIndexByte(glob, '[')]
		return fmt.Sprintf("has a pid, and a pid names another process after a restart: use the name of the process, %[1]s; "+
			"if one of several digits is meant, write a range such as %[1]s[0-9]", name)
	case strings.Contains(glob, "**"):
		return "has **, which matches no more than *: a star does not go beyond a /, so use one for each part of the path"
	case glob != strings.TrimSpace(glob):
		return "begins or ends with a blank: no program is called so"
	}
	return ""
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

// match reports whether a process may be one of them.
func (n names) match(p *kill.Process) bool {
	return len(n) == 0 || !named(p) || slices.ContainsFunc(n, func(each name) bool { return each.match(p) })
}

// hold reports whether a process is known to be one of them. With a path, its name does not do: who hides his path could choose
// the name of one whose signals are not reported.
func (n names) hold(p *kill.Process) bool {
	return named(p) && slices.ContainsFunc(n, func(each name) bool {
		return (each.executable == "" || p.Executable != "") && each.match(p)
	})
}

// named reports whether anything is known by which a process could be matched.
func named(p *kill.Process) bool { return p.Command != "" || p.Leader != "" || p.Executable != "" }

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
