// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

func testConfig() Config {
	return Config{
		Resource: DefaultResource(machine.Machine{Name: "db1", ID: "0123", OS: "linux"}), HostID: "0123", ScopeName: "scope", ScopeVersion: "1.0", CommandLine: redact.Redacted,
	}
}

func user(id uint32, name string) kill.User { return kill.User{ID: kill.NewID(id), Name: name} }

// fullEvent has a value in every field.
func fullEvent() *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.UnixMilli(1450214919813), Signal: 37, SignalKnown: true, Syscall: "tgkill",
		Origin: kill.OriginUser, Scope: kill.ScopeThread, Result: kill.Result{Known: true, Errno: 1, Error: "EPERM"}, Requested: 3936,
		Sender: kill.Process{
			PID: 3997, ParentPID: 3649, Command: "mykill", Executable: "/opt/bin/mykill", Title: "mykill\x00-phunter2\x00",
			User: user(0, "root"), RealUser: user(500, "ann"), SavedUser: user(1, "bin"), Login: user(500, "ann"),
			Session: kill.NewID(7), Label: "subject",
		},
		TargetCount: 1,
		Audit: kill.Audit{
			Recorded: true,
			Serial:   148, Keys: []string{"audit_kill", "other"}, TTY: "pts3", Subject: "subject", Arch: "x86_64", Node: "n1",
		},
		Complete: true, Source: "audit_file", File: "/var/log/audit/audit.log", Original: "type=PROCTITLE msg=x: proctitle=41",
	}
	*e.AddTarget() = kill.Process{
		PID: 3936, Command: "mysqld", Executable: "/usr/sbin/mysqld", User: user(102, "mysql"), Login: user(501, ""),
		Session: kill.NewID(8), Label: "object",
	}
	return e
}

func convert(config Config, e *kill.Event) plog.LogRecord {
	l := NewLogs(config)
	var target *kill.Process
	if len(e.Targets) > 0 {
		target = &e.Targets[0]
	}
	l.Append(e, target, time.UnixMilli(1450214920000))
	return l.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

func TestAppend(t *testing.T) {
	t.Parallel()
	record := convert(testConfig(), fullEvent())
	assert.Equal(t, "kill.signal", record.EventName())
	assert.Equal(t, "2015-12-15T21:28:39.813Z", record.Timestamp().AsTime().Format("2006-01-02T15:04:05.000Z"))
	assert.Equal(t, time.UnixMilli(1450214920000).UTC(), record.ObservedTimestamp().AsTime())
	assert.Equal(t, plog.SeverityNumberInfo, record.SeverityNumber())
	assert.Equal(t, "mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGRTMIN+3 to mysqld[3936]: EPERM", record.Body().Str())
	want := map[string]any{
		"event.name":         "kill.signal",
		"kill.signal.number": int64(37), "kill.signal.name": "SIGRTMIN+3", "kill.syscall": "tgkill", "kill.origin": "user",
		"kill.scope": "thread", "kill.result": "failure", "error.type": "EPERM", "kill.target.count": int64(1),
		"kill.target.pid": int64(3936), "kill.target.name": "mysqld", "kill.target.executable.path": "/usr/sbin/mysqld",
		"kill.target.user.id": int64(102), "kill.target.user.name": "mysql", "kill.target.audit.user.id": int64(501),
		"kill.target.audit.session.id": int64(8), "kill.target.selinux.label": "object",
		"process.pid": int64(3997), "process.parent_pid": int64(3649), "process.command": "mykill",
		"process.executable.path": "/opt/bin/mykill", "process.executable.name": "mykill", "process.title": "mykill -p***",
		"process.user.id": int64(0), "process.user.name": "root", "process.real_user.id": int64(500), "process.real_user.name": "ann",
		"process.saved_user.id": int64(1), "process.saved_user.name": "bin", "user.id": "500", "user.name": "ann",
		"kill.sender.audit.user.id": int64(500),
		"kill.audit.serial":         int64(148), "kill.audit.session.id": int64(7), "kill.audit.key": []any{"audit_kill", "other"},
		"kill.audit.tty": "pts3", "kill.audit.subject": "subject", "kill.audit.arch": "x86_64", "kill.audit.node": "n1",
		"kill.complete": true, "kill.source": "audit_file", "log.file.path": "/var/log/audit/audit.log",
		"log.record.original": "type=PROCTITLE msg=x: proctitle=***",
	}
	got := record.Attributes().AsRaw()
	assert.Len(t, got["log.record.uid"], 32)
	delete(got, "log.record.uid")
	assert.Equal(t, want, got)
}

// Unknown values are left out: root and "no user" are not the same.
func TestAppendUnknown(t *testing.T) {
	t.Parallel()
	e := &kill.Event{Kind: kill.KindSignal, Time: time.UnixMilli(1), Origin: kill.OriginUser, TargetCount: -1, Source: "audit_file"}
	record := convert(testConfig(), e)
	got := record.Attributes().AsRaw()
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":  "kill.signal",
		"kill.origin": "user", "kill.complete": false, "kill.source": "audit_file", "kill.result": "unknown",
	}, got)
	assert.Equal(t, "an unknown process sent an unknown signal to an unknown process", record.Body().Str())
	assert.Equal(t, plog.SeverityNumberInfo, record.SeverityNumber())
}

