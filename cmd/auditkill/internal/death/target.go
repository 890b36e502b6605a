// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package death finds the last death of a process among events, and says in a few lines what is known of it.
package death

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Target is whom somebody asks for: a process by its name, its pid or both, or all of a unit, a container or a pod.
type Target struct {
	text string
	// pid is 0 if any will do, names is nil if a pid alone was given.
	pid   int
	names *filter.Names
}

// namedProcess is how lists and sentences name a process: mysqld[3936].
var namedProcess = regexp.MustCompile(`^(.*)\[(\d+)\]$`)

// leastID is how many digits of a container's id tell it from a name.
const leastID = 8

// ParseTarget reads what somebody asks for.
func ParseTarget(text string) (Target, error) {
	t := Target{text: strings.TrimSpace(text)}
	glob := t.text
	if named := namedProcess.FindStringSubmatch(t.text); named != nil {
		glob = named[1]
		t.pid, _ = strconv.Atoi(named[2]) // 0 if there is no such process
	} else if pid, err := strconv.Atoi(t.text); err == nil {
		if pid <= 0 {
			return t, fmt.Errorf("%q is no pid: give the name of a process, its pid, or both as mysqld[3936]", text)
		}
		t.pid = pid
		return t, nil
	}
	if strings.ContainsAny(glob, "{}") {
		return t, fmt.Errorf("%q has braces, which match only themselves: ask for one name at a time", text)
	}
	names, err := filter.NewNames([]string{glob})
	if err != nil {
		return t, err
	}
	t.names = &names
	return t, nil
}

// String is what somebody asked for.
func (t Target) String() string { return t.text }

// Unit is the unit that was asked for, if it may be one; else empty.
func (t Target) Unit() string {
	switch {
	case t.names == nil || t.pid != 0 || strings.ContainsAny(t.text, "/*?[ "):
		return ""
	case strings.HasSuffix(t.text, ".service") || strings.HasSuffix(t.text, ".scope"):
		return t.text
	}
	return t.text + ".service"
}

// match is how a process matches.
type match uint8

const (
	noMatch match = iota
	// itself matches by its pid or name, member because it belongs to a unit, a container or a pod.
	itself
	member
)

// matches reports whether a process is one that was asked for.
func (t Target) matches(p *kill.Process, told telling.Telling) match {
	if t.pid != 0 && p.PID != t.pid {
		return noMatch
	}
	if t.names == nil {
		return itself
	}
	known := p.Command != "" || p.Leader != "" || p.Executable != ""
	if known && (t.names.Match(p) || t.pid != 0 && t.names.Match(&kill.Process{Command: path.Base(p.Executable)})) {
		return itself
	}
	if p.Executable != "" && path.Base(p.Executable) == t.text {
		return itself
	}
	if t.pid == 0 && (t.holds(p, told.Record) || t.isOfManager(p, told.Event)) {
		return member
	}
	return noMatch
}

// isOfManager reports whether the host's systemd has acted upon a unit that was asked for. That counts only where the process's own unit
// is not known, as in an audit log.
func (t Target) isOfManager(p *kill.Process, e *kill.Event) bool {
	if e.Behind == nil || e.Behind.Unit == "" || e.Sender.PID != 1 || p.Instance != nil && p.Instance.Unit != "" {
		return false
	}
	return e.Behind.Unit == t.text || e.Behind.Unit == t.Unit()
}

// holds reports whether a unit, container or pod was asked for that a process belongs to.
func (t Target) holds(p *kill.Process, record *plog.LogRecord) bool {
	if i := p.Instance; i != nil {
		switch {
		case i.Unit != "" && (i.Unit == t.text || i.Unit == t.Unit()):
			return true
		case len(t.text) >= leastID && strings.HasPrefix(i.Container, t.text), i.Pod != "" && i.Pod == t.text:
			return true
		}
	}
	if record == nil {
		return false
	}
	for _, key := range []string{"kill.target.container.name", "kill.target.k8s.pod.name"} {
		if value, ok := record.Attributes().Get(key); ok && value.Str() == t.text && t.text != "" {
			return true
		}
	}
	return false
}
