// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// Problem is something that keeps signals from being recorded, which a person has to fix.
// The collector keeps running without them.
type Problem = problem.Problem

// byHand returns the commands that do what the Manager cannot do; none if they are not known.
func (m *Manager) byHand() []string {
	rules := For(m.signals, m.key, 0)
	if len(rules) == 0 {
		return nil
	}
	var lines []string
	for _, r := range rules {
		lines = append(lines, r.Command())
	}
	return append(lines, command("-e", "1"))
}

// byHandAdvice is for cases where root can do what the Manager cannot.
var byHandAdvice = []problem.Advice{problem.LoadRulesByHand}

// refused explains why the kernel does not let this process manage rules.
func (m *Manager) refused(err error) *Problem {
	p := &Problem{What: "the audit rules that record signals cannot be managed", Err: err, Lines: m.byHand()}
	switch {
	case errors.Is(err, unix.EPERM):
		p.Fix = "that requires CAP_AUDIT_CONTROL in the initial pid namespace: with systemd set " +
			"AmbientCapabilities=CAP_AUDIT_CONTROL, in Kubernetes securityContext.capabilities.add: [AUDIT_CONTROL], " +
			"runAsUser: 0 and hostPID: true"
		p.Advice = byHandAdvice
		if p.Lacking = privilege.Lacking(capability.CAP_AUDIT_CONTROL); len(p.Lacking) > 0 {
			p.Fix = ""
		}
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ECONNREFUSED) && m.proc.bootParameter("audit=0"):
		p.Fix = "remove audit=0 from the kernel's command line and reboot"
		p.Lines = nil
	case errors.Is(err, unix.ECONNREFUSED):
		p.Fix = "that works only in the initial user namespace: with systemd set PrivateUsers=no, in Kubernetes " +
			"hostUsers: true, and with Docker or Podman use a container that is not rootless"
		p.Advice = byHandAdvice
	default:
		p.Advice = byHandAdvice
	}
	return p
}

func (m *Manager) isLocked(missing int) *Problem {
	return &Problem{
		What: fmt.Sprintf("the audit rules are locked until the next boot (auditctl -s says enabled 2), and %d of the %d "+
			"that record signals are not loaded", missing, len(m.rules)),
		Fix:   "put these lines into " + Path + " and reboot",
		Lines: strings.Split(strings.TrimSpace(File(For(m.signals, m.key, 0))), "\n"),
	}
}

// cannotBuild is for machines whose rules this package or go-libaudit does not know.
func (m *Manager) cannotBuild(err error) *Problem {
	return &Problem{
		What:   "the audit rules that record signals cannot be managed on this machine",
		Err:    err,
		Advice: byHandAdvice,
		Lines:  m.byHand(),
	}
}

// neverOn is about processes that were started before audit was turned on for the first
// time: the kernel does not record what they do (kernel/auditsc.c, audit_alloc,
// audit_ever_enabled).
func neverOn() *Problem {
	return &Problem{
		What: "audit was off and has been turned on: if that was the first time since boot, signals sent by processes " +
			"that were already running are not recorded until those are restarted",
		Fix: "restart them, or add audit=1 to the kernel's command line and reboot",
	}
}

// obstacles returns what else in the kernel's lists keeps signals from being recorded.
func (m *Manager) obstacles(list []loaded) []*Problem {
	var problems []*Problem
	for i, l := range list {
		if p, found := m.obstacle(list, i, l); found {
			problems = append(problems, p)
		}
	}
	return problems
}

func (m *Manager) obstacle(list []loaded, i int, l loaded) (*Problem, bool) {
	switch {
	case l.list == unix.AUDIT_FILTER_TASK && l.action == unix.AUDIT_NEVER:
		return &Problem{
			What: fmt.Sprintf("the audit rule %q keeps the kernel from following the processes that it applies to: "+
				"signals that they send stay unseen", taskRule(l)),
			Fix: "remove it, also from /etc/audit/rules.d (10-no-audit.rules), and restart the processes that were " +
				"started while it was loaded, or reboot",
			Lines: []string{removal(taskRule(l))},
		}, true
	case l.list == unix.AUDIT_FILTER_EXCLUDE && (l.drops(unix.AUDIT_SYSCALL) || l.drops(unix.AUDIT_OBJ_PID)):
		return &Problem{
			What:  fmt.Sprintf("the audit rule %q suppresses records that say who sent a signal to whom", l),
			Fix:   "remove it, also from /etc/audit/rules.d",
			Lines: []string{removal(l.String())},
		}, true
	case l.list == unix.AUDIT_FILTER_EXIT && l.action == unix.AUDIT_NEVER && m.hides(list, i, l):
		return hiding(l), true
	}
	return nil, false
}

// hiding is the problem of a rule that suppresses what later rules should record.
func hiding(l loaded) *Problem {
	return &Problem{
		What:  fmt.Sprintf("the audit rule %q comes before those that record signals: what it applies to stays unseen", l),
		Fix:   "if that is not meant, remove it, also from /etc/audit/rules.d, or let it name the system calls it is for",
		Lines: []string{removal(l.String())},
	}
}

// hides reports whether a rule may suppress what a later rule of the receiver's should
// record. Rules that exclude the collector itself are intended.
func (m *Manager) hides(list []loaded, at int, l loaded) bool {
	if pid, ours := m.owner(l); ours && m.mayRun(pid) {
		return false
	}
	return slices.ContainsFunc(m.rules, func(r *managed) bool {
		position := m.find(list, r)
		return (position < 0 || position > at) && slices.ContainsFunc(r.calls, l.mayCover)
	})
}

// drops reports whether a rule of the exclude list may drop records of a type.
func (l loaded) drops(record uint32) bool {
	c := call{caller: caller{values: map[uint32]uint32{unix.AUDIT_MSGTYPE: record}}}
	return !slices.ContainsFunc(l.fields, func(f field) bool {
		holds, known := f.holds(c)
		return known && !holds
	})
}

// taskRule returns a rule of the task list in the form in which rule files have it.
func taskRule(l loaded) string {
	return strings.Replace(l.String(), "-a never,task", "-a task,never", 1)
}

// removal returns the command that removes a rule.
func removal(rule string) string {
	words := strings.Fields(rule)
	words[0] = "-d"
	return command(words...)
}
