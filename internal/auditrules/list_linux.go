// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// managed is one of the receiver's rules.
type managed struct {
	Rule
	loaded loaded
	// calls are the calls that it should record.
	calls []call
	// seen is true once the rule has been loaded, no matter by which program: if it is
	// missing later, something has removed it.
	seen bool
}

func manage(r Rule) (*managed, error) {
	wire, err := r.wire()
	if err != nil {
		return nil, err
	}
	l, err := decode(wire)
	return &managed{Rule: r, loaded: l}, err
}

// build makes the receiver's rules.
func (m *Manager) build() error {
	rules := For(m.signals, m.key, m.self)
	if len(rules) == 0 {
		return fmt.Errorf("no rules are known for %s", machine())
	}
	var built []*managed
	for _, r := range rules {
		next, err := manage(r)
		if err != nil {
			return err
		}
		next.calls = r.calls(m.signals)
		built = append(built, next)
	}
	shield, err := manage(shieldFor(m.key, m.self))
	if err != nil {
		return err
	}
	m.rules, m.shield = built, shield
	return nil
}

// query asks the kernel for the state of audit and the loaded rules.
func (m *Manager) query() (*libaudit.AuditStatus, []loaded, error) {
	status, err := m.kernel.GetStatus()
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the state of audit: %w", err)
	}
	list, err := m.list()
	return status, list, err
}

func (m *Manager) list() ([]loaded, error) {
	wires, err := m.kernel.GetRules()
	if err != nil {
		return nil, fmt.Errorf("listing the audit rules: %w", err)
	}
	var list []loaded
	for _, wire := range wires {
		l, err := decode(wire)
		if err != nil {
			return nil, fmt.Errorf("listing the audit rules: %w", err)
		}
		list = append(list, l)
	}
	return list, nil
}

// find returns the index of a rule, or of one that equals it, in the list; -1 if it is not
// loaded.
func (m *Manager) find(list []loaded, r *managed) int {
	self := field{kind: unix.AUDIT_PID, operator: unix.AUDIT_NOT_EQUAL, value: uint32(m.self)}
	wanted := r.loaded.without(self)
	return slices.IndexFunc(list, func(l loaded) bool { return l.without(self).equal(wanted) })
}

// missing returns those of the Manager's rules that are not loaded.
func (m *Manager) missing(list []loaded) []*managed {
	var missing []*managed
	for _, r := range m.rules {
		if m.find(list, r) < 0 {
			missing = append(missing, r)
		} else {
			r.seen = true
		}
	}
	return missing
}

// gone returns the missing rules that have been loaded before, and those that could not be
// loaded so far.
func (m *Manager) gone(list []loaded) (gone, late []*managed) {
	for _, r := range m.missing(list) {
		if r.seen {
			gone = append(gone, r)
		} else {
			late = append(late, r)
		}
	}
	return gone, late
}

func (m *Manager) anySeen() bool {
	return slices.ContainsFunc(m.rules, func(r *managed) bool { return r.seen })
}

// add loads rules.
func (m *Manager) add(rules []*managed) error {
	var errs []error
	for _, r := range rules {
		// go-libaudit has only this text for EEXIST, no error value.
		err := m.kernel.AddRule(r.loaded.wire)
		if err != nil && err.Error() != "rule exists" {
			errs = append(errs, fmt.Errorf("adding the audit rule %q: %w", r, err))
			continue
		}
		r.seen = true
		if err == nil {
			m.added = append(m.added, r.loaded)
			m.logger.Info("added an audit rule", zap.Stringer("rule", r))
		}
	}
	return errors.Join(errs...)
}

// remove removes rules as they were listed. go-libaudit does not report whether the kernel
// has done so; listing them again shows it.
func (m *Manager) remove(rules []loaded) ([]loaded, error) {
	var errs []error
	for _, l := range rules {
		if err := m.kernel.DeleteRule(l.wire); err != nil {
			errs = append(errs, fmt.Errorf("removing the audit rule %q: %w", l, err))
		}
	}
	list, err := m.list()
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	for _, l := range rules {
		if slices.ContainsFunc(list, l.equal) {
			errs = append(errs, fmt.Errorf("the audit rule %q is still loaded", l))
		} else {
			m.logger.Info("removed an audit rule", zap.Stringer("rule", l))
		}
	}
	return list, errors.Join(errs...)
}

// removeAdded removes what this Manager has added, if it is still loaded.
func (m *Manager) removeAdded() error {
	list, err := m.list()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(l loaded) bool { return !slices.ContainsFunc(m.added, l.equal) })
	m.added = nil
	if len(list) == 0 {
		return nil
	}
	left, err := m.remove(list)
	m.added = slices.DeleteFunc(list, func(l loaded) bool { return !slices.ContainsFunc(left, l.equal) })
	return err
}
