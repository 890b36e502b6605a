// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// TamperAction says what was done to what the monitor depends on.
type TamperAction string

const (
	// TamperRuleRemoved is an audit rule of ours that somebody took out.
	TamperRuleRemoved TamperAction = "rule_removed"
	// TamperRuleRestored is the same rule, put back by the receiver.
	TamperRuleRestored TamperAction = "rule_restored"
	// TamperAuditDisabled is auditing turned off.
	TamperAuditDisabled TamperAction = "audit_disabled"
	// TamperAuditLocked is the configuration made immutable until the next boot,
	// so that nobody can put back what is missing.
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

// RestoredRule returns the event of a rule that the receiver has put back. No
// record stands behind it, so that it has no serial number.
func RestoredRule(at time.Time, rule, key string) *Event {
	return &Event{
		Kind: KindTamper, Time: at, Tamper: &Tamper{Action: TamperRuleRestored, Rule: rule}, Result: Success(),
		TargetCount: -1, Audit: Audit{Keys: []string{key}}, Complete: true,
	}
}
