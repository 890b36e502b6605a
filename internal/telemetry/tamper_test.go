// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// tamper is a rule removed with auditctl.
func tamper() *kill.Event {
	return &kill.Event{
		Kind: kill.KindTamper, Time: time.UnixMilli(1450214919813), Tamper: &kill.Tamper{Action: kill.TamperRuleRemoved},
		Result: kill.Success(), TargetCount: -1,
		Sender: kill.Process{
			PID: 123, ParentPID: 99, Command: "auditctl", Executable: "/usr/sbin/auditctl", Title: "auditctl\x00-D\x00",
			User: user(0, "root"), RealUser: user(0, "root"), SavedUser: user(0, "root"), Login: user(500, "ann"), Session: kill.NewID(7),
		},
		Audit:    kill.Audit{Recorded: true, Serial: 148, Keys: []string{"audit_kill"}, TTY: "pts3", Arch: "x86_64"},
		Complete: true, Source: "audit_multicast",
	}
}

func TestTamper(t *testing.T) {
	t.Parallel()
	record := convert(testConfig(), tamper())
	assert.Equal(t, "kill.tamper", record.EventName())
	assert.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
	got := record.Attributes().AsRaw()
	assert.Len(t, got["log.record.uid"], 32)
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":         "kill.tamper",
		"kill.tamper.action": "rule_removed", "kill.result": "success",
		"process.pid": int64(123), "process.parent_pid": int64(99), "process.command": "auditctl",
		"process.executable.path": "/usr/sbin/auditctl", "process.executable.name": "auditctl", "process.title": "auditctl -D",
		"process.user.id": int64(0), "process.user.name": "root", "process.real_user.id": int64(0), "process.real_user.name": "root",
		"process.saved_user.id": int64(0), "process.saved_user.name": "root", "user.id": "500", "user.name": "ann",
		"kill.sender.audit.user.id": int64(500),
		"kill.audit.serial":         int64(148), "kill.audit.session.id": int64(7), "kill.audit.key": []any{"audit_kill"},
		"kill.audit.tty": "pts3", "kill.audit.arch": "x86_64", "kill.complete": true, "kill.source": "audit_multicast",
	}, got)
}

// What the receiver itself does has neither a sender nor a serial number.
func TestRestoredRule(t *testing.T) {
	t.Parallel()
	e := kill.RestoredRule(time.UnixMilli(1450214919813), "-a always,exit -F arch=b64 -S kill -k audit_kill", "audit_kill")
	e.Source = "audit_unicast"
	record := convert(testConfig(), e)
	assert.Equal(t, "kill.tamper", record.EventName())
	assert.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
	assert.Equal(t, "put back an audit rule that was missing: -a always,exit -F arch=b64 -S kill -k audit_kill", record.Body().Str())
	assert.Equal(t, time.UnixMilli(1450214919813).UTC(), record.Timestamp().AsTime())
	got := record.Attributes().AsRaw()
	assert.Len(t, got["log.record.uid"], 32)
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":         "kill.tamper",
		"kill.tamper.action": "rule_restored", "kill.tamper.rule": "-a always,exit -F arch=b64 -S kill -k audit_kill",
		"kill.result": "success", "kill.audit.key": []any{"audit_kill"}, "kill.complete": true, "kill.source": "audit_unicast",
	}, got)
}

