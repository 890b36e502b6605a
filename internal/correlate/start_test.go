// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// started makes the SYSCALL record of the start of a program.
func started(n int) string {
	return fmt.Sprintf(`type=SYSCALL msg=%s: arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 items=2 ppid=1 pid=9 auid=1000 `+
		`uid=1000 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=17 comm="systemctl" exe="/usr/bin/systemctl" `+
		`subj=unconfined key="audit_kill"`, stamp(n))
}

func execve(n int, arguments ...string) string {
	text := fmt.Appendf(nil, "type=EXECVE msg=%s: argc=%d", stamp(n), len(arguments))
	for i, argument := range arguments {
		text = fmt.Appendf(text, " a%d=%s", i, argument)
	}
	return string(text)
}

// titled is the PROCTITLE record of the first event.
func titled(text string) string {
	return fmt.Sprintf("type=PROCTITLE msg=%s: proctitle=%X", stamp(1), text)
}

func TestStarts(t *testing.T) {
	t.Parallel()
	told := func(title string) []string {
		return []string{fmt.Sprintf(`1 [9 self true] systemctl %q as (0 true) of 1000 in 17`, strings.ReplaceAll(title, " ", "\x00"))}
	}
	call, arguments := started(1), execve(1, `"systemctl"`, `"stop"`, `"a"`)
	rest := []string{
		`type=BPRM_FCAPS msg=` + stamp(1) + `: fver=0`, `type=CWD msg=` + stamp(1) + `: cwd="/"`,
		`type=PATH msg=` + stamp(1) + `: item=0 name="/usr/bin/systemctl"`,
	}
	long := strings.Repeat("x", 60)
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"as it is written":             {append(append([]string{call, arguments}, rest...), titled("systemctl\x00stop\x00a")), told("systemctl stop a")},
		"without its arguments":        {append(append([]string{call}, rest...), titled("systemctl\x00stop\x00b")), told("systemctl stop b")},
		"arguments that are encoded":   {[]string{call, execve(1, `"systemctl"`, "C3A97A"), titled("x")}, told("systemctl éz")},
		"an argument that is empty":    {[]string{call, execve(1, `"systemctl"`, `""`, `"a"`)}, told("systemctl  a")},
		"arguments in several records": {[]string{call, strings.Replace(arguments, "argc=3", "argc=4", 1), "type=EXECVE msg=" + stamp(1) + `: a3="b"`, titled("systemctl")}, told("systemctl stop a")},
		"an argument in pieces":        {[]string{call, execve(1, `"systemctl"`, `"stop"`) + " a2_len=9 a2[0]=41 a2[1]=42", titled("x")}, told("systemctl stop")},
		"an argument with a NUL":       {[]string{call, execve(1, `"systemctl"`, `6100`), titled("x")}, told("systemctl")},
		"only an argument in pieces":   {[]string{call, "type=EXECVE msg=" + stamp(1) + ": argc=1 a0_len=9 a0[0]=41", titled("systemctl\x00stop")}, told("systemctl stop")},
		"very many arguments":          {[]string{call, execve(1, `"systemctl"`, `"`+strings.Repeat("x", longestCommand)+`"`), titled("x")}, told("systemctl")},
		"a command line that is cut":   {[]string{call, titled("systemctl\x00stop\x00" + long + "\x00" + long)}, told("systemctl stop " + long)},
		"a name that is cut":           {[]string{call, titled(long + long + "x")}, nil},
		"no command line":              {[]string{call, "type=PROCTITLE msg=" + stamp(1) + `: proctitle="(null)"`}, nil},
		"several keys":                 {[]string{strings.Replace(call, `key="audit_kill"`, "key=6578656301"+fmt.Sprintf("%X", DefaultKey), 1), arguments}, told("systemctl stop a")},
		"enriched":                     {[]string{call + "\x1dARCH=x86_64 SYSCALL=execve", arguments}, told("systemctl stop a")},
		"enriched, no separator":       {[]string{call + "ARCH=x86_64 SYSCALL=execve", arguments}, told("systemctl stop a")},
		"by execveat":                  {[]string{strings.Replace(call, "syscall=59", "syscall=322", 1), arguments}, told("systemctl stop a")},
		"by the x32 ABI":               {[]string{strings.Replace(call, "syscall=59", "syscall=1073742344", 1), arguments}, told("systemctl stop a")},
		"by a 32-bit program":          {[]string{strings.Replace(call, "c000003e syscall=59", "40000003 syscall=11", 1), arguments}, told("systemctl stop a")},
		"twice in the log":             {[]string{call, arguments, call, titled("systemctl")}, append(told("systemctl stop a"), told("systemctl")...)},
		"with another key":             {[]string{strings.Replace(call, "audit_kill", "exec", 1), arguments, titled("x")}, nil},
		"without a key":                {[]string{strings.Replace(call, `"audit_kill"`, "(null)", 1), arguments, titled("x")}, nil},
		"with a key that is cut":       {[]string{strings.Replace(call, `"audit_kill"`, `"audit_kill`, 1), arguments, titled("x")}, nil},
		"that has failed":              {[]string{strings.Replace(call, "success=yes exit=0", "success=no exit=-2", 1), arguments, titled("x")}, nil},
		"of which the call is missing": {[]string{arguments, titled("x")}, nil},
		"its records mixed with another's": {
			[]string{call, strings.Replace(started(2), "pid=9", "pid=10", 1), execve(2, `"b"`), arguments},
			[]string{`2 [10 self true] systemctl "b" as (0 true) of 1000 in 17`, told("systemctl stop a")[0]},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFactBench()
			b.feed(tt.lines...)
			b.Expire(b.now.Add(time.Hour))
			assert.Equal(t, tt.want, b.facts)
			assert.Empty(t, b.take(), "it is no signal")
			assert.Zero(t, b.table.starts)
			assert.Zero(t, b.Pending())
			assert.Equal(t, b.position, b.Safe(b.position))

			unwanted := newBench(Config{})
			unwanted.feed(tt.lines...)
			unwanted.Flush()
			assert.Empty(t, unwanted.events)
		})
	}
}

// TestStartsAreSafe reads again what is not complete.
func TestStartsAreSafe(t *testing.T) {
	t.Parallel()
	b := newFactBench()
	b.feed(title(0))
	b.Flush()
	start := b.position
	b.feed(started(1))
	assert.Equal(t, start, b.Safe(b.position))
	b.feed(execve(1, `"reboot"`))
	assert.Equal(t, b.position, b.Safe(b.position))
	assert.Len(t, b.facts, 1)
}

// TestStartsFromKernel ends with a record that says so.
func TestStartsFromKernel(t *testing.T) {
	t.Parallel()
	b := newFactBench()
	for _, line := range []string{started(1), execve(1, `"a"`, `"b"`) + " a2_len=7", "type=EOE msg=" + stamp(1) + ": "} {
		kind, _, message := auditrecord.Split([]byte(line))
		b.AddMessage(kind, message, false, 0, b.now)
	}
	assert.Equal(t, []string{`1 [9 self true] systemctl "a\x00b" as (0 true) of 1000 in 17`}, b.facts)
}
