// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// TestGoldenTraced compares everything that the receiver emits for events that only tracing in the
// kernel can see, such as in docs/events.md.
func TestGoldenTraced(t *testing.T) {
	t.Parallel()

	var sink consumertest.LogsSink
	f := newFixture(t, "")
	f.next = &sink
	d := f.delivery(t, t.Context(), false)
	users := process.NewUsers(f.machine.Passwd, f.machine.Name)
	for _, e := range tracedEvents() {
		users.Fill(e)
		require.NoError(t, d.Signal(e))
	}
	require.NoError(t, d.Flush())
	compareGolden(t, "traced", merge(sink.AllLogs()))
}

func tracedEvents() []*kill.Event {
	mysqld := kill.Process{
		PID: 3936, ThreadID: 3936, ParentPID: 1, Command: "mysqld", Leader: "mysqld", Executable: "/usr/sbin/mysqld",
		User: knownUser(102), Home: ofHost,
		Instance: &kill.Instance{
			Start: time.UnixMilli(1450210000010), CommandLine: "/usr/sbin/mysqld\x00--port=3306\x00",
			Cgroup: "/system.slice/mysql.service", Unit: "mysql.service",
		},
	}
	client := kill.Process{
		PID: 4711, ThreadID: 4712, ParentPID: 3649, Command: "worker", Leader: "client", Executable: "/opt/bin/client",
		Title: "client\x00--password\x00hunter2\x00", Home: ofHost,
		User: knownUser(0), RealUser: knownUser(1000), SavedUser: knownUser(0), Login: knownUser(1000), Session: kill.NewID(3),
		Instance: &kill.Instance{
			Start:       time.UnixMilli(1450214900120),
			CommandLine: "client\x00--password\x00hunter2\x00",
			Cgroup:      "/kubepods.slice/kubepods-pod275ecb36.slice/cri-containerd-4f5e.scope",
			Container:   "4f5e", Pod: "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff", Unit: "cri-containerd-4f5e.scope",
		},
		Ancestry: []kill.Ancestor{{PID: 3649, Command: "bash"}, {PID: 3641, Command: "sshd"}, {PID: 1, Command: "systemd"}},
	}
	var nobody kill.Process
	thread := mysqld
	thread.ThreadID, thread.Command = 3950, "connection"

	var events []*kill.Event
	add := func(sender, target kill.Process, edit func(*kill.Event)) {
		e := &kill.Event{
			Kind: kill.KindSignal, Time: time.Unix(1450214919, 813000001+int64(len(events))), Signal: kill.SIGKILL, SignalKnown: true,
			Origin: kill.OriginKernel, Scope: kill.ScopeProcess, Result: kill.Success(), Delivery: kill.DeliveryDelivered,
			Sender: sender, TargetCount: 1, Complete: true, Source: "ebpf",
		}
		*e.AddTarget() = target
		edit(e)
		events = append(events, e)
	}
	add(client, mysqld, func(e *kill.Event) { // kill -9
		e.Origin, e.Syscall, e.Code, e.Requested = kill.OriginUser, "kill", "SI_USER", 3936
	})
	add(client, thread, func(e *kill.Event) { // pthread_kill, which had no effect
		e.Origin, e.Syscall, e.Code, e.Requested = kill.OriginUser, "tgkill", "SI_TKILL", 3936
		e.Scope, e.Signal, e.Delivery = kill.ScopeThread, kill.SIGTERM, kill.DeliveryIgnored
	})
	add(client, mysqld, func(e *kill.Event) { // not permitted
		e.Origin, e.Syscall, e.Delivery, e.Requested = kill.OriginUser, "kill", kill.DeliveryUnknown, 3936
		e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"}
	})
	add(client, mysqld, func(e *kill.Event) { e.Cause = kill.CauseOOM })
	add(client, mysqld, func(*kill.Event) {})                           // cgroup.kill
	add(nobody, mysqld, func(e *kill.Event) { e.Signal = kill.SIGINT }) // Ctrl-C
	add(nobody, thread, func(e *kill.Event) {
		e.Signal, e.Code, e.Cause = kill.SIGSEGV, "SEGV_MAPERR", kill.CauseCrash
	})
	add(nobody, thread, func(e *kill.Event) {
		e.Kind, e.Signal, e.Code, e.Cause = kill.KindAbend, kill.SIGSEGV, "SEGV_MAPERR", kill.CauseCrash
		e.Delivery = kill.DeliveryUnknown
	})
	return events
}

// ofHost is a process that sees the host's files and users.
var ofHost = kill.Home{Users: kill.WhoseHost, Program: kill.WhoseHost, PIDs: kill.WhoseHost}

func knownUser(id uint32) kill.User { return kill.User{ID: kill.NewID(id)} }
