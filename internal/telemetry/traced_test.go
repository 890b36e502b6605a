// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

const (
	container = "4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796"
	pod       = "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff"
)

// tracedEvent has everything that only tracing in the kernel can know.
func tracedEvent() *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.Unix(1450214919, 813000001), Signal: kill.SIGTERM, SignalKnown: true, Syscall: "tgkill",
		Origin: kill.OriginUser, Scope: kill.ScopeThread, Result: kill.Success(), Delivery: kill.DeliveryDelivered, Code: "SI_TKILL",
		Sender: kill.Process{
			PID: 3997, ThreadID: 3999, ParentPID: 3649, Command: "worker", Leader: "mykill", User: user(0, "root"), Session: kill.NewID(7),
			Instance: &kill.Instance{
				Start: time.Unix(1450214900, 129_999_999).In(time.FixedZone("", 3600)), CommandLine: "mykill\x00--now\x00",
				Cgroup: "/user.slice/user-500.slice/session-1.scope", Unit: "session-1.scope",
			},
			Ancestry: []kill.Ancestor{{PID: 3649, Command: "bash"}, {PID: 99}, {PID: 1, Command: "a\xffb"}},
		},
		TargetCount: 1, Complete: true, Source: "ebpf",
	}
	*e.AddTarget() = kill.Process{
		PID: 3936, ThreadID: 3940, Command: "connection", Leader: "mysqld",
		Instance: &kill.Instance{
			Start: time.Unix(1450210000, 10_000_000), CommandLine: "mysqld\x00--password=hunter2\x00",
			Cgroup: "/kubepods.slice/x.scope", Container: container, Pod: pod, Unit: "x.scope",
		},
	}
	return e
}

func TestAppendTraced(t *testing.T) {
	t.Parallel()
	record := convert(testConfig(), tracedEvent())
	assert.Equal(t, "worker[3997] (uid 0) sent SIGTERM to connection[3936]", record.Body().Str())
	got := record.Attributes().AsRaw()
	assert.Len(t, got["log.record.uid"], 32)
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":         "kill.signal",
		"kill.signal.number": int64(15), "kill.signal.name": "SIGTERM", "kill.signal.code": "SI_TKILL", "kill.syscall": "tgkill",
		"kill.origin": "user", "kill.scope": "thread", "kill.result": "success", "kill.delivery": "delivered",
		"kill.target.count": int64(1), "kill.target.pid": int64(3936), "kill.target.thread.id": int64(3940),
		"kill.target.name": "connection", "kill.target.title": "mysqld --password=***", "kill.target.start_time": "2015-12-15T20:06:40.010Z",
		"kill.target.container.id": container, "kill.target.k8s.pod.uid": pod, "kill.target.systemd.unit": "x.scope",
		"kill.target.cgroup": "/kubepods.slice/x.scope",
		"process.pid":        int64(3997), "thread.id": int64(3999), "process.parent_pid": int64(3649), "process.command": "worker",
		"process.user.id": int64(0), "process.user.name": "root", "process.creation.time": "2015-12-15T21:28:20.129Z",
		"kill.sender.systemd.unit": "session-1.scope", "process.linux.cgroup": "/user.slice/user-500.slice/session-1.scope",
		"kill.sender.ancestry":  []any{"bash[3649]", "?[99]", `"a` + "\uFFFD" + `b"[1]`},
		"kill.audit.session.id": int64(7), "kill.complete": true, "kill.source": "ebpf",
	}, got)

	e := tracedEvent()
	e.Sender, e.Targets[0] = e.Targets[0], e.Sender
	got = convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, container, got["container.id"])
	assert.Equal(t, pod, got["k8s.pod.uid"])
	assert.NotContains(t, got, "kill.target.container.id", "the host's own processes are in none")
	assert.NotContains(t, got, "kill.target.k8s.pod.uid")

	e = tracedEvent()
	e.Kind, e.Origin = kill.KindAbend, kill.OriginKernel
	got = convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, "x.scope", got["kill.target.systemd.unit"])
	for _, key := range []string{"thread.id", "process.creation.time", "process.linux.cgroup", "kill.sender.systemd.unit", "kill.sender.ancestry"} {
		assert.NotContains(t, got, key, "there is no sender")
	}
}

