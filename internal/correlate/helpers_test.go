// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// bench is a correlator that is fed with lines, and what it has emitted.
type bench struct {
	*Correlator
	events   []*kill.Event
	position Position
	now      time.Time
}

func newBench(config Config) *bench {
	if config.Timeout == 0 {
		config.Timeout = 2 * time.Second
	}
	b := &bench{now: time.Unix(1450214919, 0)}
	b.Correlator = New(config, func(e *kill.Event) { b.events = append(b.events, e) })
	return b
}

// feed adds lines; each takes as much room in the stream as it has bytes.
func (b *bench) feed(lines ...string) {
	for _, line := range lines {
		b.AddLine([]byte(line), false, b.position, b.now)
		b.position += Position(len(line) + 1)
	}
}

// take returns what was emitted and forgets it.
func (b *bench) take() []*kill.Event {
	events := b.events
	b.events = nil
	return events
}

// only returns the event that was emitted, which must be the only one.
func (b *bench) only(t *testing.T) *kill.Event {
	t.Helper()
	events := b.take()
	require.Len(t, events, 1)
	return events[0]
}

// recording reads the lines of a file in testdata.
func recording(t *testing.T, name string) []string {
	t.Helper()
	log, err := os.ReadFile("../../testdata/" + name)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
}

// stamp is the time and serial of the records made below: the n-th event,
// n milliseconds after the first.
func stamp(n int) string {
	return fmt.Sprintf("audit(%d.%03d:%d)", 1450214919+n/1000, n%1000, n)
}

// syscall makes a SYSCALL record of kill(pid, signal) on x86_64.
func syscall(n int, pid, signal string) string {
	return fmt.Sprintf(`type=SYSCALL msg=%s: arch=c000003e syscall=62 success=yes exit=0 a0=%s a1=%s a2=0 a3=0 items=0 `+
		`ppid=1 pid=100 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 `+
		`comm="killer" exe="/bin/killer" key="audit_kill"`, stamp(n), pid, signal)
}

func target(n, pid int) string {
	return fmt.Sprintf(`type=OBJ_PID msg=%s: opid=%d oauid=-1 ouid=33 oses=-1 ocomm="victim"`, stamp(n), pid)
}

func title(n int) string {
	return fmt.Sprintf(`type=PROCTITLE msg=%s: proctitle=6B696C6C6572002D39`, stamp(n))
}

// other makes a SYSCALL record of a call that sends no signal.
func other(n int) string {
	return strings.Replace(syscall(n, "1", "9"), "syscall=62", "syscall=257", 1)
}

// pids returns the pids of an event's targets.
func pids(e *kill.Event) []int {
	list := []int{}
	for _, p := range e.Targets {
		list = append(list, p.PID)
	}
	return list
}
