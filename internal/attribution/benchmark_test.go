// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// busyTable returns a table that knows a thousand units of ten managers, and as many requests.
func busyTable() *Table {
	processes := known{}
	table := New(Config{Processes: processes})
	table.Follow(1, true, false)
	for i := range 1000 {
		p := process(2000+i, fmt.Sprintf("systemctl stop unit%d", i), 0, 1000, "/user.slice/session-17.scope", bash, sshd)
		processes[p.PID] = p
		f := connects(0, p)
		table.Learn(&f)
		f = begins(ms, uint32(i+1), "stop", fmt.Sprintf("unit%d.service", i))
		table.Learn(&f)
	}
	f := login(0, "17", 1000, "alice", "10.0.0.5")
	table.Learn(&f)
	return table
}

// BenchmarkExplain explains signals of somebody who acts for himself, and those of systemd.
func BenchmarkExplain(b *testing.B) {
	b.Run("pkill", func(b *testing.B) {
		table := busyTable()
		e := sends(5*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
		e.Sender = *process(300, "pkill -f mariadbd", 0, 1000, "/user.slice/user-1000.slice/session-17.scope", script, bash, sshd)
		b.ReportAllocs()
		for b.Loop() {
			table.Explain(e)
		}
	})
	b.Run("systemd", func(b *testing.B) {
		table := busyTable()
		b.ReportAllocs()
		for b.Loop() {
			e := sends(5*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "unit500.service"))
			table.Explain(e)
		}
	})
}

// BenchmarkCrowd explains a signal of systemd while many processes of root have asked for the same.
func BenchmarkCrowd(b *testing.B) {
	for _, requests := range []int{100, 1000, 2000} {
		b.Run(strconv.Itoa(requests), func(b *testing.B) {
			processes := known{}
			table := New(Config{Processes: processes})
			table.Follow(1, true, false)
			for i := range requests {
				p := process(2000+i, "systemctl stop mariadb", 0, 1000, "/user.slice/session-17.scope", bash, sshd)
				processes[p.PID] = p
				f := connects(0, p)
				table.Learn(&f)
			}
			f := begins(ms, 1, "stop", "mariadb.service")
			table.Learn(&f)
			for b.Loop() {
				e := sends(5*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service"))
				table.Explain(e)
			}
		})
	}
}

// BenchmarkLearn learns that somebody has connected to a manager, or has called it.
func BenchmarkLearn(b *testing.B) {
	for name, told := range map[string]func(at time.Duration, p *kill.Process) Fact{"connect": connects, "call": sendsCall} {
		b.Run(name, func(b *testing.B) {
			table := busyTable()
			p := process(2500, "systemctl stop unit500", 0, 1000, "/user.slice/session-17.scope", bash, sshd)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f := told(time.Duration(i)*ms, p)
				table.Learn(&f)
			}
		})
	}
}
