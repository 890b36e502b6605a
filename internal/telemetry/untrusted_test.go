// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// hostile begins a line of its own wherever one can be begun, and acts on terminals.
const hostile = "x\ny\r\x1b[2J\x85\u0085\u009b1m\u2028\u2029\u202ez\u2066\u200b\t\x00\xff"

const hostileShown = `x\ny\r\x1b[2J` + "\uFFFD" + `\u0085\u009b1m\u2028\u2029\u202ez\u2066\u200b\t\x00` + "\uFFFD"

// hostileEvent has that in every text that somebody else may choose.
func hostileEvent() *kill.Event {
	user := kill.User{ID: kill.NewID(7), Name: hostile}
	instance := &kill.Instance{
		Start: time.UnixMilli(1450214900000), CommandLine: hostile, Cgroup: hostile, Container: hostile, Pod: hostile, Unit: hostile,
	}
	process := kill.Process{
		PID: 3997, ThreadID: 3998, ParentPID: 1, Command: hostile, Leader: hostile, Executable: hostile, Title: hostile,
		User: user, RealUser: user, SavedUser: user, Login: user, Session: kill.NewID(7), Label: hostile, Original: hostile, Instance: instance,
		Ancestry: []kill.Ancestor{{PID: 5, Command: hostile, Title: hostile}}, ContainerUser: hostile,
	}
	behind := &kill.Behind{
		Evidence: kill.EvidenceInferred, Requester: &process, Initiator: &kill.Ancestor{PID: 6, Command: hostile, Title: hostile}, User: user,
		Session: &kill.Session{ID: hostile, Service: hostile, TTY: hostile, UserName: hostile, Address: hostile, Port: 1}, Unit: hostile, Named: hostile,
	}
	e := &kill.Event{
		Kind: kill.KindOutcome, Time: time.UnixMilli(1450214919813), Signal: kill.SIGTERM, SignalKnown: true, Code: hostile, Syscall: hostile,
		Origin: kill.OriginUser, Sender: process, TargetCount: 1, Source: hostile, File: hostile, Original: hostile,
		Result: kill.Result{Known: true, Errno: 1, Error: "EPERM"}, Cause: kill.CauseDependency, Behind: behind,
		Audit:  kill.Audit{Recorded: true, Keys: []string{hostile, hostile}, TTY: hostile, Subject: hostile, Arch: hostile, Node: hostile},
		Tamper: &kill.Tamper{Action: kill.TamperRuleRemoved, Rule: hostile},
		Outcome: &kill.Outcome{
			Verdict: kill.VerdictExited, Began: time.UnixMilli(1450214919000), LastName: hostile, LastSignal: kill.SIGKILL, Escalated: true,
			LastSender: &process, Signals: []kill.Sent{{Signal: kill.SIGTERM, Sender: &process, Code: hostile, Syscall: hostile, Behind: behind}},
		},
	}
	*e.AddTarget() = process
	e.Targets[0].PID = 3936
	return e
}

// assertSeen asserts that a text has nothing that cannot be seen.
func assertSeen(t *testing.T, where, text string) {
	t.Helper()
	for _, r := range text {
		if !unicode.IsPrint(r) {
			assert.Fail(t, "untrusted text leaves its place", "%s: %q", where, text)
			return
		}
	}
}

func assertAttributesSeen(t *testing.T, attributes pcommon.Map) {
	t.Helper()
	for key, value := range attributes.All() {
		text := value.AsString()
		if key == "log.record.original" {
			text = strings.ReplaceAll(text, "\n", "")
		}
		assertSeen(t, key, text)
		if list, ok := value.AsRaw().([]any); ok {
			assertSeen(t, key, fmt.Sprint(list...))
		}
	}
}

