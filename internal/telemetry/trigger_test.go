// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

var (
	prompter = kill.Process{PID: 77, Command: "bash", User: kill.User{ID: kill.NewID(0)}}
	inAlices = &kill.Behind{
		User:    kill.User{ID: kill.NewID(1000), Name: "alice"},
		Session: &kill.Session{ID: "21", Address: "10.0.0.5", TTY: "pts/3", UserName: "alice"},
	}
)

// ofKernel is a signal of the kernel to burn[12].
func ofKernel(cause kill.Cause, signal kill.Signal, trigger *kill.Trigger) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Origin: kill.OriginKernel, Cause: cause, Signal: signal, SignalKnown: true, Result: kill.Success(), Trigger: trigger,
	}
	*e.AddTarget() = kill.Process{PID: 12, Command: "burn"}
	return e
}

// promptedBy adds the process that was running, and what is behind the signal.
func promptedBy(e *kill.Event, p kill.Process, behind *kill.Behind) *kill.Event {
	e.Sender, e.Behind = p, behind
	return e
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	contained := prompter
	contained.Instance = &kill.Instance{Container: strings.Repeat("0123456789abcdef", 4)}
	for want, e := range map[string]*kill.Event{
		"the kernel sent SIGXCPU to burn[12]: CPU time limit of 10 s reached": ofKernel(kill.CauseCPULimit, kill.SIGXCPU, &kill.Trigger{CPUTime: 10 * time.Second}),
		"the kernel sent SIGXCPU to burn[12]: CPU time limit for realtime programs of 500 ms reached": ofKernel(
			kill.CauseCPULimit, kill.SIGXCPU, &kill.Trigger{CPUTime: 500 * time.Millisecond, Realtime: true}),
		"the kernel sent SIGKILL to burn[12]: CPU time limit reached":                ofKernel(kill.CauseCPULimit, kill.SIGKILL, nil),
		"the kernel sent SIGXFSZ to burn[12]: file size limit of 4 MiB reached":      ofKernel(kill.CauseFileSizeLimit, kill.SIGXFSZ, &kill.Trigger{FileSize: kill.NewAmount(4 << 20)}),
		"the kernel sent SIGXFSZ to burn[12]: file size limit of 5000 bytes reached": ofKernel(kill.CauseFileSizeLimit, kill.SIGXFSZ, &kill.Trigger{FileSize: kill.NewAmount(5000)}),
		"the kernel sent SIGXFSZ to burn[12]: file size limit of 0 bytes reached":    ofKernel(kill.CauseFileSizeLimit, kill.SIGXFSZ, &kill.Trigger{FileSize: kill.NewAmount(0)}),
		"the kernel sent SIGXFSZ to burn[12]: file size limit reached":               ofKernel(kill.CauseFileSizeLimit, kill.SIGXFSZ, nil),
		"the kernel sent SIGINT to burn[12]: key on pts/3":                           ofKernel(kill.CauseTerminalKey, kill.SIGINT, &kill.Trigger{Terminal: "pts/3"}),
		"the kernel sent SIGINT to burn[12]: key on its terminal":                    ofKernel(kill.CauseTerminalKey, kill.SIGINT, nil),
		"the kernel sent SIGINT to burn[12]: key on pts/3 (session 21 of alice from 10.0.0.5)": promptedBy(
			ofKernel(kill.CauseTerminalKey, kill.SIGINT, &kill.Trigger{Terminal: "pts/3"}), kill.Process{}, inAlices),
		"the kernel sent SIGINT to burn[12]: key on pts/3 (login of user 1000)": promptedBy(
			ofKernel(kill.CauseTerminalKey, kill.SIGINT, &kill.Trigger{Terminal: "pts/3"}), kill.Process{}, &kill.Behind{User: kill.User{ID: kill.NewID(1000)}}),
		"the kernel sent SIGHUP to burn[12]: hangup of pts/3 (session 21 of alice from 10.0.0.5), prompted by bash[77] (uid 0)": promptedBy(
			ofKernel(kill.CauseTerminalHangup, kill.SIGHUP, &kill.Trigger{Terminal: "pts/3"}), prompter, inAlices),
		"the kernel sent SIGKILL to burn[12]: kill of control group /x, prompted by bash[77] (uid 0), on behalf of alice from 10.0.0.5": promptedBy(
			ofKernel(kill.CauseCgroupKill, kill.SIGKILL, &kill.Trigger{Cgroup: "/x"}), prompter, inAlices),
		`the kernel sent SIGKILL to burn[12]: kill of control group "/x, prompted by root"`: ofKernel(
			kill.CauseCgroupKill, kill.SIGKILL, &kill.Trigger{Cgroup: "/x, prompted by root"}),
		"the kernel sent SIGKILL to burn[12]: kill of a control group": ofKernel(kill.CauseCgroupKill, kill.SIGKILL, &kill.Trigger{}),
		"the kernel sent SIGKILL to burn[12], prompted by bash[77] (uid 0): stop of container 0123456789ab": promptedBy(
			ofKernel(kill.CauseContainerStop, kill.SIGKILL, &kill.Trigger{Cgroup: "/x"}), prompter, &kill.Behind{Managed: true, Unit: contained.Instance.Container}),
		"the kernel sent SIGKILL to burn[12]: end of the pid namespace whose init was bash[77]": promptedBy(
			ofKernel(kill.CausePIDNamespaceEnd, kill.SIGKILL, nil), prompter, nil),
		"the kernel sent SIGKILL to burn[12]: end of the pid namespace whose init was bash[77] in container 0123456789ab": promptedBy(
			ofKernel(kill.CausePIDNamespaceEnd, kill.SIGKILL, nil), contained, nil),
		"the kernel sent SIGKILL to burn[12]: end of the pid namespace": ofKernel(kill.CausePIDNamespaceEnd, kill.SIGKILL, nil),
		"the kernel sent SIGTERM to burn[12]: its parent bash[77] exited with code 3": promptedBy(
			ofKernel(kill.CauseParentDeath, kill.SIGTERM, &kill.Trigger{ParentExit: kill.Exit{Known: true, Status: 3 << 8}}), prompter, nil),
		"the kernel sent SIGTERM to burn[12]: its parent bash[77] was killed by SIGKILL": promptedBy(
			ofKernel(kill.CauseParentDeath, kill.SIGTERM, &kill.Trigger{ParentExit: kill.Exit{Known: true, Status: 9}}), prompter, nil),
		"the kernel sent SIGTERM to burn[12]: end of its parent, a thread of bash[77]": promptedBy(
			ofKernel(kill.CauseParentDeath, kill.SIGTERM, &kill.Trigger{}), prompter, nil),
		"the kernel sent SIGALRM to burn[12]: a timer of its own": ofKernel(kill.CauseTimer, 14, nil),
	} {
		assert.Equal(t, want, Sentence(e, &e.Targets[0], redact.Redacted))
	}
}

