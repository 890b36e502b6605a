// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	all   = "ffffffffffffffff"
	group = "ffffa839"
)

// by changes the user of a sender.
func by(record string, uid, euid int) string {
	return strings.Replace(strings.Replace(record, " uid=0 ", fmt.Sprintf(" uid=%d ", uid), 1), " euid=0 ", fmt.Sprintf(" euid=%d ", euid), 1)
}

// member makes an OBJ_PID record of a user's process with a label.
func member(pid, uid int, label string) string {
	record := strings.Replace(target(1, pid), "ouid=33", fmt.Sprintf("ouid=%d", uid), 1)
	return strings.Replace(record, " ocomm", " obj="+label+" ocomm", 1)
}

func selinux(n int) string {
	return fmt.Sprintf(`type=AVC msg=%s: avc:  denied  { signal } for  pid=100 comm="killer" scontext=u:r:a:s0 tcontext=b tclass=process permissive=0`, stamp(n))
}

func apparmor() string {
	return fmt.Sprintf(`type=AVC msg=%s: apparmor="DENIED" operation="signal" profile="b" pid=100 comm="killer" requested_mask="receive" `+
		`denied_mask="receive" signal=kill peer="/killer"`, stamp(1))
}

func landlock(n, pid int) string {
	return fmt.Sprintf(`type=LANDLOCK_ACCESS msg=%s: domain=1a6fdc66f blockers=scope.signal opid=%d ocomm="victim"`, stamp(n), pid)
}

// Each target of a signal to several has a result of its own.
func TestResultForEachTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"one process":                      {[]string{by(syscall(1, "64", "9"), 7, 7), target(1, 100)}, "100 success"},
		"all, of others":                   {[]string{by(syscall(1, all, "9"), 7, 7), target(1, 100), target(1, 101)}, "100 unknown, 101 unknown"},
		"all, by the superuser, of others": {[]string{syscall(1, all, "9"), target(1, 100)}, "100 unknown"},
		"all, of his own":                  {[]string{by(syscall(1, all, "9"), 33, 7), target(1, 100), member(101, 7, "x"), member(102, 8, "x")}, "100 success, 101 success, 102 unknown"},
		"all, failed":                      {[]string{failed(by(syscall(1, all, "9"), 33, 33), "-11"), target(1, 100)}, "100 unknown"},
		"a group, of one":                  {[]string{by(syscall(1, group, "9"), 7, 7), target(1, 100)}, "100 success"},
		"a group, of others":               {[]string{by(syscall(1, group, "9"), 7, 7), target(1, 100), target(1, 101)}, "100 unknown, 101 unknown"},
		"a group, by the superuser":        {[]string{syscall(1, group, "9"), target(1, 100), target(1, 101)}, "100 success, 101 success"},
		"a mixed group, by the superuser":  {[]string{syscall(1, group, "9"), target(1, 100), member(101, 7, "x")}, "100 unknown, 101 unknown"},
		"a group, failed":                  {[]string{failed(by(syscall(1, group, "9"), 7, 7), "-1"), target(1, 100), target(1, 101)}, "100 EPERM, 101 EPERM"},
		"a group, SELinux refused some":    {[]string{selinux(1), syscall(1, group, "9"), member(100, 0, "b"), member(101, 0, "c")}, "100 EACCES, 101 success"},
		"SELinux refused somebody else":    {[]string{selinux(1), syscall(1, group, "9"), member(100, 0, "c"), member(101, 0, "c")}, "100 unknown, 101 unknown"},
		"AppArmor refused some":            {[]string{apparmor(), syscall(1, group, "9"), member(100, 0, "b (enforce)"), member(101, 0, "c (enforce)")}, "100 EACCES, 101 success"},
		"Landlock refused some":            {[]string{landlock(1, 101), syscall(1, group, "9"), member(100, 0, "b"), member(101, 0, "b")}, "100 success, 101 EPERM"},
		"Landlock refused the only one":    {[]string{landlock(1, 101), failed(syscall(1, "65", "9"), "-1")}, "101 EPERM"},
		"a record was cut":                 {[]string{syscall(1, group, "9"), target(1, 100), member(101, 33, "b")[:60]}, "100 unknown, 101 unknown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(append(tt.lines, title(1))...)
			b.Flush()
			e := b.only(t)
			var got []string
			for i := range e.Targets {
				p := &e.Targets[i]
				result := e.ResultFor(p)
				text := result.Name()
				if result.Failed() {
					text = result.Error
				}
				got = append(got, fmt.Sprint(p.PID, " ", text))
			}
			assert.Equal(t, tt.want, strings.Join(got, ", "))
		})
	}
}

