// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"slices"
	"strconv"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// hindrance is what keeps the kernel from recording signals although a rule says so, or keeps
// others from seeing who did that.
type hindrance struct {
	kill.Tamper
	// list and key are those of the rule; empty for a setting.
	list, key string
	// blinds is true if the kernel may not even record who causes it.
	blinds bool
}

// hindrances returns what hinders the rules that record signals now, whoever has loaded them, and
// which process is the audit daemon. It changes nothing.
func (m *Manager) hindrances() ([]hindrance, int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.rules == nil {
		if err := m.build(); err != nil {
			return nil, 0, err
		}
	}
	status, list, err := m.query()
	if err != nil {
		return nil, 0, err
	}
	return append(m.hinderingRules(list), hinderingSettings(status)...), int(status.PID), nil
}

// hinderingSettings returns the settings that make the kernel lose records.
func hinderingSettings(status *libaudit.AuditStatus) []hindrance {
	var found []hindrance
	add := func(action kill.TamperAction, rule string) {
		found = append(found, hindrance{Tamper: kill.Tamper{Action: action, Rule: rule}, blinds: true})
	}
	if status.Enabled == 0 {
		add(kill.TamperAuditDisabled, "")
	}
	if status.RateLimit > 0 {
		add(kill.TamperRateLimited, limitRule("-r", status.RateLimit))
	}
	if status.BacklogLimit > 0 && status.BacklogLimit < kill.LeastBacklog {
		add(kill.TamperBacklogLimited, limitRule("-b", status.BacklogLimit))
	}
	return found
}

// limitRule writes a limit as auditctl(8) takes it, and as a record of its change is told.
func limitRule(option string, limit uint32) string {
	return option + " " + strconv.FormatUint(uint64(limit), 10)
}

// hinderingRules returns the rules that suppress what others should record.
func (m *Manager) hinderingRules(list []loaded) []hindrance {
	shadows := m.shadows(list)
	var found []hindrance
	for at, l := range list {
		h := hindrance{key: l.key(), Tamper: kill.Tamper{Rule: l.String()}}
		switch {
		case m.onlyUs(l):
			continue
		case l.list == unix.AUDIT_FILTER_TASK && l.action == unix.AUDIT_NEVER:
			h.Action, h.list, h.Rule = kill.TamperRuleShadowed, "task", taskRule(l)
		case l.list == unix.AUDIT_FILTER_EXIT && shadows[at]:
			h.Action, h.list = kill.TamperRuleShadowed, "exit"
		case l.list == unix.AUDIT_FILTER_EXCLUDE && slices.ContainsFunc(needed, l.drops):
			h.Action, h.list, h.blinds = kill.TamperRecordTypeExcluded, "exclude", l.drops(unix.AUDIT_CONFIG_CHANGE)
		default:
			continue
		}
		found = append(found, h)
	}
	return found
}

// needed are the types of the records that tell of a signal, and of what is done to audit.
var needed = []uint32{unix.AUDIT_SYSCALL, unix.AUDIT_OBJ_PID, unix.AUDIT_PROCTITLE, unix.AUDIT_CONFIG_CHANGE}

// shadows returns which rules keep a later one from recording a signal of some process. As for
// the kernel, the first that applies decides (kernel/auditsc.c, __audit_filter_op).
func (m *Manager) shadows(list []loaded) map[int]bool {
	found := make(map[int]bool)
	for _, r := range m.rules {
		for _, c := range r.calls {
			var before []int
			for at, l := range list {
				if l.list != unix.AUDIT_FILTER_EXIT || !l.mayCover(c) {
					continue
				}
				if l.action == unix.AUDIT_NEVER {
					before = append(before, at)
					continue
				}
				for _, earlier := range before {
					found[earlier] = true
				}
				if m.forAll(l).mustCover(c) {
					break
				}
			}
		}
	}
	return found
}

// onlyUs reports whether a rule suppresses nothing but what collectors do, as shields do and the
// rule that docs/live.md suggests. The name of a process does not make it a collector: anybody can
// choose that.
func (m *Manager) onlyUs(l loaded) bool {
	if pid, made := m.maker(l); made && (pid == m.self || m.proc.mayContainUs(pid)) {
		return true
	}
	return slices.ContainsFunc(l.fields, func(f field) bool {
		switch {
		case f.operator != unix.AUDIT_EQUAL:
			return false
		case f.kind == unix.AUDIT_PID:
			return int(f.value) == m.self
		}
		return f.kind == unix.AUDIT_EXE && f.text != "" && f.text == m.own.executable
	})
}