// If the table knows a process only in part, the rest is left out.
func TestAppendKnownInPart(t *testing.T) {
	t.Parallel()
	e := tracedEvent()
	e.Sender.Instance, e.Sender.Ancestry, e.Targets[0].Instance = &kill.Instance{}, nil, &kill.Instance{}
	e.Sender.ThreadID, e.Targets[0].ThreadID = e.Sender.PID, 0
	got := convert(testConfig(), e).Attributes().AsRaw()
	for _, key := range []string{
		"thread.id", "process.creation.time", "container.id", "k8s.pod.uid", "kill.sender.systemd.unit", "process.linux.cgroup",
		"kill.sender.ancestry", "kill.target.thread.id", "kill.target.start_time", "kill.target.container.id",
		"kill.target.k8s.pod.uid", "kill.target.systemd.unit", "kill.target.cgroup", "kill.target.title",
	} {
		assert.NotContains(t, got, key)
	}
}

func TestTargetTitle(t *testing.T) {
	t.Parallel()
	const started = "mysqld\x00--password=hunter2\x00"
	tests := map[string]struct {
		mode        redact.Policy
		commandLine string
		want        any
	}{
		"redacted":             {redact.Redacted, started, "mysqld --password=***"},
		"program":              {redact.Program, started, "mysqld"},
		"full":                 {redact.Full, started, "mysqld --password=hunter2"},
		"off":                  {redact.Off, started, nil},
		"as long as it may":    {redact.Full, strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"too long":             {redact.Full, strings.Repeat("x", 1025), strings.Repeat("x", 1024)},
		"within a character":   {redact.Full, strings.Repeat("x", 1022) + "\u2713", strings.Repeat("x", 1022)},
		"after an argument":    {redact.Full, strings.Repeat("x", 1023) + "\x00y", strings.Repeat("x", 1023)},
		"invalid and long":     {redact.Full, strings.Repeat("\x80", 2000), "\uFFFD"},
		"secret at the end":    {redact.Redacted, strings.Repeat("x", 1000) + " a://b:" + strings.Repeat("s", 100) + "@c", strings.Repeat("x", 1000) + " a://b:***@c"},
		"of a kernel's thread": {redact.Full, "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, e := testConfig(), tracedEvent()
			config.CommandLine = tt.mode
			e.Targets[0].Instance.CommandLine = tt.commandLine
			assert.Equal(t, tt.want, convert(config, e).Attributes().AsRaw()["kill.target.title"])
		})
	}
}

func TestSentOfKernel(t *testing.T) {
	t.Parallel()
	podman := kill.Process{PID: 77, Command: "podman", Executable: "/usr/bin/podman", User: user(0, "root")}
	itself := kill.Process{PID: 3936, ThreadID: 3940, Command: "worker"}
	tests := map[string]struct {
		signal   kill.Signal
		cause    kill.Cause
		sender   kill.Process
		delivery kill.Delivery
		want     string
		severity plog.SeverityNumber
	}{
		"out of memory": {
			kill.SIGKILL, kill.CauseOOM,
			kill.Process{PID: 5, Command: "stress"},
			kill.DeliveryDelivered,
			"the kernel sent SIGKILL to mysqld[3936] (out of memory), prompted by stress[5]", plog.SeverityNumberError,
		},
		"out of memory, itself to blame": {
			kill.SIGKILL, kill.CauseOOM, itself, kill.DeliveryDelivered,
			"the kernel sent SIGKILL to mysqld[3936] (out of memory)", plog.SeverityNumberError,
		},
		"crash": {
			kill.SIGSEGV, kill.CauseCrash, itself, kill.DeliveryUnknown,
			"the kernel sent SIGSEGV to mysqld[3936] (crash)", plog.SeverityNumberWarn,
		},
		"seccomp": {
			kill.SIGSYS, kill.CauseSeccomp, itself, kill.DeliveryDelivered,
			"the kernel sent SIGSYS to mysqld[3936] (seccomp)", plog.SeverityNumberWarn,
		},
		"prompted": {
			kill.SIGKILL, kill.CauseNone, podman, kill.DeliveryDelivered,
			"the kernel sent SIGKILL to mysqld[3936], prompted by podman[77] (/usr/bin/podman, uid 0)", plog.SeverityNumberWarn,
		},
		"in nobody's time": {
			kill.SIGINT, kill.CauseNone,
			kill.Process{},
			kill.DeliveryDelivered,
			"the kernel sent SIGINT to mysqld[3936]", plog.SeverityNumberWarn,
		},
		"ignored": {
			kill.SIGHUP, kill.CauseNone, podman, kill.DeliveryIgnored,
			"the kernel sent SIGHUP to mysqld[3936], prompted by podman[77] (/usr/bin/podman, uid 0): ignored",
			plog.SeverityNumberInfo,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := tracedEvent()
			e.Origin, e.Syscall, e.Code, e.Scope = kill.OriginKernel, "", "SI_KERNEL", kill.ScopeProcess
			e.Signal, e.Cause, e.Sender, e.Delivery = tt.signal, tt.cause, tt.sender, tt.delivery
			e.Targets[0] = kill.Process{PID: 3936, ThreadID: 3936, Command: "mysqld"}
			record := convert(testConfig(), e)
			assert.Equal(t, tt.want, record.Body().Str())
			assert.Equal(t, tt.severity, record.SeverityNumber())
			assert.Equal(t, "kernel", record.Attributes().AsRaw()["kill.origin"])
		})
	}
}