// Without an audit rule, a security module's refusal is all that is written of a call.
func TestRefusalAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line, want string
	}{
		"SELinux":           {selinux(1), "killer[100] by a signal without a number: EACCES"},
		"SELinux, by name":  {strings.Replace(selinux(1), "{ signal }", "{ sigkill }", 1), "killer[100] SIGKILL: EACCES"},
		"SELinux, signal 0": {strings.Replace(selinux(1), "{ signal }", "{ signull }", 1), "killer[100] SIG0: EACCES"},
		"AppArmor":          {apparmor(), "killer[100] SIGKILL: EACCES"},
		"AppArmor, TSTP":    {strings.Replace(apparmor(), "signal=kill", "signal=stp", 1), "killer[100] SIGTSTP: EACCES"},
		"AppArmor, exists":  {strings.Replace(apparmor(), "signal=kill", "signal=exists", 1), "killer[100] SIG0: EACCES"},
		"AppArmor, RT":      {strings.Replace(apparmor(), "signal=kill", "signal=rtmin+3", 1), "killer[100] SIGRTMIN+3: EACCES"},
		"about a file":      {strings.Replace(selinux(1), "tclass=process", "tclass=file", 1), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(tt.line)
			b.Flush()
			events := b.take()
			if tt.want == "" {
				assert.Empty(t, events)
				return
			}
			e := events[0]
			signal := "by a signal without a number"
			if e.SignalKnown {
				signal = e.Signal.Name()
			}
			assert.Equal(t, tt.want, fmt.Sprintf("%s[%d] %s: %s", e.Sender.Command, e.Sender.PID, signal, e.Result.Error))
			assert.True(t, e.Complete)
			assert.Empty(t, e.Targets)
			assert.Equal(t, kill.KindSignal, e.Kind)
			assert.NotEmpty(t, e.Audit.Subject, "whom the security module has refused it")
		})
	}
	// If a rule has asked for the call, its SYSCALL record was lost, and nothing says what became of the others.
	lossy := newBench(Config{})
	lossy.feed(selinux(1), member(100, 0, "b"), member(101, 0, "c"), title(1))
	lossy.Flush()
	lost := lossy.only(t)
	assert.False(t, lost.Complete)
	assert.Equal(t, "EACCES", lost.ResultFor(&lost.Targets[0]).Error)
	assert.Equal(t, "unknown", lost.ResultFor(&lost.Targets[1]).Name())
	// The refusal of a call that sends no signal, as that of a SIGCHLD at its end, belongs to none.
	b := newBench(Config{})
	b.feed(selinux(1), other(1), selinux(2))
	b.feed(other(2))
	b.Flush()
	assert.Empty(t, b.take())
}

// A process that queues itself a signal which looks like one of the kernel's has no OBJ_PID record.
func TestQueuedToItself(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	queued := strings.Replace(syscall(1, "64", "9"), "syscall=62", "syscall=129", 1)
	b.feed(queued, title(1))
	b.Flush()
	e := b.only(t)
	assert.Equal(t, []int{100}, pids(e))
	assert.Equal(t, "killer", e.Targets[0].Command)
	assert.True(t, e.Complete)

	b.feed(strings.Replace(strings.Replace(queued, "pid=100 ", "pid=99 ", 1), stamp(1), stamp(2), 1), title(2))
	b.Flush()
	assert.Empty(t, b.only(t).Targets, "of another process the kernel would have written one")
}
