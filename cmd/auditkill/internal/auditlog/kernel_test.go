// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const victim = "Out of memory: Killed process 7 (sh) total-vm:4kB, anon-rss:3kB, file-rss:2kB, shmem-rss:1kB, UID:0 pgtables:4kB oom_score_adj:0"

// bootOf knows one message.
type bootOf struct {
	at   time.Duration
	text string
}

func (b bootOf) Has(at time.Duration, text string) bool { return b.at == at && b.text == text }

func (bootOf) Time(sinceBoot time.Duration) time.Time {
	return time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC).Add(sinceBoot)
}

func killsOf(l *Log) (all []*kill.Event) {
	for e := range l.Events(correlate.Config{Timeout: 2 * time.Second, MaxPending: 8192}) {
		all = append(all, e)
	}
	return all
}

// The time of a kill is told as far as it is known.
func TestKernelLogs(t *testing.T) {
	t.Parallel()
	local := func(text string) time.Time {
		at, err := time.ParseInLocation(time.DateTime, text, time.Local) //nolint:gosmopolitan // as the log has it
		require.NoError(t, err)
		return at
	}
	utc := time.Date(2026, 11, 29, 2, 37, 32, 123456000, time.UTC)
	lastYear := local("2025-12-31 23:59:59")
	if time.Now().Year() != 2026 { // the years of these lines are the last that they fit
		lastYear = lastYear.AddDate(time.Now().Year()-2026, 0, 0)
	}
	for name, c := range map[string]struct {
		line   string
		at     time.Time
		source string
		host   string
		doubts Doubt
	}{
		"dmesg -T":                 {line: "[Sun Nov 29 02:37:32 2026] " + victim, at: local("2026-11-29 02:37:32"), source: "kmsg"},
		"dmesg -T, first of month": {line: "[Sun Nov  1 02:37:32 2026] " + victim, at: local("2026-11-01 02:37:32"), source: "kmsg"},
		"dmesg iso":                {line: "2026-11-29T02:37:32,123456+00:00 " + victim, at: utc, source: "kmsg"},
		"journal short-iso":        {line: "2026-11-29T04:37:32+0200 db1 kernel: " + victim, at: utc.Truncate(time.Second), source: "journal", host: "db1"},
		"syslog":                   {line: "2026-11-29T02:37:32.123456+00:00 db1 kernel: [   12.345678] " + victim, at: utc, source: "journal", host: "db1", doubts: Forgeable},
		"syslog with a priority":   {line: "<3>2026-11-29T02:37:32.123456+00:00 db1 kernel: [   12.345678] " + victim, at: utc, source: "journal", host: "db1", doubts: Forgeable},
		"short with a priority":    {line: "<3>Dec 31 23:59:59 db1 kernel: [   12.345678] " + victim, at: lastYear, source: "journal", host: "db1", doubts: Forgeable | NoYear},
		"journal short":            {line: "Dec 31 23:59:59 db1 kernel: " + victim, at: lastYear, source: "journal", host: "db1", doubts: NoYear},
		"journal with others":      {line: "2026-11-29T02:37:32.123456Z db1 sshd[7]: x\n2026-11-29T02:37:32.123456Z db1 kernel: " + victim, at: utc, source: "journal", host: "db1", doubts: Forgeable},
		"journal json": {
			line: `{"_TRANSPORT":"kernel","__REALTIME_TIMESTAMP":"1795919852123456","_HOSTNAME":"db1","SYSLOG_FACILITY":"0","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"` + victim + `"}`,
			at:   time.UnixMicro(1795919852123456), source: "journal", host: "db1",
		},
		"dmesg of this boot": {line: "[   12.345678] " + victim, at: bootOf{}.Time(12345678 * time.Microsecond), source: "kmsg", doubts: SinceBoot},
		"dmesg -r":           {line: "<3>[   12.345678] " + victim, at: bootOf{}.Time(12345678 * time.Microsecond), source: "kmsg", doubts: SinceBoot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New("stdin", strings.NewReader(c.line+"\n"))
			l.Boot = bootOf{12345678 * time.Microsecond, victim}
			kills := killsOf(l)
			require.Len(t, kills, 1)
			assert.WithinDuration(t, c.at, kills[0].Time, 0)
			assert.Equal(t, c.source, kills[0].Source)
			assert.Equal(t, c.host, kills[0].Audit.Node)
			assert.Equal(t, "sh", kills[0].Targets[0].Command)
			assert.Equal(t, c.doubts, l.Doubts())
		})
	}
}

// Nobody but the kernel tells of kills.
func TestNotOfTheKernel(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"another program":            "2026-11-29T02:37:32Z db1 sh[7]: " + victim,
		"another kernel":             "2026-11-29T02:37:32Z db1 kernel[7]: " + victim,
		"json of another program":    `{"_TRANSPORT":"syslog","__REALTIME_TIMESTAMP":"1795919852123456","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"` + victim + `"}`,
		"json without its transport": `{"__REALTIME_TIMESTAMP":"1795919852123456","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"` + victim + `"}`,
		"json of systemd":            `{"_TRANSPORT":"kernel","SYSLOG_FACILITY":"3","__REALTIME_TIMESTAMP":"1795919852123456","MESSAGE":"` + victim + `"}`,
		"dmesg -r of systemd":        "<30>[   12.345678] " + victim,
		"an indented line":           "2026-11-29T02:37:32Z db1 kernel: x\n          " + victim,
	} {
		l := New("stdin", strings.NewReader("2026-11-29T02:37:31Z db1 kernel: begins\n"+line+"\n"))
		assert.Empty(t, killsOf(l), name)
	}
}

// A time since boot means nothing without the boot.
func TestAnotherBoot(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../../internal/kernellog/testdata/4.19.dmesg")
	require.NoError(t, err)
	l := New("stdin", strings.NewReader(string(data)))
	l.Boot = bootOf{time.Second, victim}
	var problems []Problem
	l.Problem = func(p Problem) { problems = append(problems, p) }
	assert.Empty(t, killsOf(l))
	require.Len(t, problems, 1)
	require.ErrorIs(t, problems[0], errOtherBoot)
	assert.True(t, problems[0].Rest)
}

// Any bytes cost little, and an audit log stays one.
func FuzzKernelLog(f *testing.F) {
	f.Add("2026-11-29T02:37:32Z db1 kernel: " + victim)
	f.Add("[   12.345678] " + victim + "\n" + strings.Repeat("x", 100_000))
	f.Add(`{"_TRANSPORT":"kernel","__REALTIME_TIMESTAMP":"1795919852123456","MESSAGE":[65,10]}`)
	f.Add("[Sun Nov 31 02:37:32 2026] x\nFeb 30 00:00:00 a kernel: b")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range killsOf(New("stdin", strings.NewReader("[    0.000000] Linux version\n"+text))) {
			require.NotEmpty(t, e.Targets)
			require.False(t, e.Time.Before(zero))
		}
	})
}