// A call may succeed although the signal has no effect.
func TestDelivery(t *testing.T) {
	t.Parallel()
	const sent = "worker[3997] (uid 0) sent SIGTERM to connection[3936]"
	again := kill.Result{Known: true, Errno: 11, Error: "EAGAIN"}
	for delivery, tt := range map[kill.Delivery]struct {
		result   kill.Result
		want     string
		severity plog.SeverityNumber
	}{
		kill.DeliveryUnknown:     {kill.Success(), "", plog.SeverityNumberWarn},
		kill.DeliveryDelivered:   {kill.Success(), "", plog.SeverityNumberWarn},
		kill.DeliveryPending:     {kill.Success(), "", plog.SeverityNumberWarn},
		kill.DeliveryWithoutInfo: {kill.Success(), "", plog.SeverityNumberWarn},
		kill.DeliveryIgnored:     {kill.Success(), ": ignored", plog.SeverityNumberInfo},
		kill.DeliveryOverflow:    {again, ": EAGAIN", plog.SeverityNumberInfo},
	} {
		e := tracedEvent()
		e.Delivery, e.Result = delivery, tt.result
		record := convert(testConfig(), e)
		assert.Equal(t, sent+tt.want, record.Body().Str(), delivery)
		assert.Equal(t, tt.severity, record.SeverityNumber(), delivery)
	}
	e := tracedEvent()
	e.Delivery, e.Result = kill.DeliveryOverflow, kill.Result{}
	assert.Equal(t, sent+": queue full", convert(testConfig(), e).Body().Str(), "the result of the call is not known")
	assert.Equal(t, plog.SeverityNumberInfo, convert(testConfig(), e).SeverityNumber())
}

// Without a serial number, the time distinguishes two signals.
func TestUIDTraced(t *testing.T) {
	t.Parallel()
	uid := func(edit func(*kill.Event)) any {
		e := tracedEvent()
		edit(e)
		return convert(testConfig(), e).Attributes().AsRaw()["log.record.uid"]
	}
	first := uid(func(*kill.Event) {})
	for name, edit := range map[string]func(*kill.Event){
		"again":              func(*kill.Event) {},
		"less is known":      func(e *kill.Event) { e.Complete, e.Sender.Instance, e.Targets[0].Instance = false, nil, nil },
		"result is unknown":  func(e *kill.Event) { e.Result, e.Delivery, e.Syscall = kill.Result{}, "", "" },
		"names are unknown":  func(e *kill.Event) { e.Sender.Command, e.Targets[0].Command = "", "" },
		"number of no event": func(e *kill.Event) { e.Audit.Serial = 7 },
	} {
		assert.Equal(t, first, uid(edit), name)
	}
	seen := map[any]string{first: "first"}
	for name, edit := range map[string]func(*kill.Event){
		"a nanosecond later":    func(e *kill.Event) { e.Time = e.Time.Add(1) },
		"another signal":        func(e *kill.Event) { e.Signal = kill.SIGKILL },
		"another sender":        func(e *kill.Event) { e.Sender.PID++ },
		"another thread":        func(e *kill.Event) { e.Sender.ThreadID++ },
		"another target":        func(e *kill.Event) { e.Targets[0].PID++ },
		"another of its thread": func(e *kill.Event) { e.Targets[0].ThreadID++ },
		"nobody":                func(e *kill.Event) { e.Targets = nil },
		"another kind":          func(e *kill.Event) { e.Kind = kill.KindAbend },
		"recorded":              func(e *kill.Event) { e.Audit.Recorded = true },
	} {
		got := uid(edit)
		assert.NotContains(t, seen, got, name)
		seen[got] = name
	}
}

func BenchmarkAppendTraced(b *testing.B) {
	l := NewLogs(testConfig())
	e := tracedEvent()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.Append(e, &e.Targets[0], now)
		if l.Len() == 512 {
			l.Take()
		}
	}
}
