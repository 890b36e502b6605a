// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// alice has logged in from another host, and asked systemd for a restart.
func alice() *kill.Behind {
	return &kill.Behind{
		Managed: true, Evidence: kill.EvidenceObserved,
		Requester: &kill.Process{
			PID: 136, ParentPID: 135, Command: "systemctl", Executable: "/usr/bin/systemctl", Title: "systemctl\x00restart\x00mariadb\x00",
			User: user(0, "root"), Login: user(1000, "alice"), Instance: &kill.Instance{Unit: "session-21.scope", Container: container},
			Ancestry: []kill.Ancestor{{PID: 135, Command: "sudo", Title: "sudo\x00systemctl\x00restart\x00mariadb\x00"}, {PID: 99}},
		},
		Initiator: &kill.Ancestor{PID: 77, Command: "ansible-playbook", Title: "ansible-playbook\x00--password=hunter2\x00site.yml\x00"},
		User:      user(1000, "alice"),
		Session: &kill.Session{
			ID: "21", Service: "sshd", TTY: "pts/0", UserName: "alice", Address: "10.0.0.5", Port: 50022,
		},
		Unit: "mariadb.service",
	}
}

// managedEvent is a signal of systemd's that alice has asked for.
func managedEvent(change func(*kill.Event)) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.UnixMilli(1450214919813), Signal: kill.SIGTERM, SignalKnown: true, Origin: kill.OriginUser,
		Cause: kill.CauseServiceRestart, Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: 1, Complete: true, Source: "ebpf",
		Sender: kill.Process{PID: 1, Command: "systemd", Executable: "/usr/lib/systemd/systemd", User: user(0, "root")},
		Behind: alice(),
	}
	*e.AddTarget() = kill.Process{PID: 5932, Command: "mariadbd"}
	change(e)
	return e
}

func TestBehind(t *testing.T) {
	t.Parallel()
	e := managedEvent(func(e *kill.Event) {
		e.Sender.Login = user(7, "operator")
		e.Sender.Ancestry = []kill.Ancestor{{PID: 9, Command: "sh"}, {PID: 8, Command: "sh", Title: "sh\x00-c\x00x\x00"}}
	})
	record := convert(testConfig(), e)
	got := record.Attributes().AsRaw()
	assert.Len(t, got["log.record.uid"], 32)
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":         "kill.signal",
		"kill.signal.number": int64(15), "kill.signal.name": "SIGTERM", "kill.origin": "user", "kill.scope": "process",
		"kill.result": "success", "kill.target.count": int64(1), "kill.target.pid": int64(5932), "kill.target.name": "mariadbd",
		"process.pid": int64(1), "process.command": "systemd", "process.executable.path": "/usr/lib/systemd/systemd",
		"process.executable.name": "systemd", "process.user.id": int64(0), "process.user.name": "root",
		"kill.sender.audit.user.id": int64(7),
		"kill.sender.ancestry":      []any{"sh[9]", "sh[8]"}, "kill.sender.ancestry_titles": []any{"", "sh -c x"},
		"kill.cause": "service_restart", "kill.evidence": "observed",
		"kill.requester.pid": int64(136), "kill.requester.parent_pid": int64(135), "kill.requester.name": "systemctl",
		"kill.requester.executable.path": "/usr/bin/systemctl", "kill.requester.title": "systemctl restart mariadb",
		"kill.requester.user.id": int64(0), "kill.requester.user.name": "root",
		"kill.requester.systemd.unit": "session-21.scope", "kill.requester.container.id": container,
		"kill.requester.ancestry": []any{"sudo[135]", "?[99]"}, "kill.requester.ancestry_titles": []any{"sudo systemctl restart mariadb", ""},
		"kill.initiator.pid": int64(77), "kill.initiator.name": "ansible-playbook",
		"kill.initiator.title": "ansible-playbook --password=*** site.yml",
		"user.id":              "1000", "user.name": "alice", "client.address": "10.0.0.5", "client.port": int64(50022),
		"kill.session.id": "21", "kill.session.service": "sshd", "kill.session.tty": "pts/0", "kill.session.user.name": "alice",
		"kill.complete": true, "kill.source": "ebpf",
	}, got)
}

