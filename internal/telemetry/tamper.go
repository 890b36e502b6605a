// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// tamperSentence appends which process did what to blind the monitor, or what blinds it if nobody
// is known to have done that.
func tamperSentence(buf []byte, e *kill.Event) []byte {
	if state := state(e.Tamper); state != "" && !e.Audit.Recorded && e.Sender.PID == 0 {
		return appendObject(append(buf, state...), e)
	}
	if !e.Tamper.ByReceiver() {
		buf = append(appendDetails(appendProcess(buf, &e.Sender), &e.Sender), ' ')
	}
	did, toDo := deed(e)
	if e.Result.Failed() {
		buf = append(append(buf, "tried to "...), toDo...)
	} else {
		buf = append(buf, did...)
	}
	buf = appendObject(buf, e)
	if e.Result.Failed() && e.Result.Error != "" {
		buf = append(append(buf, ": "...), e.Result.Error...)
	}
	return buf
}

// state returns what was found; empty if the action is always seen being done.
func state(tamper *kill.Tamper) string {
	switch tamper.Action {
	case kill.TamperAuditDisabled:
		return "auditing is turned off"
	case kill.TamperRuleShadowed:
		return "an audit rule keeps signals from being recorded"
	case kill.TamperRecordTypeExcluded:
		return "an audit rule drops records that tell of signals, or of changes of the rules"
	case kill.TamperRateLimited:
		return "the kernel may drop audit records, because their rate is limited"
	case kill.TamperBacklogLimited:
		return "the kernel may drop audit records, because it holds only a few"
	case kill.TamperCollectorStopped:
		return "the collector did not run for " + tamper.Duration.Round(100*time.Millisecond).String() +
			"; signals sent meanwhile may be reported late or be missing"
	case kill.TamperProgramDetached:
		return "a program that reports signals from the kernel is detached"
	case kill.TamperProgramModified:
		return "what the programs in the kernel work with was changed"
	}
	return ""
}

// deed returns what was done, in the past tense and as an infinitive.
func deed(e *kill.Event) (did, toDo string) {
	switch e.Tamper.Action {
	case kill.TamperRuleRemoved:
		return "removed an audit rule", "remove an audit rule"
	case kill.TamperRuleRestored:
		return "put back an audit rule that was missing", "put back an audit rule that was missing"
	case kill.TamperAuditDisabled:
		return "turned auditing off", "turn auditing off"
	case kill.TamperAuditRestored:
		return "turned auditing on again, as it was off", "turn auditing on again"
	case kill.TamperAuditLocked:
		return "locked the audit configuration until the next boot", "lock the audit configuration until the next boot"
	case kill.TamperRuleShadowed:
		return "added an audit rule that keeps signals from being recorded", "add an audit rule that keeps signals from being recorded"
	case kill.TamperRecordTypeExcluded:
		return "added an audit rule that drops records that tell of signals, or of changes of the rules",
			"add an audit rule that drops records that tell of signals, or of changes of the rules"
	case kill.TamperRateLimited:
		return "limited the rate of audit records, beyond which the kernel drops them", "limit the rate of audit records"
	case kill.TamperBacklogLimited:
		return "limited how many audit records the kernel holds, beyond which it drops them", "limit how many audit records the kernel holds"
	}
	if len(e.Targets) > 0 && e.Targets[0].PID == e.Sender.PID {
		return "stopped as the audit daemon", "stop as the audit daemon"
	}
	return "stopped the audit daemon", "stop the audit daemon"
}

// appendObject appends which rule or daemon it was.
func appendObject(buf []byte, e *kill.Event) []byte {
	switch {
	case e.Tamper.Rule != "":
		return append(append(buf, ": "...), visible.Text(e.Tamper.Rule)...)
	case len(e.Targets) > 0 && e.Targets[0].PID != e.Sender.PID:
		return strconv.AppendInt(append(buf, ", pid "...), int64(e.Targets[0].PID), 10)
	}
	for i, key := range e.Audit.Keys {
		switch {
		case i > 0:
			buf = append(buf, ", "...)
		case len(e.Audit.Keys) > 1:
			buf = append(buf, " with the keys "...)
		default:
			buf = append(buf, " with the key "...)
		}
		buf = appendName(buf, key)
	}
	return buf
}
