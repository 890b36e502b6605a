// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// turnUnit is the unit whose program writes that the system starts or stops, and turnTime how long after that the
// unit itself may be done.
const (
	turnUnit = "systemd-update-utmp.service"
	turnTime = 10 * time.Second
	initPID  = 1
)

// turn is a record by which a system has begun to start or to stop. A container writes such records, too, and they
// do not show whose they are: that shows the manager's next record about the unit that has written them.
type turn struct {
	kind auditrecord.Type
	node string
	time time.Time
}

// addTurn adds such a record.
func (c *Correlator) addTurn(record *auditrecord.Record, s *auditrecord.Statement) {
	if !s.Succeeded {
		return
	}
	c.turn = turn{kind: record.Type, node: c.texts.plain(record.Node), time: timeOf(record)}
	if s.PID == initPID { // other programs than systemd write it themselves
		c.turns(c.turn, initPID)
	}
}

// turned handles that a manager is done with the unit.
func (c *Correlator) turned(node string, job *attribution.Job) {
	kind := auditrecord.TypeSystemBoot
	if job.Type == "stop" {
		kind = auditrecord.TypeSystemShutdown
	}
	since := job.Time.Sub(c.turn.time)
	if c.turn.kind == kind && c.turn.node == node && since >= 0 && since <= turnTime {
		c.turns(c.turn, job.Manager)
	}
}

// turns handles that a system starts or stops, of which the manager is known. No session lasts longer than a system.
func (c *Correlator) turns(t turn, manager int) {
	c.turn = turn{}
	boots := t.kind == auditrecord.TypeSystemBoot
	if manager == initPID {
		manager = 0 // the host's
		if boots {
			for _, id := range c.logins.forget(t.node) {
				c.tell(t.node, attribution.Fact{Logout: &attribution.Logout{Time: t.time, ID: id}})
			}
		}
	}
	c.tell(t.node, attribution.Fact{Shutdown: &attribution.Shutdown{Time: t.time, Manager: manager, Canceled: boots}})
}