func TestTargetThatDoesNotExist(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		syscall string
		scope   kill.Scope
		pid     any
		body    string
	}{
		"process":           {"kill", kill.ScopeProcess, int64(77), "pid 77"},
		"queued":            {"rt_sigqueueinfo", kill.ScopeProcess, int64(77), "pid 77"},
		"thread of process": {"tgkill", kill.ScopeThread, int64(77), "thread 77"},
		"thread":            {"tkill", kill.ScopeThread, nil, "thread 77"},
		"group":             {"kill", kill.ScopeProcessGroup, nil, "process group 77"},
		"own group":         {"kill", kill.ScopeOwnProcessGroup, nil, "its own process group"},
		"all":               {"kill", kill.ScopeAll, nil, "all processes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fullEvent()
			e.Targets, e.TargetCount, e.Requested = nil, 0, 77
			e.Syscall, e.Scope, e.Result.Error = tt.syscall, tt.scope, "ESRCH"
			record := convert(testConfig(), e)
			assert.Equal(t, tt.pid, record.Attributes().AsRaw()["kill.target.pid"])
			assert.Equal(t, int64(0), record.Attributes().AsRaw()["kill.target.count"])
			assert.Equal(t, "mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGRTMIN+3 to "+tt.body+": ESRCH", record.Body().Str())
		})
	}
}

// A sender in a container means another process by a pid, and another program by a path.
func TestSenderElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := kill.Home{Users: kill.WhoseOther, Program: kill.WhoseOther, PIDs: kill.WhoseOther}
	e := fullEvent()
	e.Syscall, e.Scope, e.Requested = "kill", kill.ScopeProcess, 77
	e.Sender.Home, e.Sender.ContainerUser = elsewhere, "web"
	e.Targets[0].Home, e.Targets[0].ContainerUser = elsewhere, "db"
	record := convert(testConfig(), e)
	got := record.Attributes().AsRaw()
	assert.Equal(t, int64(3936), got["kill.target.pid"])
	assert.Equal(t, int64(77), got["kill.target.vpid"])
	assert.Equal(t, "other", got["kill.sender.mount_namespace"])
	assert.Equal(t, "/opt/bin/mykill", got["process.executable.path"], "what it is there")
	assert.Equal(t, "web", got["kill.sender.container.user.name"])
	assert.Equal(t, "db", got["kill.target.container.user.name"])
	assert.Contains(t, record.Body().Str(), "(/opt/bin/mykill of another mount namespace, uid 0")

	e.Targets, e.TargetCount, e.Result.Error = nil, 0, "ESRCH"
	record = convert(testConfig(), e)
	got = record.Attributes().AsRaw()
	assert.NotContains(t, got, "kill.target.pid", "that is a process of the host")
	assert.Equal(t, int64(77), got["kill.target.vpid"])
	assert.Contains(t, record.Body().Str(), "to pid 77 of its pid namespace: ESRCH")

	e.Scope, e.Sender.Executable = kill.ScopeProcessGroup, ""
	got = convert(testConfig(), e).Attributes().AsRaw()
	assert.NotContains(t, got, "kill.target.vpid", "a group is no process")
	assert.NotContains(t, got, "kill.sender.mount_namespace", "there is no path")
}

func TestAbend(t *testing.T) {
	t.Parallel()
	e := &kill.Event{
		Kind: kill.KindAbend, Time: time.UnixMilli(1), Signal: kill.SIGSEGV, SignalKnown: true, Origin: kill.OriginKernel,
		Cause: kill.CauseCrash, Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: 1, Complete: true, Source: "audit_file",
	}
	*e.AddTarget() = kill.Process{PID: 5, Command: "mysqld", Executable: "/usr/sbin/mysqld", User: user(102, "")}
	record := convert(testConfig(), e)
	assert.Equal(t, "kill.abend", record.EventName())
	assert.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
	assert.Equal(t, "mysqld[5] (/usr/sbin/mysqld, uid 102) died of SIGSEGV", record.Body().Str())
	got := record.Attributes().AsRaw()
	assert.Equal(t, "crash", got["kill.cause"])
	assert.Equal(t, "kernel", got["kill.origin"])
	assert.Equal(t, "success", got["kill.result"])
	assert.NotContains(t, got, "process.pid", "there is no sender")

	e.Cause, e.Signal = kill.CauseSeccomp, kill.SIGSYS
	assert.Equal(t, "mysqld[5] (/usr/sbin/mysqld, uid 102) was killed by seccomp with SIGSYS", convert(testConfig(), e).Body().Str())
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal kill.Signal
		result kill.Result
		want   plog.SeverityNumber
	}{
		"fatal":           {kill.SIGKILL, kill.Success(), plog.SeverityNumberWarn},
		"fatal, refused":  {kill.SIGKILL, kill.Result{Known: true, Errno: 1}, plog.SeverityNumberInfo},
		"fatal, unknown":  {kill.SIGKILL, kill.Result{}, plog.SeverityNumberWarn},
		"not fatal":       {kill.SIGSTOP, kill.Success(), plog.SeverityNumberInfo},
		"probe":           {0, kill.Success(), plog.SeverityNumberDebug},
		"probe, refused":  {0, kill.Result{Known: true, Errno: 3}, plog.SeverityNumberDebug},
		"invalid, failed": {99, kill.Result{Known: true, Errno: 22}, plog.SeverityNumberInfo},
	} {
		e := fullEvent()
		e.Signal, e.Result = tt.signal, tt.result
		assert.Equal(t, tt.want, convert(testConfig(), e).SeverityNumber(), name)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for mode, want := range map[redact.Policy][2]any{
		redact.Redacted: {"mykill -p***", "type=PROCTITLE msg=x: proctitle=***"},
		redact.Program:  {"mykill", "type=PROCTITLE msg=x: proctitle=***"},
		redact.Full:     {"mykill -phunter2", "type=PROCTITLE msg=x: proctitle=41"},
		redact.Off:      {nil, "type=PROCTITLE msg=x: proctitle=***"},
	} {
		config := testConfig()
		config.CommandLine = mode
		got := convert(config, fullEvent()).Attributes().AsRaw()
		assert.Equal(t, want[0], got["process.title"], mode)
		assert.Equal(t, want[1], got["log.record.original"], mode)
	}
}

