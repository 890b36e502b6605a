// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// process is one that somebody asks for: by its pid, by a glob on its name or path, or by both.
type process struct {
	// pid is 0 if any will do, names is nil if only the pid was given.
	pid   int
	names *filter.Names
}

// processes are all that somebody asks for.
type processes []process

// named is how lists and sentences name a process: mysqld[3936].
var named = regexp.MustCompile(`^(.+)\[(\d{1,9})\]$`)

// Split splits what somebody asks for into the glob and the pid. Either may be missing.
func Split(text string) (glob string, pid int) {
	if m := named.FindStringSubmatch(text); m != nil {
		pid, _ = strconv.Atoi(m[2]) // nine digits
		return m[1], pid
	}
	if pid, err := strconv.Atoi(text); err == nil && pid > 0 {
		return "", pid
	}
	return text, 0
}

// Globs returns the names of processes that somebody asks for, so that a source can select by them; none if one is asked for by
// its pid alone.
func Globs(texts []string) []string {
	var globs []string
	for _, text := range texts {
		glob, pid := Split(text)
		if glob == "" && pid != 0 {
			return nil
		}
		globs = append(globs, glob)
	}
	return globs
}

// Check returns an error if nobody can be meant by a text.
func Check(text string) error {
	_, err := newProcesses([]string{text})
	return err
}

// CheckBraces returns an error if a name has braces, of which a shell would have made several names, if they were not quoted.
func CheckBraces(name string) error {
	if strings.ContainsAny(name, "{}") {
		return fmt.Errorf("%q has braces, which match only themselves: write a,b or repeat the flag", name)
	}
	return nil
}

func newProcesses(texts []string) (processes, error) {
	var all processes
	for _, text := range texts {
		glob, pid := Split(text)
		p := process{pid: pid}
		if err := CheckBraces(glob); err != nil {
			return nil, err
		}
		if glob != "" || pid == 0 {
			names, err := filter.NewNames([]string{glob})
			if err != nil {
				return nil, fmt.Errorf("%w", err)
			}
			p.names = &names
		}
		all = append(all, p)
	}
	return all, nil
}

// matches reports whether a process may be this one. What is not known of it is no reason against it.
func (p process) matches(q *kill.Process) bool {
	return (p.pid == 0 || q.PID == p.pid) && (p.names == nil || p.names.Match(q))
}

// matches reports whether a process may be one of them.
func (ps processes) matches(q *kill.Process) bool {
	return slices.ContainsFunc(ps, func(p process) bool { return p.matches(q) })
}

// hold reports whether a process is known to be one of them.
func (ps processes) hold(q *kill.Process) bool {
	return slices.ContainsFunc(ps, func(p process) bool { return p.matches(q) && (p.names == nil || p.names.Hold(q)) })
}

// areTargets removes all other targets. A call that has struck none may have named the pid of one; one whose records are lost
// may have struck any.
func (ps processes) areTargets(e *kill.Event) bool {
	if len(e.Targets) == 0 {
		return slices.ContainsFunc(ps, func(p process) bool {
			return p.pid != 0 && p.pid == e.Requested && e.Scope.Single() || p.names != nil && p.pid == 0 && !e.Complete
		})
	}
	e.Targets = slices.DeleteFunc(e.Targets, func(q kill.Process) bool { return !ps.matches(&q) })
	return len(e.Targets) > 0
}

// areNotTargets removes these targets.
func (ps processes) areNotTargets(e *kill.Event) bool {
	if len(e.Targets) == 0 {
		return true
	}
	e.Targets = slices.DeleteFunc(e.Targets, func(q kill.Process) bool { return ps.hold(&q) })
	return len(e.Targets) > 0
}

// haveSent reports whether the sender may be one of them. A signal of the kernel has a sender only if
// the process that caused it is known; the report of a death has none.
func (ps processes) haveSent(e *kill.Event) bool {
	switch {
	case e.Kind == kill.KindAbend:
		return false
	case e.Sender.PID == 0:
		return e.Origin != kill.OriginKernel
	}
	return ps.matches(&e.Sender)
}