func TestFaultsInWords(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal  kill.Signal
		code    string
		trigger *kill.Trigger
		want    string
		address any
	}{
		"nothing is mapped": {kill.SIGSEGV, "SEGV_MAPERR", &kill.Trigger{Fault: kill.NewAddress(0)}, "crash: address not mapped, 0x0", "0x0"},
		"of the kernel": {
			kill.SIGSEGV, "SEGV_ACCERR", &kill.Trigger{Fault: kill.NewAddress(1<<64 - 1)},
			"crash: no permission for the address, 0xffffffffffffffff", "0xffffffffffffffff",
		},
		"an instruction":     {kill.SIGFPE, "FPE_INTDIV", &kill.Trigger{Fault: kill.NewAddress(0x40007c)}, "crash: integer division by zero at 0x40007c", "0x40007c"},
		"general protection": {kill.SIGSEGV, "SI_KERNEL", nil, "crash", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := ofKernel(kill.CauseCrash, tt.signal, tt.trigger)
			e.Code = tt.code
			assert.Equal(t, "the kernel sent "+tt.signal.Name()+" to burn[12] ("+tt.want+")", Sentence(e, &e.Targets[0], redact.Redacted))
			assert.Equal(t, tt.address, convert(testConfig(), e).Attributes().AsRaw()["kill.fault.address"])
		})
	}
}

func TestCrashInWords(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"SEGV_MAPERR": "address not mapped", "FPE_INTDIV": "integer division by zero", "ILL_ILLOPN": "illegal operand",
		"BUS_ADRERR": "no such physical address",
	} {
		e := ofKernel(kill.CauseCrash, kill.SIGSEGV, nil)
		e.Code = code
		assert.Equal(t, "the kernel sent SIGSEGV to burn[12] (crash: "+want+")", Sentence(e, &e.Targets[0], redact.Redacted))
		e.Kind = kill.KindAbend
		assert.Equal(t, "burn[12] died of SIGSEGV: "+want, Sentence(e, &e.Targets[0], redact.Redacted))
	}
	e := ofKernel(kill.CauseCrash, kill.SIGSEGV, nil)
	e.Code = "SI_KERNEL" // which says nothing
	assert.Equal(t, "the kernel sent SIGSEGV to burn[12] (crash)", Sentence(e, &e.Targets[0], redact.Redacted))
}

// An outcome says what triggered the first fatal signal, and the last one.
func TestOutcomeOfLimits(t *testing.T) {
	t.Parallel()
	sender := &kill.Process{}
	last := kill.Sent{
		Signal: kill.SIGKILL, Origin: kill.OriginKernel, Cause: kill.CauseCPULimit, Trigger: &kill.Trigger{CPUTime: 12 * time.Second}, Sender: sender,
	}
	e := ofKernel(kill.CauseCPULimit, kill.SIGXCPU, &kill.Trigger{CPUTime: 10 * time.Second})
	e.Kind, e.Time = kill.KindOutcome, time.Unix(102, 0)
	e.Outcome = &kill.Outcome{
		Verdict: kill.VerdictKilled, Exit: kill.Exit{Known: true, Status: 9}, Began: time.Unix(100, 0), Escalated: true,
		Signals: []kill.Sent{last}, LastSignal: kill.SIGKILL, LastSender: sender, LastCause: kill.CauseCPULimit,
	}
	assert.Equal(t, "burn[12] was killed by SIGKILL, 2.000 s after the kernel sent SIGXCPU: CPU time limit of 10 s reached; "+
		"escalated to SIGKILL: CPU time limit of 12 s reached", Sentence(e, &e.Targets[0], redact.Redacted))
	e.Origin, e.Cause, e.Trigger, e.Signal, e.Sender = kill.OriginUser, kill.CauseNone, nil, kill.SIGTERM, prompter
	assert.Equal(t, "burn[12] was killed by SIGKILL, 2.000 s after bash[77] (uid 0) sent SIGTERM; "+
		"then the kernel sent SIGKILL: CPU time limit of 12 s reached", Sentence(e, &e.Targets[0], redact.Redacted))
}
