// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// tamperSentence appends which process did what to blind the monitor.
func tamperSentence(buf []byte, e *kill.Event) []byte {
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
