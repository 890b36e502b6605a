// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// keepShield loads the shield if it is needed. If it had been loaded and something has
// removed it, it only reports that.
func (m *Manager) keepShield(list []loaded, mayChange bool) (removed bool, problem *Problem) {
	at := m.find(list, m.shield)
	present := at >= 0
	m.shield.seen = m.shield.seen || present
	broad, found := m.feedback(list)
	switch {
	case !found:
		return false, nil
	case !mayChange:
		return false, m.feeds(broad, nil)
	case m.shield.seen && !present:
		return true, nil
	case present: // but after the broad rule
		if _, err := m.remove(list[at : at+1]); err != nil {
			return false, m.feeds(broad, err)
		}
	}
	if err := m.add([]*managed{m.shield}); err != nil {
		return false, m.feeds(broad, err)
	}
	return false, nil
}

// feedback returns the rule, if any, that records what the collector does all the time.
func (m *Manager) feedback(list []loaded) (broad loaded, found bool) {
	for _, c := range m.ownCalls {
		for _, l := range list {
			if l.list != unix.AUDIT_FILTER_EXIT {
				continue
			}
			if l.action == unix.AUDIT_ALWAYS && l.mayCover(c) {
				return l, true
			}
			if l.action == unix.AUDIT_NEVER && l.mustCover(c) {
				break
			}
		}
	}
	return loaded{}, false
}

func (m *Manager) feeds(broad loaded, err error) *Problem {
	return &Problem{
		What: fmt.Sprintf("the audit rule %q records what this process does to read the records, "+
			"so each record causes more records", broad),
		Err:   err,
		Fix:   "narrow that rule, or put this line before it in /etc/audit/rules.d",
		Lines: []string{"-a never,exit -F exe=" + m.own.executable + " -k " + m.key},
	}
}
