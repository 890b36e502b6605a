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
	// TamperRuleShadowed is a rule that suppresses what a later one should record.
	TamperRuleShadowed TamperAction = "rule_shadowed"
	// TamperRecordTypeExcluded is a rule that drops records of a type that we need.
	TamperRecordTypeExcluded TamperAction = "record_type_excluded"
	// TamperRateLimited is a limit of the records in a second, beyond which the kernel drops them.
	TamperRateLimited TamperAction = "rate_limited"
	// TamperBacklogLimited is a limit of the records that the kernel holds, lower than its own.
	TamperBacklogLimited TamperAction = "backlog_limited"
	// TamperCollectorStopped is a time in which this process did not run.
	TamperCollectorStopped TamperAction = "collector_stopped"
	// TamperProgramDetached is a program of ours in the kernel that reports nothing any more.
	TamperProgramDetached TamperAction = "program_detached"
	// TamperProgramModified is something that others have changed in what our programs work with.
	TamperProgramModified TamperAction = "program_modified"

	// TamperRuleAdded is any rule that somebody added. It is no tampering by itself and is not
	// reported, but says who did it if the rule turns out to blind us.
	TamperRuleAdded TamperAction = "rule_added"
	// TamperOtherChange is any other change of rules and limits, such as one that ends a tampering.
	// It is not reported either.
	TamperOtherChange TamperAction = "other_change"
)

// LeastBacklog is the kernel's own limit of the records that it holds (kernel/audit.c,
// audit_backlog_limit). Whoever sets a lower one wants records to be lost.
const LeastBacklog = 64

// Tamper is what an event of KindTamper reports.
type Tamper struct {
	Action TamperAction
	// Rule is the rule or setting as auditctl writes it, or the program or map in the kernel; empty
	// if it is not known. Of a TamperRuleAdded it is the list.
	Rule string
	// Duration is how long it lasted; 0 if it is not over, or happens at once.
	Duration time.Duration
}

// RestoredRule returns the event of a rule that the receiver has put back. It is not made of a
// record, so it has no serial number.
func RestoredRule(at time.Time, rule, key string) *Event {
	e := Found(at, Tamper{Action: TamperRuleRestored, Rule: rule})
	e.Audit.Keys = []string{key}
	return e
}

// RestoredAudit returns the event of auditing that the receiver has turned on
// again.
func RestoredAudit(at time.Time) *Event { return Found(at, Tamper{Action: TamperAuditRestored}) }

// Found returns the event of something that the receiver itself has done or found. No record says
// who did it.
func Found(at time.Time, tamper Tamper) *Event {
	return &Event{Kind: KindTamper, Time: at, Tamper: &tamper, Result: Success(), TargetCount: -1, Complete: true}
}

// Reportable reports whether it is a tampering, and not only a hint to look for one.
func (t *Tamper) Reportable() bool {
	return t.Action != TamperRuleAdded && t.Action != TamperOtherChange
}

// ByReceiver reports whether the receiver itself did it, so that there is no sender.
func (t *Tamper) ByReceiver() bool {
	return t.Action == TamperRuleRestored || t.Action == TamperAuditRestored
}
