// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"math"
)

// Setting is a setting of the audit system that a CONFIG_CHANGE record may report.
type Setting uint8

const (
	// SettingOther is any setting that does not matter here, or none.
	SettingOther Setting = iota
	// SettingEnabled is 0 for off, 1 for on, 2 for on and locked.
	SettingEnabled
	// SettingPID is the process id of the audit daemon, 0 for none.
	SettingPID
	// SettingRateLimit is how many records are written in a second at most, 0 for any number.
	SettingRateLimit
	// SettingBacklogLimit is how many records the kernel holds at most, 0 for any number.
	SettingBacklogLimit
)

// Change is a CONFIG_CHANGE record of the kernel, or a DAEMON_END record of
// auditd, which has some of the same fields. The former comes in these forms
// (kernel/audit.c, audit_log_config_change and audit_receive_msg;
// kernel/auditfilter.c, audit_log_rule_change); older kernels write the second
// without op, and the op of the first as "remove_rule" or remove rule:
//
//	auid=0 ses=1 op=remove_rule key="audit_kill" list=4 res=1
//	op=set audit_enabled=0 old=1 auid=0 ses=1 res=1
//	pid=7 uid=0 auid=0 ses=1 op=remove_rule audit_enabled=2 res=0
//	op=set audit_rate_limit=5 old=0 auid=0 ses=1 res=1
type Change struct {
	// Op is what was done, such as "set" or "remove_rule"; empty if the record does not say.
	Op []byte
	// Key holds the keys of the rule, List is the list that it is in (include/uapi/linux/audit.h,
	// AUDIT_FILTER_EXIT).
	Key      []byte
	List     int
	Setting  Setting
	New, Old int
	OldKnown bool
	// Done is true if the change succeeded; valid only if DoneKnown.
	Done, DoneKnown bool

	PID                int
	AUID, UID, Session uint32
	Subject            []byte
	AUIDName, UIDName  []byte
}

// RemovesRule reports whether a rule was removed, by a process or because the file that it
// names is gone.
func (c *Change) RemovesRule() bool {
	switch string(c.Op) {
	case "remove_rule", "autoremove_rule", "remove rule", "remove":
		return true
	}
	return false
}

// AddsRule reports whether a rule was added.
func (c *Change) AddsRule() bool {
	switch string(c.Op) {
	case "add_rule", "add rule", "add":
		return true
	}
	return false
}

// Sets reports whether a setting was given a value, rather than only named as the reason
// why something else was refused.
func (c *Change) Sets() bool {
	return c.Setting != SettingOther && (len(c.Op) == 0 || string(c.Op) == "set")
}

// ParseChange parses the fields of a CONFIG_CHANGE or DAEMON_END record. It returns false
// if the result, which is the last field of every such record, is missing, or if a field is
// unreadable; the others are filled in nevertheless.
func ParseChange(record []byte) (Change, bool) {
	c := Change{AUID: unset, UID: unset, Session: unset}
	whole := true
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		whole = c.set(key, value) && whole
	}
	return c, whole && !f.unclosed && c.DoneKnown
}

func (c *Change) set(key, value []byte) (ok bool) {
	ok = true
	switch string(key) {
	case "op":
		c.Op = Unquote(value)
	case "key":
		c.Key = value
	case "audit_enabled":
		c.Setting = SettingEnabled
		c.New, ok = parsePID(value)
	case "audit_pid":
		c.Setting = SettingPID
		c.New, ok = parsePID(value)
	case "audit_rate_limit":
		c.Setting = SettingRateLimit
		c.New, ok = parseCount(value)
	case "audit_backlog_limit":
		c.Setting = SettingBacklogLimit
		c.New, ok = parseCount(value)
	case "list":
		c.List, _ = parsePID(value)
	case "old":
		// With other settings it may be any number.
		if old, small := parsePID(value); small {
			c.Old, c.OldKnown = old, true
		}
	case "res":
		c.Done = string(value) == "1" || string(value) == "success"
		c.DoneKnown = c.Done || string(value) == "0" || string(value) == "failed"
	case "pid":
		if !bytes.Equal(value, unknownPID) {
			c.PID, ok = parsePID(value)
		}
	case "auid":
		c.AUID, ok = parseID(value)
	case "uid":
		c.UID, ok = parseID(value)
	case "ses":
		c.Session, ok = parseID(value)
	case "subj":
		c.Subject = value
	case "AUID":
		c.AUIDName = value
	case "UID":
		c.UIDName = value
	}
	return ok
}

// parseCount parses a number of records: any 32 bits, of which more than 31 are as good as no limit.
func parseCount(value []byte) (int, bool) {
	n, ok := parseID(value)
	return int(min(n, math.MaxInt32)), ok
}

// unknownPID is what auditd writes if the kernel did not report who sent the signal.
var unknownPID = []byte("-1")