// Whoever asked may be in a container: his path is another file, and his name is not the host's.
func TestRequesterElsewhere(t *testing.T) {
	t.Parallel()
	e := managedEvent(func(e *kill.Event) {
		e.Behind.Requester.Home.Program, e.Behind.Requester.ContainerUser = kill.WhoseOther, "web"
		e.Behind.Candidates = 3
	})
	got := convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, "other", got["kill.requester.mount_namespace"])
	assert.Equal(t, "web", got["kill.requester.container.user.name"])
	assert.Equal(t, int64(3), got["kill.requester.candidates"])
}

// user.* is the person behind a signal, never the login of a manager.
func TestPerson(t *testing.T) {
	t.Parallel()
	operator := user(7, "operator")
	for name, tt := range map[string]struct {
		behind *kill.Behind
		want   [2]any
	}{
		"nothing more is known":      {nil, [2]any{"7", "operator"}},
		"manager":                    {&kill.Behind{Managed: true}, [2]any{}},
		"manager, asked by somebody": {&kill.Behind{Managed: true, User: user(1000, "alice")}, [2]any{"1000", "alice"}},
		"manager, user without name": {&kill.Behind{Managed: true, User: user(1000, "")}, [2]any{"1000", nil}},
		"person":                     {&kill.Behind{User: user(1000, "alice")}, [2]any{"1000", "alice"}},
		"session alone":              {&kill.Behind{Session: &kill.Session{ID: "7"}}, [2]any{"7", "operator"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := managedEvent(func(e *kill.Event) { e.Behind, e.Sender.Login = tt.behind, operator })
			got := convert(testConfig(), e).Attributes().AsRaw()
			assert.Equal(t, tt.want, [2]any{got["user.id"], got["user.name"]})
			assert.Equal(t, int64(7), got["kill.sender.audit.user.id"])
		})
	}
}

// The kernel's report of a death has no sender, but somebody may be behind it.
func TestBehindAbend(t *testing.T) {
	t.Parallel()
	e := managedEvent(func(e *kill.Event) { e.Kind, e.Cause, e.Origin = kill.KindAbend, kill.CauseCrash, kill.OriginKernel })
	got := convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, "alice", got["user.name"])
	assert.Equal(t, "10.0.0.5", got["client.address"])
	assert.NotContains(t, got, "process.pid")
}

func TestAncestryTitles(t *testing.T) {
	t.Parallel()
	for policy, want := range map[redact.Policy]any{
		redact.Redacted: []any{"", "mysql -p***", ""},
		redact.Program:  []any{"", "mysql", ""},
		redact.Full:     []any{"", "mysql -phunter2", ""},
		redact.Off:      nil,
	} {
		config := testConfig()
		config.CommandLine = policy
		e := managedEvent(func(e *kill.Event) {
			e.Sender.Ancestry = []kill.Ancestor{{PID: 3, Command: "a"}, {PID: 2, Command: "b", Title: "mysql\x00-phunter2\x00"}, {PID: 1}}
			e.Behind.Requester.Ancestry = e.Sender.Ancestry
		})
		got := convert(config, e).Attributes().AsRaw()
		assert.Equal(t, want, got["kill.sender.ancestry_titles"], policy)
		assert.Equal(t, want, got["kill.requester.ancestry_titles"], policy)
		assert.Len(t, got["kill.sender.ancestry"], 3)
		e.Sender.Ancestry[1].Title = ""
		assert.NotContains(t, convert(config, e).Attributes().AsRaw(), "kill.sender.ancestry_titles", "none is known")
	}
}

