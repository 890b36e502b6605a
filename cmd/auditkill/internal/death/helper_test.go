// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/telling"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var start = time.Date(2026, 11, 28, 3, 15, 0, 0, time.Local) //nolint:gosmopolitan // as answers are

var (
	mysqld  = kill.Process{PID: 3936, Command: "mysqld", Executable: "/usr/sbin/mysqld", Instance: &kill.Instance{Unit: "mysql.service", Start: start.Add(-time.Hour)}}
	again   = kill.Process{PID: 3936, Command: "mysqld", Instance: &kill.Instance{Unit: "mysql.service", Start: start.Add(time.Minute)}}
	helper  = kill.Process{PID: 3940, Command: "helper", Instance: &kill.Instance{Unit: "mysql.service"}}
	nginx   = kill.Process{PID: 99, Command: "nginx", Instance: &kill.Instance{Container: "4f5e6d7c8b9a0000"}}
	server  = kill.Process{PID: 3936, Command: "mysqld", User: kill.User{ID: kill.NewID(27)}}
	other   = kill.Process{PID: 5000, Command: "mysqld", User: kill.User{ID: kill.NewID(27)}}
	systemd = kill.Process{PID: 1, Command: "systemd"}
	eve     = kill.Process{PID: 6000, Command: "eve", User: kill.User{ID: kill.NewID(1000)}}
	shell   = kill.Process{PID: 4000, Command: "bash", User: kill.User{ID: kill.NewID(0)}}
)

// signaled is a signal to a process.
func signaled(after time.Duration, sender kill.Process, signal kill.Signal, target kill.Process) telling.Telling {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: start.Add(after), Signal: signal, SignalKnown: true, Origin: kill.OriginUser, Sender: sender,
		Scope: kill.ScopeProcess, Result: kill.Success(), Complete: true, TargetCount: 1,
	}
	*e.AddTarget() = target
	return telling.Telling{Event: e}
}

// ended is the outcome of a process to which a signal was sent at the beginning.
func ended(after, began time.Duration, signal kill.Signal, target kill.Process, change func(*kill.Outcome)) telling.Telling {
	t := signaled(after, systemd, signal, target)
	t.Kind = kill.KindOutcome
	t.Outcome = &kill.Outcome{
		Verdict: kill.VerdictKilled, Exit: kill.Exit{Known: true, Status: int(signal)}, Began: start.Add(began), LastSignal: signal,
	}
	change(t.Outcome)
	return t
}

// toMany is a signal to several processes, of which nothing says whether it reached this one.
func toMany(sent telling.Telling, scope kill.Scope, requested int) telling.Telling {
	sent.Scope, sent.Requested, sent.Targets[0].Result = scope, requested, &kill.Result{}
	return sent
}

// changed is an event of which something else is known.
func changed(told telling.Telling, change func(*kill.Event)) telling.Telling {
	change(told.Event)
	return told
}

// lost is a signal of which only the target was recorded.
func lost(after time.Duration, target kill.Process) telling.Telling {
	return changed(signaled(after, kill.Process{}, 0, target), func(e *kill.Event) {
		e.SignalKnown, e.Result, e.Scope, e.Complete = false, kill.Result{}, kill.ScopeUnknown, false
	})
}

// threadEnded is the report of seccomp that it has ended a thread.
func threadEnded(after time.Duration, target kill.Process) telling.Telling {
	return changed(signaled(after, kill.Process{}, kill.SIGSYS, target), func(e *kill.Event) {
		e.Kind, e.Origin, e.Cause, e.Result = kill.KindAbend, kill.OriginKernel, kill.CauseSeccomp, kill.Result{}
	})
}

func refused(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} }

func ignored(e *kill.Event) { e.Delivery = kill.DeliveryIgnored }

// begun is what a script has begun.
func begun(e *kill.Event) {
	e.Behind = &kill.Behind{Initiator: &kill.Ancestor{PID: 3990, Command: "cleanup.sh"}}
}

func same(*kill.Outcome) {}

func exited(code int) func(*kill.Outcome) {
	return func(o *kill.Outcome) { o.Verdict, o.Exit.Status = kill.VerdictExited, code<<8 }
}

func survived(o *kill.Outcome) { o.Verdict = kill.VerdictSurvived }

func escalated(o *kill.Outcome) { o.Escalated, o.Exit.Status, o.LastSignal = true, 9, kill.SIGKILL }

func unsent(o *kill.Outcome) { o.Verdict, o.Exit.Status, o.Unsent = kill.VerdictExited, 1<<8, true }

func unwatched(o *kill.Outcome) { o.Verdict = kill.VerdictUnknown }
