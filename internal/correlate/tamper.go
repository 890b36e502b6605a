// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// DefaultKey is the key of the receiver's rules unless the configuration names another.
const DefaultKey = "audit_kill"

// otherCall stands for any call by which the audit system may be changed.
var otherCall = call{signal: noSignal}

// tampering is one thing that was done to the audit system, or attempted.
type tampering struct {
	action kill.TamperAction
	// rule is the setting as auditctl writes it, or the list of a rule that was added; mostly
	// empty.
	rule   string
	result kill.Result
	// keys are those of the rule.
	keys []string
	// daemon is the process id of the daemon that was stopped.
	daemon int
}

// addChange adds a CONFIG_CHANGE record. Most of these blind nothing.
func (c *Correlator) addChange(record *auditrecord.Record, line []byte, at Position, now time.Time) {
	change, whole := auditrecord.ParseChange(record.Fields)
	whole = whole && !record.Cut
	found := c.tamperingOf(&change, whole)
	if found.action == "" {
		return
	}
	c.done.remove(record)
	c.adopt(record, at)
	p := c.gather(record, at, now)
	p.cut = p.cut || !whole
	switch {
	case !p.tamper():
		c.table.tampers++
		p.event.Kind, p.event.Origin = kill.KindTamper, ""
		if p.call == nil {
			c.addChanger(p.event, &change)
		}
		found.apply(p.event)
	case p.event.Tamper.Action != found.action && !slices.ContainsFunc(p.also, found.alike):
		p.also = append(p.also, found)
	}
	c.added(p, record, line)
}

// tamperingOf returns what a change does to the monitor. The action is empty if it does
// nothing.
func (c *Correlator) tamperingOf(change *auditrecord.Change, whole bool) tampering {
	var found tampering
	switch {
	case change.RemovesRule():
		found = c.removal(change, whole)
	case change.AddsRule():
		return c.addition(change)
	case !change.Sets() || change.OldKnown && change.Old == change.New:
		return found
	default:
		found = setting(change)
	}
	if found.action == "" && c.config.Changed != nil {
		found.action = kill.TamperOtherChange
	}
	return found
}

// setting returns what a new value of a setting does.
func setting(change *auditrecord.Change) tampering {
	const off, locked = 0, 2
	switch {
	case change.Setting == auditrecord.SettingEnabled && change.New == off:
		return tampering{action: kill.TamperAuditDisabled, result: resultOf(change, "EPERM")}
	case change.Setting == auditrecord.SettingEnabled && change.New == locked:
		return tampering{action: kill.TamperAuditLocked, result: resultOf(change, "EPERM")}
	case change.Setting == auditrecord.SettingPID && change.New == 0:
		return tampering{action: kill.TamperDaemonStopped, daemon: change.Old, result: resultOf(change, "EACCES")}
	case change.Setting == auditrecord.SettingRateLimit && change.New > 0:
		return limiting(change, kill.TamperRateLimited, "-r")
	case change.Setting == auditrecord.SettingBacklogLimit && change.New > 0 && change.New < kill.LeastBacklog:
		return limiting(change, kill.TamperBacklogLimited, "-b")
	}
	return tampering{}
}

// limiting is a limit that makes the kernel drop records, with the option of auditctl that sets it.
func limiting(change *auditrecord.Change, action kill.TamperAction, option string) tampering {
	return tampering{action: action, rule: option + " " + strconv.Itoa(change.New), result: resultOf(change, "EPERM")}
}

// lists are the names of the kernel's lists of rules in auditctl(8), by their numbers
// (include/uapi/linux/audit.h, AUDIT_FILTER_USER and the following).
var lists = map[int]string{0: "user", 1: "task", 4: "exit", 5: "exclude", 6: "filesystem", 7: "io_uring"}

// addition is a rule that was added. The record does not say what the rule does.
func (c *Correlator) addition(change *auditrecord.Change) tampering {
	if c.config.Changed == nil || !change.Done {
		return tampering{}
	}
	keys, _ := c.splitKeys(change.Key)
	return tampering{action: kill.TamperRuleAdded, rule: lists[change.List], keys: keys, result: kill.Success()}
}

// removal decides whether a removed rule is one of the receiver's. It may be if the key is
// lost, or if the kernel does not record the key, as while the configuration is locked.
func (c *Correlator) removal(change *auditrecord.Change, whole bool) tampering {
	keys, keysWhole := c.splitKeys(change.Key)
	if !keysWhole {
		keys = nil
	}
	removed := tampering{action: kill.TamperRuleRemoved, keys: keys, result: resultOf(change, "")}
	switch {
	case slices.Contains(keys, c.config.Key):
		return removed
	case len(keys) == 0 && change.Setting == auditrecord.SettingEnabled:
		removed.result = resultOf(change, "EPERM")
		return removed
	case len(keys) == 0 && (!whole || !keysWhole):
		return removed
	}
	return tampering{}
}

// resultOf returns how a change ended. The record has no error; it is named where the
// kernel has only one reason to refuse that change (kernel/audit.c, audit_do_config_change
// and audit_receive_msg).
func resultOf(change *auditrecord.Change, errorName string) kill.Result {
	switch {
	case !change.DoneKnown:
		return kill.Result{}
	case change.Done:
		return kill.Success()
	}
	return kill.Result{Known: true, Errno: -1, Error: errorName}
}

// alike reports whether the same was done.
func (t tampering) alike(other tampering) bool { return t.action == other.action }