// A title is as much of a secret in the body as in an attribute.
func TestTitlesInBody(t *testing.T) {
	t.Parallel()
	for policy, want := range map[redact.Policy]string{
		redact.Redacted: "begun by ansible-playbook[77] (ansible-playbook --password=*** site.yml)",
		redact.Program:  "begun by ansible-playbook[77] (ansible-playbook)",
		redact.Full:     "begun by ansible-playbook[77] (ansible-playbook --password=hunter2 site.yml)",
		redact.Off:      "begun by ansible-playbook[77]",
	} {
		config := testConfig()
		config.CommandLine = policy
		body := convert(config, managedEvent(func(*kill.Event) {})).Body().Str()
		assert.True(t, strings.HasSuffix(body, want), body)
	}
}

// Records and spans get the same ids whether or not it is known who is behind a signal.
func TestUIDWithoutBehind(t *testing.T) {
	t.Parallel()
	uid := func(e *kill.Event) any { return convert(testConfig(), e).Attributes().AsRaw()["log.record.uid"] }
	known := func(*kill.Event) {}
	unknown := func(e *kill.Event) { e.Behind, e.Cause = nil, kill.CauseNone }
	assert.Equal(t, uid(managedEvent(known)), uid(managedEvent(unknown)))
	recorded := func(e *kill.Event) { e.Audit.Recorded, e.Audit.Serial = true, 7 }
	assert.Equal(t, uid(managedEvent(recorded)), uid(managedEvent(func(e *kill.Event) { recorded(e); unknown(e) })))
	assert.Equal(t, uid(outcomeEvent(known)), uid(outcomeEvent(func(e *kill.Event) { e.Behind, e.Cause = alice(), kill.CauseServiceStop })))
}

// A span and its events say the same as the log records.
func TestBehindInTraces(t *testing.T) {
	t.Parallel()
	e := outcomeEvent(func(e *kill.Event) {
		e.Behind, e.Cause = alice(), kill.CauseServiceRestart
		e.Outcome.LastCause = kill.CauseStopTimeout
		e.Outcome.Signals[0].Behind, e.Outcome.Signals[0].Cause = e.Behind, e.Cause
		e.Outcome.Signals = append(e.Outcome.Signals, kill.Sent{Signal: kill.SIGKILL, Sender: e.Outcome.LastSender, Cause: kill.CauseStopTimeout})
	})
	traces := NewTraces(testConfig())
	traces.Append(e)
	span := traces.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	record := convert(testConfig(), e).Attributes().AsRaw()
	require.Equal(t, 2, span.Events().Len())
	first, second := span.Events().At(0).Attributes().AsRaw(), span.Events().At(1).Attributes().AsRaw()
	for _, key := range []string{
		"kill.cause", "kill.evidence", "kill.requester.pid", "kill.requester.title", "kill.requester.ancestry_titles", "kill.initiator.title",
		"user.id", "user.name", "client.address", "client.port", "kill.session.id",
	} {
		require.Contains(t, record, key)
		assert.Equal(t, record[key], span.Attributes().AsRaw()[key], key)
		assert.Equal(t, record[key], first[key], key)
		if key != "kill.cause" {
			assert.NotContains(t, second, key)
		}
	}
	assert.Equal(t, "stop_timeout", second["kill.cause"])
	assert.Equal(t, "stop_timeout", record["kill.last_cause"])
	assert.Equal(t, "stop_timeout", span.Attributes().AsRaw()["kill.last_cause"])

	e.Kind = kill.KindCall
	traces.Append(e)
	span = traces.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	assert.Equal(t, "systemctl", span.Attributes().AsRaw()["kill.requester.name"])
}

func BenchmarkAppendBehind(b *testing.B) {
	l := NewLogs(testConfig())
	e := managedEvent(func(*kill.Event) {})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e, &e.Targets[0], now)
		if l.Len() == 512 {
			l.Take()
		}
	}
}
