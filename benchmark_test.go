// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// killLines are the records of one kill as auditd writes them by default.
var killLines = [][]byte{
	[]byte(`type=SYSCALL msg=audit(1795358790.500:1234): arch=c000003e syscall=62 success=yes exit=0 a0=2b3c a1=9 a2=0 a3=7f8e594aaac0 ` +
		`items=0 ppid=11066 pid=11068 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 ` +
		`comm="kill" exe="/usr/bin/kill" key="audit_kill"` + "\x1d" + `ARCH=x86_64 SYSCALL=kill AUID="unset" UID="root" GID="root" ` +
		`EUID="root" SUID="root" FSUID="root" EGID="root" SGID="root" FSGID="root"`),
	[]byte(`type=OBJ_PID msg=audit(1795358790.500:1234): opid=11068 oauid=-1 ouid=0 oses=-1 ocomm="sleep"` + "\x1d" + `OAUID="unset" OUID="root"`),
	[]byte(`type=PROCTITLE msg=audit(1795358790.500:1234): proctitle=6B696C6C002D39003131303638`),
}

// BenchmarkEvent is the whole way of a kill from bytes to a log record.
func BenchmarkEvent(b *testing.B) {
	logs := telemetry.NewLogs(telemetry.Config{
		HostName: "db1", HostID: "0123456789abcdef0123456789abcdef", OSType: "linux", CommandLine: telemetry.CommandLineRedacted,
	})
	users := process.NewUsers("/etc/passwd")
	now := time.Now()
	events := 0
	correlator := correlate.New(correlate.Config{Timeout: time.Second, MaxPending: 8192, Source: "audit_file"}, func(e *kill.Event) {
		events++
		e.File = "/var/log/audit/audit.log"
		users.Fill(e)
		logs.Append(e, &e.Targets[0], now)
		if logs.Len() == maxRecords {
			logs.Take()
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		for _, line := range killLines {
			record, err := auditrecord.Parse(line)
			if err != nil {
				b.Fatal(err)
			}
			correlator.Add(record, line, 0, now)
		}
	}
	require.Equal(b, b.N, events)
}