func TestTamperSentence(t *testing.T) {
	t.Parallel()
	const who = "auditctl[123] (/usr/sbin/auditctl, uid 0, login 500) "
	refused := kill.Result{Known: true, Errno: -1, Error: "EPERM"}
	daemon := func(pid int) func(*kill.Event) { return func(e *kill.Event) { e.AddTarget().PID = pid } }
	tests := map[string]struct {
		action kill.TamperAction
		result kill.Result
		edit   func(*kill.Event)
		want   string
	}{
		"rule removed": {kill.TamperRuleRemoved, kill.Success(), nil, who + "removed an audit rule with the key audit_kill"},
		"rule removed, two keys": {
			kill.TamperRuleRemoved, kill.Success(), func(e *kill.Event) { e.Audit.Keys = []string{"other\n", "audit_kill"} },
			who + `removed an audit rule with the keys "other\n", audit_kill`,
		},
		"rule removed, key lost": {
			kill.TamperRuleRemoved, kill.Result{}, func(e *kill.Event) { e.Audit.Keys = nil }, who + "removed an audit rule",
		},
		"rule not removed": {
			kill.TamperRuleRemoved, kill.Result{Known: true, Errno: -1}, nil, who + "tried to remove an audit rule with the key audit_kill",
		},
		"rule not removed, locked": {
			kill.TamperRuleRemoved, refused, func(e *kill.Event) { e.Audit.Keys = nil }, who + "tried to remove an audit rule: EPERM",
		},
		"disabled":     {kill.TamperAuditDisabled, kill.Success(), noKeys, who + "turned auditing off"},
		"not disabled": {kill.TamperAuditDisabled, refused, noKeys, who + "tried to turn auditing off: EPERM"},
		"locked":       {kill.TamperAuditLocked, kill.Success(), noKeys, who + "locked the audit configuration until the next boot"},
		"not locked":   {kill.TamperAuditLocked, refused, noKeys, who + "tried to lock the audit configuration until the next boot: EPERM"},
		"daemon told to stop": {
			kill.TamperDaemonStopped, kill.Success(), func(e *kill.Event) {
				e.Audit.Keys, e.Sender = nil, kill.Process{PID: 1, User: user(0, "")}
			}, "?[1] (uid 0) stopped the audit daemon",
		},
		"daemon told to stop, by nobody known": {
			kill.TamperDaemonStopped, kill.Success(), func(e *kill.Event) { e.Audit.Keys, e.Sender = nil, kill.Process{} },
			"an unknown process stopped the audit daemon",
		},
		"daemon signed off by another": {
			kill.TamperDaemonStopped, refused, func(e *kill.Event) { noKeys(e); daemon(77)(e) },
			who + "tried to stop the audit daemon, pid 77: EPERM",
		},
		"daemon signed off": {
			kill.TamperDaemonStopped, kill.Success(), func(e *kill.Event) { noKeys(e); daemon(123)(e) },
			who + "stopped as the audit daemon",
		},
		"rule shadowed": {
			kill.TamperRuleShadowed, kill.Success(), rule("-a never,exit -S kill"),
			who + "added an audit rule that keeps signals from being recorded: -a never,exit -S kill",
		},
		"rule shadowed, by nobody known": {
			kill.TamperRuleShadowed, kill.Success(), found(rule("-a never,exit -S kill")),
			"an audit rule keeps signals from being recorded: -a never,exit -S kill",
		},
		"records excluded": {
			kill.TamperRecordTypeExcluded, kill.Success(), rule("-a always,exclude -F msgtype=OBJ_PID"),
			who + "added an audit rule that drops records that tell of signals, or of changes of the rules: " +
				"-a always,exclude -F msgtype=OBJ_PID",
		},
		"records excluded, by nobody known": {
			kill.TamperRecordTypeExcluded, kill.Success(), found(rule("-a always,exclude -F msgtype=OBJ_PID")),
			"an audit rule drops records that tell of signals, or of changes of the rules: -a always,exclude -F msgtype=OBJ_PID",
		},
		"rate limited": {
			kill.TamperRateLimited, kill.Success(), rule("-r 5"),
			who + "limited the rate of audit records, beyond which the kernel drops them: -r 5",
		},
		"rate not limited": {
			kill.TamperRateLimited, refused, rule("-r 5"), who + "tried to limit the rate of audit records: -r 5: EPERM",
		},
		"rate limited, by nobody known": {
			kill.TamperRateLimited, kill.Success(), found(rule("-r 5")),
			"the kernel may drop audit records, because their rate is limited: -r 5",
		},
		"backlog limited": {
			kill.TamperBacklogLimited, kill.Success(), rule("-b 1"),
			who + "limited how many audit records the kernel holds, beyond which it drops them: -b 1",
		},
		"backlog limited, by nobody known": {
			kill.TamperBacklogLimited, kill.Success(), found(rule("-b 1")),
			"the kernel may drop audit records, because it holds only a few: -b 1",
		},
		"disabled, by nobody known": {kill.TamperAuditDisabled, kill.Success(), found(noKeys), "auditing is turned off"},
		"collector stopped": {
			kill.TamperCollectorStopped, kill.Success(),
			found(func(e *kill.Event) { noKeys(e); e.Tamper.Duration = 12345 * time.Millisecond }),
			"the collector did not run for 12.3s; signals sent meanwhile may be reported late or be missing",
		},
		"program detached": {
			kill.TamperProgramDetached, kill.Success(), found(rule("generate")),
			"a program that reports signals from the kernel is detached: generate",
		},
		"program modified": {
			kill.TamperProgramModified, kill.Success(), found(rule("targets")),
			"what the programs in the kernel work with was changed: targets",
		},
		"rule not put back": {
			kill.TamperRuleRestored, refused, func(e *kill.Event) { e.Tamper.Rule, e.Sender = "-a x", kill.Process{} },
			"tried to put back an audit rule that was missing: -a x: EPERM",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := tamper()
			e.Tamper.Action, e.Result = tt.action, tt.result
			if tt.edit != nil {
				tt.edit(e)
			}
			record := convert(testConfig(), e)
			assert.Equal(t, tt.want, record.Body().Str())
			assert.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
			if len(e.Targets) > 0 {
				assert.Equal(t, int64(e.Targets[0].PID), record.Attributes().AsRaw()["kill.target.pid"])
			}
		})
	}
}

// rule names the rule or setting.
func rule(text string) func(*kill.Event) {
	return func(e *kill.Event) {
		noKeys(e)
		e.Tamper.Rule = text
	}
}

// found is what nobody was seen to do.
func found(edit func(*kill.Event)) func(*kill.Event) {
	return func(e *kill.Event) {
		edit(e)
		e.Sender, e.Audit = kill.Process{}, kill.Audit{}
	}
}

func noKeys(e *kill.Event) { e.Audit.Keys = nil }

// One call may do several things, and several rules may be put back at the same time. Each has
// the same uid when it is read again.
func TestTamperUID(t *testing.T) {
	t.Parallel()
	uid := func(edit func(*kill.Event)) any {
		e := tamper()
		edit(e)
		return convert(testConfig(), e).Attributes().AsRaw()["log.record.uid"]
	}
	first := uid(func(*kill.Event) {})
	assert.Equal(t, first, uid(func(e *kill.Event) { e.Sender, e.Complete, e.Source = kill.Process{}, false, "audit_file" }))
	seen := map[any]string{first: "first"}
	for name, edit := range map[string]func(*kill.Event){
		"another action": func(e *kill.Event) { e.Tamper.Action = kill.TamperAuditDisabled },
		"another serial": func(e *kill.Event) { e.Audit.Serial++ },
		"a rule":         func(e *kill.Event) { e.Tamper.Rule = "-a x" },
		"another rule":   func(e *kill.Event) { e.Tamper.Rule = "-a y" },
		"another time":   func(e *kill.Event) { e.Time = e.Time.Add(time.Millisecond) },
	} {
		got := uid(edit)
		assert.NotContains(t, seen, got, name)
		seen[got] = name
	}
}
