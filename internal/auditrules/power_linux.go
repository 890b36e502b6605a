// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"

	"github.com/elastic/go-libaudit/v2"
	"go.uber.org/zap"
)

// locked is what the kernel calls enabled after auditctl -e 2.
const locked = 2

// power is what the Manager knows of the switch that turns audit on.
type power struct {
	// wasOff is true if audit was off at the start.
	wasOff bool
	// daemon is the audit daemon that was there at the start; 0 if none.
	daemon uint32
	// before are the rules that were there at the start.
	before []loaded
	// ours is true if audit is on because we have turned it on.
	ours bool
	// last is how it was the last time that somebody looked, and seenOn is true
	// once it was on: from then on somebody must have turned it off.
	last   uint32
	seenOn bool
}

func (p *power) found(status *libaudit.AuditStatus, list []loaded) {
	p.before = list
	p.wasOff, p.daemon, p.last, p.seenOn = status.Enabled == 0, status.PID, status.Enabled, status.Enabled != 0
}

// changed returns the new state of the switch if it is another one, else 1, the
// usual state, and remembers it.
func (p *power) changed(status *libaudit.AuditStatus) uint32 {
	before := p.last
	p.last, p.seenOn = status.Enabled, p.seenOn || status.Enabled != 0
	if status.Enabled == 0 {
		p.ours = false // if it comes on again without us, somebody wants it on
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
	m.logger.Info("turned audit on, as it was off")
	return nil
}

// turnOff turns audit off again, unless somebody else has come to rely on it.
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
		m.logger.Warn("audit was off and stays on, as others have come to rely on it; auditctl -e 0 turns it off", needed)
		return nil
	}
	if err := m.kernel.SetEnabled(false, libaudit.WaitForReply); err != nil {
		return err
	}
	m.power.ours = false
	m.logger.Info("turned audit off again, as it was before")
	return nil
}

// reliance tells who has come to rely on audit being on: a new audit daemon, another
// of ours, or whoever has loaded a rule. The field is empty if nobody has.
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