func TestUID(t *testing.T) {
	t.Parallel()
	uid := func(config Config, edit func(*kill.Event)) any {
		e := fullEvent()
		edit(e)
		return convert(config, e).Attributes().AsRaw()["log.record.uid"]
	}
	nothing := func(*kill.Event) {}
	first := uid(testConfig(), nothing)
	for name, edit := range map[string]func(*kill.Event){
		"again":            nothing,
		"renamed file":     func(e *kill.Event) { e.File += ".1" },
		"another source":   func(e *kill.Event) { e.Source = "audit_multicast" },
		"incomplete":       func(e *kill.Event) { e.Complete, e.Sender = false, kill.Process{} },
		"user name known":  func(e *kill.Event) { e.Sender.User.Name = "toor" },
		"fewer wanted":     func(e *kill.Event) { e.TargetCount = 7 },
		"target learned":   func(e *kill.Event) { e.Targets = nil },
		"without original": func(e *kill.Event) { e.Original = "" },
	} {
		assert.Equal(t, first, uid(testConfig(), edit), name)
	}
	logged := func(id string, at time.Duration) any {
		return uid(testConfig(), func(e *kill.Event) {
			e.Audit, e.LogRecord, e.Time = kill.Audit{}, id, e.Time.Add(at)
		})
	}
	assert.Equal(t, logged("boot/7", 0), logged("boot/7", time.Millisecond), "read again from the kernel's log")
	assert.NotEqual(t, logged("boot/7", 0), logged("boot/8", 0))
	other := testConfig()
	other.HostID = "0124"
	seen := map[any]string{first: "first", uid(other, nothing): "another host"}
	for name, edit := range map[string]func(*kill.Event){
		"another serial": func(e *kill.Event) { e.Audit.Serial++ },
		"after a reboot": func(e *kill.Event) { e.Time = e.Time.Add(time.Millisecond) },
		"another node":   func(e *kill.Event) { e.Audit.Node = "n2" },
		"another of it":  func(e *kill.Event) { e.Scope = kill.ScopeProcessGroup; e.Targets[0].PID++ },
		"two, oddly":     func(e *kill.Event) { e.AddTarget() },
		"another kind":   func(e *kill.Event) { e.Kind = kill.KindAbend },
	} {
		got := uid(testConfig(), edit)
		assert.NotContains(t, seen, got, name)
		seen[got] = name
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	l := NewLogs(testConfig())
	e := fullEvent()
	l.Append(e, &e.Targets[0], time.Now())
	require.Equal(t, 1, l.Len())
	logs := l.Take()
	assert.Zero(t, l.Len())
	resource := logs.ResourceLogs().At(0)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", resource.SchemaUrl())
	assert.Equal(t, map[string]any{
		"host.name": "db1", "host.id": "0123", "os.type": "linux", "service.name": "auditkill", "service.instance.id": "db1",
	}, resource.Resource().Attributes().AsRaw())
	scope := resource.ScopeLogs().At(0)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", scope.SchemaUrl())
	assert.Equal(t, "scope", scope.Scope().Name())
	assert.Equal(t, "1.0", scope.Scope().Version())
}

func BenchmarkAppend(b *testing.B) {
	l := NewLogs(testConfig())
	e := fullEvent()
	e.Original, e.Sender.Title = "", "kill\x00-9\x003936\x00"
	now := time.Now()
	const batch = 100
	for range batch {
		l.Append(e, &e.Targets[0], now)
	}
	out, err := (&plog.ProtoMarshaler{}).MarshalLogs(l.Take())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e, &e.Targets[0], now)
		if l.Len() == 512 {
			l.Take()
		}
	}
	b.ReportMetric(float64(len(out))/batch, "out-B/op")
}
