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

// managed is a rule of ours.
type managed struct {
	Rule
	loaded loaded
	// calls are those that it is to record.
	calls []call
	// seen is true once it has been loaded, by whomever: from then on somebody
	// must have removed it if it is missing.
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

// build makes our rules.
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

// look asks the kernel how things are.
func (m *Manager) look() (*libaudit.AuditStatus, []loaded, error) {
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

// find returns where in the list a rule of ours is, or one that equals it; -1 if
// it is not loaded.
func (m *Manager) find(list []loaded, r *managed) int {
	self := field{kind: unix.AUDIT_PID, operator: unix.AUDIT_NOT_EQUAL, value: uint32(m.self)}
	wanted := r.loaded.without(self)
	return slices.IndexFunc(list, func(l loaded) bool { return l.without(self).equal(wanted) })
}

// missing returns those of our rules that are not loaded.
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

// gone returns the missing rules that have been there, and those that could not
// be loaded so far.
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

// add loads rules of ours.
func (m *Manager) add(rules []*managed) error {
	var errs []error
	for _, r := range rules {
		// go-libaudit has no error of its own for EEXIST, only this text.
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

// remove removes rules as they were listed. go-libaudit does not tell whether
// the kernel has done it, so that the list has to.
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

// removeAdded removes what this Manager has added, if it is still there.
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
