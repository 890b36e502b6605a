// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestGoldenBehind has alice, logged in from another host, restart a service that does not stop in time.
func TestGoldenBehind(t *testing.T) {
	t.Parallel()
	sudo := kill.Ancestor{PID: 135, Command: "sudo", Title: "sudo\x00systemctl\x00restart\x00mysql\x00"}
	alice := &kill.Behind{
		Managed: true, Evidence: kill.EvidenceObserved, Unit: "mysql.service", User: kill.User{ID: kill.NewID(1000), Name: "alice"},
		Requester: &kill.Process{
			PID: 136, ParentPID: 135, Command: "systemctl", Executable: "/usr/bin/systemctl", Title: "systemctl\x00restart\x00mysql\x00",
			User: kill.User{ID: kill.NewID(0), Name: "root"}, Instance: &kill.Instance{Unit: "session-21.scope"},
			Ancestry: []kill.Ancestor{sudo, {PID: 130, Command: "bash", Title: "-bash\x00"}, {PID: 120, Command: "sshd"}},
		},
		Initiator: &sudo,
		Session:   &kill.Session{ID: "21", Service: "sshd", TTY: "pts/0", UserName: "alice", Address: "10.0.0.5", Port: 50022},
	}
	late := &kill.Behind{Managed: true, Evidence: kill.EvidenceObserved, Unit: "mysql.service", Limit: 90 * time.Second}
	synctest.Test(t, func(t *testing.T) {
		var logs consumertest.LogsSink
		var traces consumertest.TracesSink
		f, finish := newFollowing(t, &logs, &traces)
		stop, killed := signalTo(kill.SIGTERM, "mysqld", 3936), signalTo(kill.SIGKILL, "mysqld", 3936)
		stop.Cause, stop.Behind = kill.CauseServiceRestart, alice
		killed.Cause, killed.Behind = kill.CauseStopTimeout, late
		f.deliver(stop)
		f.pass(90 * time.Second)
		killed.Time = time.Now()
		f.deliver(killed)
		f.pass(5 * time.Millisecond)
		f.deliver(ended(3936, 9, "mysqld"))
		finish()

		compareGolden(t, "behind", merge(logs.AllLogs()))
		all := ptrace.NewTraces()
		for _, some := range traces.AllTraces() {
			some.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
		}
		compareGoldenTraces(t, "behind_traces", all)
	})
}
