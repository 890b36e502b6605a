// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"
)

// Inspection says which of the signals the loaded rules record.
type Inspection struct {
	Status *libaudit.AuditStatus
	// Needed are the rules that the signals need, and what is loaded of each.
	Needed []Needed
	// Obstacles are the rules that suppress what others should record.
	Obstacles []*Problem
	// Switch says that audit itself is off, or locked while rules are missing; nil if neither.
	Switch *Problem
}

// Needed is a rule that should record signals.
type Needed struct {
	Rule
	// Loaded is true if the rule itself is loaded, no matter by which program.
	Loaded bool
	// By are the loaded rules that do what the rule is for, even if they do more.
	By []string
	// Unseen lists what none of them records, or what another rule suppresses before them:
	// signals and calls, such as "SIGKILL, SIGTERM by tkill". It is empty if everything is
	// recorded.
	Unseen []string
	// Shadows are the rules that suppress it, for all processes or for some.
	Shadows []string
}

// Recorded reports whether the kernel records everything that the rule is for.
func (n Needed) Recorded() bool { return len(n.Unseen) == 0 && len(n.Shadows) == 0 }

// Recorded reports whether the kernel records all signals of all processes.
func (i *Inspection) Recorded() bool {
	return len(i.Problems()) == 0 && !slices.ContainsFunc(i.Needed, func(n Needed) bool { return !n.Recorded() })
}

// Problems returns what else keeps signals from being recorded, besides what Needed shows.
func (i *Inspection) Problems() []*Problem {
	if i.Switch == nil {
		return i.Obstacles
	}
	return append(slices.Clone(i.Obstacles), i.Switch)
}

// Missing returns how many of the needed rules are not fully covered by loaded ones.
func (i *Inspection) Missing() int {
	missing := 0
	for _, n := range i.Needed {
		if len(n.Unseen) > 0 {
			missing++
		}
	}
	return missing
}

// Check asks the kernel which of the signals it records, no matter by whose rules. It
// changes nothing.
func Check(s Settings) (*Inspection, error) {
	m := New(s)
	if err := m.build(); err != nil {
		return nil, err
	}
	status, list, err := m.query()
	if err != nil {
		return nil, err
	}
	i := &Inspection{Status: status}
	shadows := make(map[int]bool)
	for at, r := range For(s.Signals, s.Key, 0) {
		n := m.inspect(list, r, shadows)
		n.Loaded = m.find(list, m.rules[at]) >= 0
		i.Needed = append(i.Needed, n)
	}
	for at, l := range list {
		if shadows[at] {
			i.Obstacles = append(i.Obstacles, hiding(l))
		} else if p, found := m.obstacle(list, at, l); found && l.list != unix.AUDIT_FILTER_EXIT {
			i.Obstacles = append(i.Obstacles, p)
		}
	}
	switch missing := i.Missing(); {
	case status.Enabled == 0:
		i.Switch = &Problem{
			What: "audit is off (auditctl -s says enabled 0), so that the rules record nothing",
			Fix:  "turn it on", Lines: []string{command("-e", "1")},
		}
	case status.Enabled == locked && missing > 0:
		p := m.isLocked(missing)
		i.Switch = p
	}
	return i, nil
}

// inspect finds the rules that decide about the calls of a needed rule, and notes those
// that suppress some of these calls.
func (m *Manager) inspect(list []loaded, r Rule, shadows map[int]bool) Needed {
	n := Needed{Rule: r}
	by, before := make(map[int]bool), make(map[int]bool)
	var unseen groups
	for _, name := range r.syscalls {
		var signals []string
		for _, signal := range m.signals {
			for _, c := range newCall(r.arch.name, name, caller{values: map[uint32]uint32{
				argumentFields[r.argument]: uint32(signal),
			}}) {
				if !m.decide(list, c, by, before) {
					signals = append(signals, signal.Name())
				}
			}
		}
		unseen.add(strings.Join(signals, ", "), name)
	}
	n.By, n.Shadows, n.Unseen = texts(list, by), texts(list, before), unseen.texts()
	for at := range before {
		shadows[at] = true
	}
	return n
}

// decide goes through the rules as the kernel does, where the first that applies decides
// (kernel/auditsc.c, audit_filter_syscall). It reports whether a call is recorded whichever
// process makes it, and notes the rule that records the call, and those before it that
// suppress the call.
func (m *Manager) decide(list []loaded, c call, by, shadows map[int]bool) bool {
	for at, l := range list {
		switch {
		case l.list != unix.AUDIT_FILTER_EXIT:
		case l.action == unix.AUDIT_ALWAYS && m.forAll(l).mustCover(c):
			by[at] = true
			return true
		case l.action == unix.AUDIT_NEVER && l.mayCover(c) && !m.isShield(l):
			shadows[at] = true
			if l.mustCover(c) {
				return false
			}
		}
	}
	return false
}

// forAll returns a rule of the receiver's without the condition that deliberately excludes
// the collector, and any other rule as it is.
func (m *Manager) forAll(l loaded) loaded {
	if _, ours := m.owner(l); !ours {
		return l
	}
	l.fields = slices.DeleteFunc(slices.Clone(l.fields), func(f field) bool { return f.kind == unix.AUDIT_PID })
	return l
}

// isShield reports whether a rule excludes a running collector.
func (m *Manager) isShield(l loaded) bool {
	pid, ours := m.owner(l)
	return ours && m.mayRun(pid)
}

func texts(list []loaded, chosen map[int]bool) []string {
	var lines []string
	for at, l := range list {
		if chosen[at] {
			lines = append(lines, l.String())
		}
	}
	return lines
}

// groups joins the system calls for which the same signals are not recorded.
type groups []struct {
	signals string
	calls   []string
}

func (g *groups) add(signals, call string) {
	if signals == "" {
		return
	}
	for i := range *g {
		if (*g)[i].signals == signals {
			(*g)[i].calls = append((*g)[i].calls, call)
			return
		}
	}
	*g = append(*g, struct {
		signals string
		calls   []string
	}{signals, []string{call}})
}

func (g groups) texts() []string {
	var lines []string
	for _, group := range g {
		lines = append(lines, fmt.Sprintf("%s by %s", group.signals, strings.Join(group.calls, ", ")))
	}
	return lines
}
