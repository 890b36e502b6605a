// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// removeLeftovers removes the rules of collectors that no longer run, and returns the other
// rules. A leftover would hide the process that is given the old pid.
func (m *Manager) removeLeftovers(list []loaded) ([]loaded, error) {
	var leftovers []loaded
	for _, l := range list {
		if pid, ours := m.owner(l); ours && !m.mayRun(pid) {
			leftovers = append(leftovers, l)
		}
	}
	if len(leftovers) == 0 {
		return list, nil
	}
	m.logger.Info("found audit rules of a process that no longer runs", zap.Int("rules", len(leftovers)))
	return m.remove(leftovers)
}

// reliedOn reports whether a rule records something for others who have come while audit
// was on. Those that were there before managed without.
func (m *Manager) reliedOn(l loaded) bool {
	if l.list != unix.AUDIT_FILTER_EXIT || l.action != unix.AUDIT_ALWAYS {
		return false
	}
	if pid, made := m.maker(l); made {
		return pid != m.self && m.mayRun(pid)
	}
	return !slices.ContainsFunc(m.power.before, l.equal)
}

// mayRun reports whether the given process may be a running collector.
func (m *Manager) mayRun(pid int) bool { return pid == m.self || m.proc.mayManage(pid, m.self) }

// owner returns the process that made a rule, if the rule has this Manager's key and form,
// whatever signals it is for.
func (m *Manager) owner(l loaded) (pid int, ours bool) {
	pid, made := m.maker(l)
	return pid, made && l.key() == m.key
}

// maker returns the process that made a rule, if the rule has this package's form, whatever
// signals and key it has.
func (m *Manager) maker(l loaded) (pid int, made bool) {
	frame, pid := l.frame()
	for _, r := range append([]*managed{m.shield}, m.rules...) {
		if own, _ := r.loaded.frame(); own.equal(frame) {
			return pid, true
		}
	}
	return 0, false
}

// frame returns what all collectors' rules have in common: the rule without the process,
// the signals and the value of the key. It also returns the process.
func (l loaded) frame() (frame loaded, pid int) {
	var fields []field
	for _, f := range l.fields {
		switch f.kind {
		case unix.AUDIT_ARG1, unix.AUDIT_ARG2:
			continue
		case unix.AUDIT_PID:
			pid, f.value = int(f.value), 0
		case unix.AUDIT_FILTERKEY:
			f.value, f.text = 0, ""
		}
		fields = append(fields, f)
	}
	l.fields = fields
	return l, pid
}

// key returns the key of a rule; empty if it has none.
func (l loaded) key() string {
	for _, f := range l.fields {
		if f.kind == unix.AUDIT_FILTERKEY {
			return f.text
		}
	}
	return ""
}
