// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// fullProcess is a process of which all is known.
func fullProcess(pid int) kill.Process {
	user := kill.User{ID: kill.NewID(1000), Name: "alice"}
	amount := kill.NewAmount(1)
	return kill.Process{
		PID: pid, ThreadID: pid + 1, ParentPID: pid - 1, Command: "a", Leader: "b", Executable: "/a", Title: "a\x00", User: user, RealUser: user,
		SavedUser: user, Login: user, Session: kill.NewID(3), Label: "label", ContainerUser: "bob",
		Instance: &kill.Instance{
			Start: time.Unix(1, 0), CommandLine: "a\x00", Unit: "a.service", Cgroup: "/a", Container: "c", Pod: "p",
		},
		Ancestry: []kill.Ancestor{{PID: 1, Command: "init", Title: "init\x00"}}, Original: "type=OBJ_PID msg=x: opid=1",
		Memory: &kill.Memory{AnonRSS: amount, FileRSS: amount, ShmemRSS: amount, TotalVM: amount, PageTables: amount, ScoreAdj: amount},
		Home:   kill.Home{Program: kill.WhoseOther, PIDs: kill.WhoseOther},
		Names:  &kill.Names{Container: "c", Image: "i", Tag: "1", PodContainer: "c", Pod: "p", Namespace: "n"},
	}
}

// fullSignal is a signal of which everything is known that can be, and more than can be at once.
func fullSignal() *kill.Event {
	requester, sender := fullProcess(20), fullProcess(10)
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.Unix(2, 0), Signal: kill.SIGTERM, SignalKnown: true, Code: "SI_USER", Syscall: "kill",
		Origin: kill.OriginUser, Cause: kill.CauseServiceStop, Scope: kill.ScopeProcess, Result: kill.Result{Known: true, Errno: 1, Error: "EPERM"},
		Delivery: kill.DeliveryDelivered, Requested: 7, Count: 2, LastTime: time.Unix(3, 0), Sender: sender, TargetCount: 1, Complete: true,
		Source: "audit_file", File: "audit.log", Original: "type=SYSCALL msg=x: pid=1",
		Audit: kill.Audit{Recorded: true, Serial: 1, Keys: []string{"k"}, TTY: "pts0", Subject: "s", Arch: "x86_64", Node: "n"},
		Behind: &kill.Behind{
			Evidence: kill.EvidenceObserved, Requester: &requester, Candidates: 2, Initiator: &kill.Ancestor{PID: 5, Command: "i", Title: "i\x00"},
			User: sender.User, Session: &kill.Session{ID: "3", Service: "sshd", TTY: "pts/0", UserName: "alice", Address: "10.0.0.5", Port: 22},
		},
		Trigger: &kill.Trigger{Fault: kill.NewAddress(1)},
		OutOfMemory: &kill.OutOfMemory{
			Constraint: kill.OOMConstraintMemcg, Cgroup: "/a", Limit: kill.NewAmount(1), Usage: kill.NewAmount(1), Invoker: kill.Process{PID: 4, Command: "m"},
		},
	}
	*e.AddTarget() = fullProcess(30)
	return e
}

// fullOutcome is the outcome of such a signal, with what of it an outcome has (internal/outcome).
func fullOutcome(verdict kill.Verdict, status int) *kill.Event {
	first := fullSignal()
	e := &kill.Event{
		Kind: kill.KindOutcome, Time: time.Unix(4, 0), Signal: first.Signal, SignalKnown: true, TargetCount: -1, Complete: true, Source: first.Source,
		Sender: first.Sender, Origin: first.Origin, Cause: first.Cause, Behind: first.Behind, Trigger: first.Trigger, OutOfMemory: first.OutOfMemory,
		Targets: first.Targets,
		Outcome: &kill.Outcome{
			Verdict: verdict, Exit: kill.Exit{Known: true, Status: status}, Began: first.Time, LastName: "z", LastSignal: kill.SIGKILL,
			LastSender: &first.Sender, LastCause: kill.CauseStopTimeout, Escalated: true,
		},
	}
	e.Targets[0].Original = ""
	return e
}

// fullTamper is a collector that was stopped and, of what can be known of other tampering, all.
func fullTamper() *kill.Event {
	e := kill.Found(time.Unix(5, 0), kill.Tamper{Action: kill.TamperCollectorStopped, Rule: "r", Duration: time.Second})
	signal := fullSignal()
	e.Sender, e.Audit, e.Source, e.File, e.Original, e.Result = signal.Sender, signal.Audit, signal.Source, signal.File, signal.Original, signal.Result
	e.AddTarget().PID = 30 // the audit daemon
	return e
}

// fullAbend is a death by seccomp or a crash. It has no sender.
func fullAbend() *kill.Event {
	e := fullSignal()
	e.Kind, e.Origin, e.Cause, e.Syscall, e.Sender, e.Behind, e.Trigger = kill.KindAbend, kill.OriginKernel, kill.CauseCrash, "", kill.Process{}, nil, nil
	e.Result, e.Delivery, e.Count, e.OutOfMemory, e.Targets[0].Memory = kill.Success(), "", 0, nil, nil
	e.Audit = kill.Audit{Recorded: true, Serial: 1, Arch: "x86_64", Node: "n"}
	return e
}

// TestRegistryOfFullEvents has the registry list just what the code can write: golden files do not have everything.
func TestRegistryOfFullEvents(t *testing.T) {
	t.Parallel()
	_, events := registered(t)
	for event, all := range map[string][]*kill.Event{
		"kill.signal":  {fullSignal()},
		"kill.outcome": {fullOutcome(kill.VerdictExited, 3<<8), fullOutcome(kill.VerdictKilled, 9)},
		"kill.abend":   {fullAbend()},
		"kill.tamper":  {fullTamper()},
	} {
		written := map[string]bool{}
		logs := telemetry.NewLogs(telemetry.Config{CommandLine: redact.Full})
		for _, e := range all {
			logs.Append(e, &e.Targets[0], e.Time)
		}
		records := logs.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		for i := range records.Len() {
			for key := range records.At(i).Attributes().All() {
				written[key] = true
			}
		}
		for _, key := range slices.Sorted(maps.Keys(written)) {
			assert.True(t, events[event][key], "%s: the code writes %s, which the registry does not have", event, key)
		}
		for _, key := range slices.Sorted(maps.Keys(events[event])) {
			assert.True(t, written[key], "%s: the registry has %s, which nothing writes", event, key)
		}
	}
}

// TestRegistryOfCalls has the registry list what the root span of a call with many targets has.
func TestRegistryOfCalls(t *testing.T) {
	t.Parallel()
	types, _ := registered(t)
	e := fullSignal()
	e.Kind = kill.KindCall
	e.Outcome = &kill.Outcome{Began: e.Time, Verdicts: map[kill.Verdict]int{
		kill.VerdictExited: 1, kill.VerdictKilled: 1, kill.VerdictCoreDumped: 1, kill.VerdictSurvived: 1, kill.VerdictEnded: 1, kill.VerdictUnknown: 1,
	}}
	traces := telemetry.NewTraces(telemetry.Config{CommandLine: redact.Full})
	traces.Append(e)
	counted := 0
	for key := range traces.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().All() {
		if strings.HasPrefix(key, "kill.outcomes.") {
			counted++
		}
		if strings.HasPrefix(key, "kill.") {
			assert.Contains(t, types, key)
		}
	}
	assert.Equal(t, len(e.Outcome.Verdicts), counted)
}
