// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// killLines are the records of one kill as auditd writes them by default. No process has its
// pids: both are dead by the time the log is read.
func killLines(at time.Time) [][]byte {
	var lines [][]byte
	for _, line := range []string{
		`type=SYSCALL %s: arch=c000003e syscall=62 success=yes exit=0 a0=401641 a1=9 a2=0 a3=7f8e594aaac0 ` +
			`items=0 ppid=4200000 pid=4200001 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 ` +
			`comm="kill" exe="/usr/bin/kill" key="audit_kill"` + "\x1d" + `ARCH=x86_64 SYSCALL=kill AUID="unset" UID="root" GID="root" ` +
			`EUID="root" SUID="root" FSUID="root" EGID="root" SGID="root" FSGID="root"`,
		`type=OBJ_PID %s: opid=4200001 oauid=-1 ouid=0 oses=-1 ocomm="sleep"` + "\x1d" + `OAUID="unset" OUID="root"`,
		`type=PROCTITLE %s: proctitle=6B696C6C002D39003131303638`,
	} {
		lines = append(lines, fmt.Appendf(nil, line, fmt.Sprintf("msg=audit(%d.%03d:1234)", at.Unix(), at.UnixMilli()%1000)))
	}
	return lines
}

// BenchmarkEvent measures the whole way of a kill from bytes to a log record.
func BenchmarkEvent(b *testing.B) {
	for name, at := range map[string]time.Time{
		"before_boot": time.UnixMilli(1450214919813),
		"since_boot":  time.Now(),
	} {
		b.Run(name, func(b *testing.B) { benchmarkEvent(b, killLines(at)) })
	}
}

func benchmarkEvent(b *testing.B, lines [][]byte) {
	const id = "0123456789abcdef0123456789abcdef"
	logs := telemetry.NewLogs(telemetry.Config{
		Resource: telemetry.DefaultResource(machine.Machine{Name: "db1", ID: id, OS: "linux"}), HostID: id, CommandLine: redact.Redacted,
	})
	users := process.NewUsers("/etc/passwd", "")
	table := process.NewTable(process.Config{})
	require.NoError(b, table.Prime())
	now := time.Now()
	events := 0
	correlator := correlate.New(correlate.Config{Timeout: time.Second, MaxPending: 8192, Source: "audit_file"}, func(e *kill.Event) {
		events++
		e.File = "/var/log/audit/audit.log"
		table.Fill(e)
		users.Fill(e)
		logs.Append(e, &e.Targets[0], now)
		if logs.Len() == 512 {
			logs.Take()
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		for _, line := range lines {
			correlator.AddLine(line, false, 0, now)
		}
	}
	require.Equal(b, b.N, events)
}
