// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"
)

// locked is the kernel's value of enabled after auditctl -e 2.
const locked = 2

// power is what the Manager knows about the switch that turns audit on.
type power struct {
	// wasOff is true if audit was off at the start.
	wasOff bool
	// daemon is the audit daemon at the start; 0 if there was none.
	daemon uint32
	// before are the rules at the start.
	before []loaded
	// ours is true if audit is on because this Manager has turned it on.
	ours bool
	// last is the state at the last check. seenOn is true once audit was on: if it is off
	// later, something has turned it off.
	last   uint32
	seenOn bool
}

func (p *power) found(status *libaudit.AuditStatus, list []loaded) {
	p.before = list
	p.wasOff, p.daemon, p.last, p.seenOn = status.Enabled == 0, status.PID, status.Enabled, status.Enabled != 0
}

// changed remembers the state of the switch. It returns the new state if that has changed,
// otherwise 1, the usual state.
func (p *power) changed(status *libaudit.AuditStatus) uint32 {
	before := p.last
	p.last, p.seenOn = status.Enabled, p.seenOn || status.Enabled != 0
	if status.Enabled == 0 {
		p.ours = false // if something else turns it on again, that is intended
	}
	if before == p.last {
		return 1
	}
	return p.last
}

func (m *Manager) turnOn() error {
	if err := m.kernel.SetEnabled(true, libaudit.WaitForReply); err != nil {
		return fmt.Errorf("turning audit on: %w", err)
	}
	m.power.ours, m.power.last, m.power.seenOn = true, 1, true
	m.logger.Info("turned audit on: it was off")
	return nil
}

// turnOff turns audit off again, unless something else has come to rely on it.
func (m *Manager) turnOff() error {
	if !m.power.wasOff || !m.power.ours {
		return nil
	}
	status, err := m.kernel.GetStatus()
	if err != nil {
		return err
	}
	if status.Enabled != 1 {
		m.power.ours = false
		return nil
	}
	list, err := m.list()
	if err != nil {
		return err
	}
	if needed := m.reliance(status, list); needed.Key != "" {
		m.power.ours = false
		m.logger.Warn("audit was off and stays on, because others have come to rely on it; auditctl -e 0 turns it off", needed)
		return nil
	}
	if err := m.kernel.SetEnabled(false, libaudit.WaitForReply); err != nil {
		return err
	}
	m.power.ours = false
	m.logger.Info("turned audit off again, as it was before")
	return nil
}

// reliance returns what has come to rely on audit being on: a new audit daemon, another
// collector, or a rule. The field is empty if there is nothing.
func (m *Manager) reliance(status *libaudit.AuditStatus, list []loaded) zap.Field {
	if status.PID != 0 && status.PID != m.power.daemon && status.PID != uint32(m.self) {
		return zap.Uint32("daemon", status.PID)
	}
	at := slices.IndexFunc(list, m.reliedOn)
	if at < 0 {
		return zap.Field{}
	}
	if pid, made := m.maker(list[at]); made {
		return zap.Int("process", pid)
	}
	return zap.Stringer("rule", list[at])
}
