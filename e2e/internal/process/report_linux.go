// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Report is what a log record reports about one target of one call.
type Report struct {
	Sender      int64
	Command     string
	Executable  string
	User        int64
	Arch        string
	Call        string
	Signal      int64
	Scope       string
	Result      string
	Error       string
	Target      int64
	TargetName  string
	TargetCount int64
}

// ReportOf returns what a log record reports.
func ReportOf(r otlp.Record) Report {
	text, number := r.Text, r.Number
	return Report{
		Sender: number("process.pid"), Command: text("process.command"), Executable: text("process.executable.path"),
		User: number("process.user.id"), Arch: text("kill.audit.arch"),
		Call: text("kill.syscall"), Signal: number("kill.signal.number"), Scope: text("kill.scope"),
		Result: text("kill.result"), Error: text("error.type"),
		Target: number("kill.target.pid"), TargetName: text("kill.target.name"), TargetCount: number("kill.target.count"),
	}
}

// KnownTo returns the report without what the source of a log record cannot know.
func (s Report) KnownTo(r otlp.Record) Report {
	if r.Attributes["kill.source"] == "ebpf" {
		s.Arch = ""
	}
	return s
}

// expect returns the reports that a call must lead to, as far as they are known before the call.
func (s *Sender) expect(order orders.Order, targets []int) []Report {
	one := Report{
		Sender: int64(s.PID), Command: escaped(s.Name), Executable: s.Command.Path, Arch: s.arch,
		Call: order.Call, Signal: int64(order.Signal), Scope: ScopeOf(order), TargetCount: int64(len(targets)),
	}
	if credential := s.Command.SysProcAttr.Credential; credential != nil {
		one.User = int64(credential.Uid)
	}
	if len(targets) == 0 {
		if order.Call != "pidfd_send_signal" && order.Call != "tkill" {
			one.Target = int64(order.PID) // the process that the call names
		}
		return []Report{one}
	}
	want := make([]Report, len(targets))
	for i, target := range targets {
		if outside, ok := s.Victims[target]; ok {
			target = outside
		}
		want[i] = one
		want[i].Target, want[i].TargetName = int64(target), escaped(CommandName(s.T, target))
	}
	slices.SortFunc(want, byTarget)
	return want
}

// escaped returns a name as it is reported: a newline in it would begin a line of its own.
func escaped(name string) string { return strings.ReplaceAll(name, "\n", `\n`) }

// add adds the wanted reports of one call, now that its result is known.
func (s *Sender) add(want []Report, errno int) {
	for _, one := range want {
		one.Result = "success"
		if errno != 0 {
			one.Result, one.Error = "failure", unix.ErrnoName(syscall.Errno(errno))
		}
		if one.Error == "EPERM" && one.TargetName == "" {
			one.Target = 0 // the kernel refused before it looked for the target
		}
		s.Want = append(s.Want, one)
	}
}

func byTarget(a, b Report) int { return int(a.Target - b.Target) }

// Flags of pidfd_send_signal (include/uapi/linux/pidfd.h).
const (
	pidfdThread       = 1
	pidfdProcessGroup = 4
)

// ScopeOf returns what a call is addressed to: a thread, a process, a group or all (kill(2), pidfd_send_signal(2)).
func ScopeOf(order orders.Order) string {
	switch {
	case order.Call == "pidfd_send_signal" && order.Flags == pidfdThread,
		order.Call == "tkill", order.Call == "tgkill", order.Call == "rt_tgsigqueueinfo":
		return "thread"
	case order.Call == "pidfd_send_signal" && order.Flags == pidfdProcessGroup, order.PID < -1:
		return "process_group"
	case order.PID == -1:
		return "all"
	case order.PID == 0:
		return "own_process_group"
	}
	return "process"
}
