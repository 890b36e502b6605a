// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// TamperAction says what was done to something that the monitor depends on.
type TamperAction string

const (
	// TamperRuleRemoved is an audit rule of ours that somebody removed.
	TamperRuleRemoved TamperAction = "rule_removed"
	// TamperRuleRestored is the same rule, put back by the receiver.
	TamperRuleRestored TamperAction = "rule_restored"
	// TamperAuditDisabled is auditing turned off.
	TamperAuditDisabled TamperAction = "audit_disabled"
	// TamperAuditRestored is auditing turned on again by the receiver.
	TamperAuditRestored TamperAction = "audit_restored"
	// TamperAuditLocked is the audit configuration made immutable until the next boot, so that
	// nothing missing can be put back.
	TamperAuditLocked TamperAction = "audit_locked"
	// TamperDaemonStopped is the end of the audit daemon.
	TamperDaemonStopped TamperAction = "daemon_stopped"
)

// Tamper is what an event of KindTamper reports.
type Tamper struct {
	Action TamperAction
	// Rule is the rule as auditctl writes it; empty if it is not known.
	Rule string
}

// RestoredRule returns the event of a rule that the receiver has put back. It is not made of a
// record, so it has no serial number.
func RestoredRule(at time.Time, rule, key string) *Event {
	e := restored(at, Tamper{Action: TamperRuleRestored, Rule: rule})
	e.Audit.Keys = []string{key}
	return e
}

// RestoredAudit returns the event of auditing that the receiver has turned on
// again.
func RestoredAudit(at time.Time) *Event { return restored(at, Tamper{Action: TamperAuditRestored}) }

func restored(at time.Time, tamper Tamper) *Event {
	return &Event{Kind: KindTamper, Time: at, Tamper: &tamper, Result: Success(), TargetCount: -1, Complete: true}
}

// ByReceiver reports whether the receiver itself did it, so that there is no sender.
func (t *Tamper) ByReceiver() bool {
	return t.Action == TamperRuleRestored || t.Action == TamperAuditRestored
}