// Whatever a process or the log of another host has in its texts, it is escaped.
func TestUntrustedText(t *testing.T) {
	t.Parallel()
	config := testConfig()
	config.HostID, config.CommandLine = hostile, redact.Full
	config.Resource = DefaultResource(machine.Machine{Name: hostile, ID: hostile})
	for _, kind := range kill.Kinds() {
		e := hostileEvent()
		e.Kind = kind
		l := NewLogs(config)
		l.Append(e, &e.Targets[0], e.Time)
		resource := l.Take().ResourceLogs().At(0)
		assertAttributesSeen(t, resource.Resource().Attributes())
		record := resource.ScopeLogs().At(0).LogRecords().At(0)
		assertSeen(t, string(kind), record.Body().Str())
		assertAttributesSeen(t, record.Attributes())
		got := record.Attributes().AsRaw()
		assert.Equal(t, hostileShown, got["kill.target.name"])
		assert.Equal(t, hostileShown, got["kill.audit.tty"])
		assert.Equal(t, hostileShown, got["kill.session.user.name"])
		assert.Equal(t, strings.ReplaceAll(hostileShown, `\x00`, " "), got["kill.target.title"])
		assert.Equal(t, strings.ReplaceAll(hostileShown, `\n`, "\n")+"\n"+strings.ReplaceAll(hostileShown, `\n`, "\n"),
			got["log.record.original"])
	}
	for _, kind := range []kill.Kind{kill.KindOutcome, kill.KindCall} {
		e := hostileEvent()
		e.Kind = kind
		traces := NewTraces(config)
		traces.Append(e)
		resource := traces.Take().ResourceSpans().At(0)
		assertAttributesSeen(t, resource.Resource().Attributes())
		span := resource.ScopeSpans().At(0).Spans().At(0)
		assertSeen(t, "name", span.Name())
		assertSeen(t, "status", span.Status().Message())
		assertAttributesSeen(t, span.Attributes())
		for _, event := range span.Events().All() {
			assertSeen(t, "event", event.Name())
			assertAttributesSeen(t, event.Attributes())
		}
	}
}

// A process may call itself a sentence. It is then seen to be a name.
func TestNamesInSentences(t *testing.T) {
	t.Parallel()
	const forged = "mysqld[1] (/usr/sbin/mysqld, uid 0) sent SIGKILL to x"
	for name, tt := range map[string]struct {
		change func(*kill.Event)
		want   string
	}{
		"sender": {
			func(e *kill.Event) { e.Sender.Command = forged },
			`"` + forged + `"[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGRTMIN+3 to mysqld[3936]: EPERM`,
		},
		"executable": {
			func(e *kill.Event) { e.Sender.Executable = "/tmp/x, uid 0) sent SIGKILL to y" },
			`mykill[3997] ("/tmp/x, uid 0) sent SIGKILL to y", uid 0, login 500) sent SIGRTMIN+3 to mysqld[3936]: EPERM`,
		},
		"target": {
			func(e *kill.Event) { e.Targets[0].Command = `a" "b: EPERM` },
			`mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGRTMIN+3 to "a\" \"b: EPERM"[3936]: EPERM`,
		},
		"ordinary names": {
			func(e *kill.Event) { e.Sender.Command, e.Targets[0].Command = "kworker/u8:2", "Web Content" },
			`kworker/u8:2[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGRTMIN+3 to "Web Content"[3936]: EPERM`,
		},
		"escapes": {
			func(e *kill.Event) {
				e.Sender.Command, e.Sender.Executable, e.Targets[0].Command = "\x1b[2J\n\xff", "/tmp/a\x00b", "naïve ✓"
			},
			`"\x1b[2J\n` + "\uFFFD" + `"[3997] ("/tmp/a\x00b", uid 0, login 500) sent SIGRTMIN+3 to "naïve ✓"[3936]: EPERM`,
		},
		"megabytes": {
			func(e *kill.Event) {
				e.Sender.Command, e.Sender.Executable = strings.Repeat("x", 1<<20), strings.Repeat("/y", 1<<20)
			},
			strings.Repeat("x", 64) + "…[3997] (" + strings.Repeat("/y", 256) + "…, uid 0, login 500) sent SIGRTMIN+3 to mysqld[3936]: EPERM",
		},
		"key of a rule": {
			func(e *kill.Event) {
				e.Targets, e.Kind, e.Tamper = nil, kill.KindTamper, &kill.Tamper{Action: kill.TamperRuleRemoved}
				e.Audit.Keys = []string{"audit_kill", "a: EPERM"}
			},
			`mykill[3997] (/opt/bin/mykill, uid 0, login 500) tried to remove an audit rule with the keys audit_kill, "a: EPERM": EPERM`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fullEvent()
			tt.change(e)
			require.Equal(t, tt.want, convert(testConfig(), e).Body().Str())
		})
	}
}

// Units, and whoever looks for them, have backslashes that are no escapes.
func TestBackslashes(t *testing.T) {
	t.Parallel()
	e := tracedEvent()
	e.Targets[0].Instance.Unit = `dm\x2dcrypt.service`
	e.Targets[0].Instance.CommandLine = "printf\x00" + `a\n` + "\x00b\n"
	got := convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, `dm\x2dcrypt.service`, got["kill.target.systemd.unit"])
	assert.Equal(t, `printf a\\n b\n`, got["kill.target.title"])
}