// apply fills in what was done.
func (t tampering) apply(e *kill.Event) {
	e.Tamper = &kill.Tamper{Action: t.action, Rule: t.rule}
	e.Result, e.Audit.Keys, e.Targets = t.result, t.keys, nil
	if t.daemon == 0 {
		return
	}
	e.AddTarget().PID = t.daemon
	if e.Sender.PID == 0 && t.result.Succeeded() {
		// Only the daemon itself may unregister, and the kernel writes no SYSCALL record
		// for a daemon's calls (kernel/audit.c, auditd_test_task).
		e.Sender.PID = t.daemon
	}
}

// addChanger fills in what the record itself says about who made the change. A SYSCALL
// record, which older kernels do not write, says more.
func (c *Correlator) addChanger(e *kill.Event, change *auditrecord.Change) {
	e.Audit.Subject = c.texts.plain(change.Subject)
	e.Sender.PID = change.PID
	e.Sender.RealUser = c.user(change.UID, true, change.UIDName)
	e.Sender.Login = c.user(change.AUID, true, change.AUIDName)
	e.Sender.Session = kill.NewID(change.Session)
	e.Sender.Label = e.Audit.Subject
}

// daemonEnd makes the event of a DAEMON_END record, which is complete by itself: auditd
// writes it when it is stopped, and by whom.
func (c *Correlator) daemonEnd(record *auditrecord.Record) *kill.Event {
	change, whole := auditrecord.ParseChange(record.Fields)
	e := c.newEvent(kill.KindTamper, record)
	c.addChanger(e, &change)
	// Its uid is the owner of the sender's folder in /proc, the effective user.
	e.Sender.User, e.Sender.RealUser = e.Sender.RealUser, kill.User{}
	if change.AUID == 0 && !e.Sender.Session.Known {
		// Its auid is the login user, or the user if there was no login (kernel/audit.c,
		// audit_signal_info). For root the record does not show which.
		e.Sender.Login = kill.User{}
	}
	e.Tamper = &kill.Tamper{Action: kill.TamperDaemonStopped}
	e.Result = resultOf(&change, "")
	e.Complete = whole && !record.Cut
	return e
}

// reportable reports whether a tampering is to be emitted, after passing it on to Changed.
func (c *Correlator) reportable(e *kill.Event) bool {
	if c.byUs(e) {
		return false
	}
	if c.config.Changed != nil {
		c.config.Changed(e)
	}
	return e.Tamper.Reportable()
}

// byUs reports whether the collector itself changed the audit system, as it does when it
// starts and stops. Nothing else is excused: not a companion with the same key, because any
// program could pretend to be that, and not an unknown sender, because the kernel writes no
// SYSCALL record for what the audit daemon does. Several of these programs on one host need
// different keys.
func (c *Correlator) byUs(e *kill.Event) bool {
	if c.config.PID != 0 && c.current(e) {
		return e.Sender.PID == c.config.PID
	}
	// The path is weaker: whoever runs the same program, or has it at the same path in a mount
	// namespace of his own, has it, too. An upgrade may have replaced the program while it runs.
	executable := strings.TrimSuffix(e.Sender.Executable, " (deleted)")
	return executable != "" && executable == c.config.Executable
}

// current reports whether an event is from the life of this process. The records of earlier ones
// have another pid, and so have those of another host.
func (c *Correlator) current(e *kill.Event) bool {
	return c.config.Since.IsZero() || e.Audit.Node == "" && !e.Time.Before(c.config.Since)
}

// ofTamper reports whether a record belongs to a tamper that is pending.
func (c *Correlator) ofTamper(record *auditrecord.Record) bool {
	if c.table.tampers == 0 {
		return false
	}
	p := c.table.byKey[c.keyOf(record)]
	return p != nil && p.tamper()
}

// early holds the latest calls that may have changed the audit system, for logs in which
// the record of the change follows that of the call. The kernel writes it before.
type early [16]*pending

func (e *early) slot(stamp auditrecord.Stamp) **pending { return &e[stamp.Serial%uint32(len(e))] }

// remember keeps a call. p is what has already arrived of its event, or nil.
func (c *Correlator) remember(p *pending, record *auditrecord.Record, called *call, line []byte) {
	slot := c.early.slot(record.Stamp)
	if p == nil {
		p = &pending{key: c.keyOf(record), event: c.newEvent(kill.KindSignal, record)}
	}
	p.cut = p.cut || record.Cut
	c.addSyscall(p, record, called)
	c.keepOriginal(p, line)
	*slot = p
	// The event's command line must not be skipped.
	c.passed = passed{}
}

// rememberTitle adds a command line to a remembered call.
func (c *Correlator) rememberTitle(record *auditrecord.Record, line []byte) {
	if p := *c.early.slot(record.Stamp); p != nil && record.Type == auditrecord.TypeProctitle && p.key == c.keyOf(record) {
		p.cut = p.cut || record.Cut
		c.addTitle(p, record)
		c.keepOriginal(p, line)
	}
}

// adopt makes a remembered call a pending event.
func (c *Correlator) adopt(record *auditrecord.Record, at Position) {
	slot := c.early.slot(record.Stamp)
	p := *slot
	if p == nil || p.key != c.keyOf(record) || c.table.byKey[p.key] != nil {
		return
	}
	*slot = nil
	c.others.remove(record)
	c.makeRoom()
	// Reading never starts again before the record that is now the first.
	p.first = at
	c.table.add(p)
}
