// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// boot is when the hosts of these tests were started.
var boot = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// read reads a log as /dev/kmsg has it, or as dmesg and others print it.
func read(tb testing.TB, data string) []*kill.Event {
	tb.Helper()
	p := &Parser{Source: "kmsg"}
	reader := &Reader{Location: time.UTC, Latest: boot}
	for line := range strings.Lines(data) {
		line = strings.TrimSuffix(line, "\n")
		if r, err := ParseRecord([]byte(line)); err == nil {
			if r.Kernel {
				p.Add(Message{Time: boot.Add(r.SinceBoot), Text: r.Text, Caller: r.Caller})
			}
			continue
		}
		if e, err := reader.Parse(line); err == nil && e.Kernel() {
			if e.Stamp == StampBoot {
				e.Time = boot.Add(e.SinceBoot)
			}
			p.Add(e.Message)
		}
	}
	p.Flush()
	return p.Take()
}

// describe says all that is known of events.
func describe(events []*kill.Event) string {
	var b strings.Builder
	for _, e := range events {
		o := e.OutOfMemory
		fmt.Fprintf(&b, "%s %s constraint=%q cgroup=%q limit=%s usage=%s invoker=%q pid=%d thread=%d", e.Time.Format(time.RFC3339Nano),
			e.Audit.Node, o.Constraint, o.Cgroup, say(o.Limit), say(o.Usage), o.Invoker.Command, o.Invoker.PID, o.Invoker.ThreadID)
		fmt.Fprintf(&b, " complete=%t targets=%d\n", e.Complete, e.TargetCount)
		for _, p := range e.Targets {
			m := p.Memory
			user := "?"
			if p.User.ID.Known {
				user = strconv.FormatUint(uint64(p.User.ID.Value), 10)
			}
			fmt.Fprintf(&b, "  %q[%d] uid=%s anon=%s file=%s shmem=%s vm=%s tables=%s adj=%s\n", p.Command, p.PID, user, say(m.AnonRSS),
				say(m.FileRSS), say(m.ShmemRSS), say(m.TotalVM), say(m.PageTables), say(m.ScoreAdj))
		}
	}
	return b.String()
}

func say(a kill.Amount) string {
	if !a.Known {
		return "?"
	}
	return strconv.FormatInt(a.Value, 10)
}
