// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestSeed(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Source: "test", KeepOriginal: true})
	lines := recording(t, "seed.log")
	b.feed(lines...)
	assert.Empty(t, b.events, "a PROCTITLE might still come")
	b.Flush()
	e := b.only(t)
	user := func(id uint32) kill.User { return kill.User{ID: kill.NewID(id)} }
	want := &kill.Event{
		Kind: kill.KindSignal, Time: time.UnixMilli(1450214919813), Signal: kill.SIGKILL, SignalKnown: true,
		Syscall: "kill", Origin: kill.OriginUser, Scope: kill.ScopeProcess, Result: kill.Success(), Requested: 3936,
		Sender: kill.Process{
			PID: 3997, ParentPID: 3649, Command: "mykill", Executable: "/opt/bin/mykill",
			User: user(0), RealUser: user(0), SavedUser: user(0), Login: user(500), Session: kill.NewID(1),
			Label: "user_u:system_r:unconfined_t:s0",
		},
		TargetCount: 1, Complete: true, Source: "test", Original: lines[0],
		Audit: kill.Audit{
			Recorded: true,
			Serial:   148, Keys: []string{"audit_kill"}, TTY: "pts3",
			Subject: "user_u:system_r:unconfined_t:s0", Arch: "x86_64",
		},
	}
	*want.AddTarget() = kill.Process{
		PID: 3936, Command: "mysqld", User: user(102), Login: user(500), Session: kill.NewID(1),
		Label: "user_u:system_r:mysqld_t:s0", Original: lines[1],
	}
	assert.Equal(t, want.Targets, e.Targets)
	want.Targets, e.Targets = nil, nil
	e.AddTarget() // the room inside the event is not compared
	want.AddTarget()
	assert.Equal(t, want, e)
}

// Whatever the order of the records, within an event and between events, the
// same events come out.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	lines := recording(t, "variants.log")
	in := newBench(Config{})
	in.feed(lines...)
	in.Flush()
	want := byKey(in.take())
	require.Len(t, want, 57+2+3, "57 of the 62 calls send a signal, two processes crash, two rules go, and the daemon ends")

	reversed := make([]string, len(lines))
	for i, line := range lines {
		reversed[len(lines)-1-i] = line
	}
	orders := map[string][]string{"reversed": reversed}
	for seed := range uint64(50) {
		shuffled := append([]string(nil), lines...)
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // an order, no secret
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		orders["shuffled "+string(rune('A'+seed))] = shuffled
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(order...)
			b.Flush()
			got := byKey(b.take())
			require.Len(t, got, len(want))
			for key, event := range want {
				require.Equal(t, event, got[key])
			}
			assert.Zero(t, b.Pending())
			assert.Zero(t, b.Counts())
		})
	}
}

func byKey(events []*kill.Event) map[string][]any {
	keyed := make(map[string][]any)
	for _, e := range events {
		keyed[fmt.Sprint(e.Kind, e.Time.UnixMilli(), e.Audit.Serial)] = []any{
			e.Signal, e.Syscall, e.Scope, e.Result, e.Requested, e.Sender, e.Targets, e.TargetCount, e.Tamper, e.Audit, e.Complete,
		}
	}
	return keyed
}

func TestClosing(t *testing.T) {
	t.Parallel()
	group := "ffffa839"
	tests := map[string]struct {
		lines []string
		// wait is how long the event stays pending with nothing more to read.
		wait time.Duration
		pids []int
	}{
		"settled":                        {[]string{syscall(1, "64", "9"), target(1, 100), title(1)}, 0, []int{100}},
		"settled, backward":              {[]string{title(1), target(1, 100), syscall(1, "64", "9")}, 0, []int{100}},
		"no command line":                {[]string{syscall(1, "64", "9"), target(1, 100)}, 2 * time.Second, []int{100}},
		"many may follow":                {[]string{syscall(1, group, "9"), target(1, 100), target(1, 99), title(1)}, 100 * time.Millisecond, []int{99, 100}},
		"many, command line in between":  {[]string{syscall(1, group, "9"), target(1, 100), title(1), target(1, 99)}, 100 * time.Millisecond, []int{99, 100}},
		"many, end of event says enough": {[]string{syscall(1, group, "9"), target(1, 100), title(1), eoe(1)}, 0, []int{100}},
		"nobody found":                   {[]string{failed(syscall(1, "64", "9"), "-3"), title(1)}, 0, []int{}},
		"refused":                        {[]string{failed(syscall(1, "64", "9"), "-1"), target(1, 100), title(1)}, 0, []int{100}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(tt.lines...)
			if tt.wait > 0 {
				assert.Empty(t, b.events)
				assert.Equal(t, tt.wait, b.Expire(b.now))
				assert.Equal(t, time.Millisecond, b.Expire(b.now.Add(tt.wait-time.Millisecond)))
				assert.Empty(t, b.events)
				assert.Zero(t, b.Expire(b.now.Add(tt.wait)))
			}
			e := b.only(t)
			assert.True(t, e.Complete)
			assert.Equal(t, tt.pids, pids(e))
			assert.Equal(t, len(tt.pids), e.TargetCount)
			assert.Zero(t, b.Counts())
		})
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Quiet: 30 * time.Millisecond})
	b.feed(syscall(1, "ffffa839", "9"), target(1, 100), title(1))
	assert.Equal(t, 30*time.Millisecond, b.Expire(b.now))
	assert.Zero(t, b.Expire(b.now.Add(30*time.Millisecond)))
	assert.True(t, b.only(t).Complete)
}

func eoe(n int) string { return "type=EOE msg=" + stamp(n) + ": " }

func failed(line, exit string) string {
	return strings.Replace(line, "success=yes exit=0", "success=no exit="+exit, 1)
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	cut := func(line, from string) string {
		before, _, _ := strings.Cut(line, from)
		return before
	}
	for name, lines := range map[string][]string{
		"no call":               {target(1, 100), title(1)},
		"call without a number": {strings.Replace(syscall(1, "64", "9"), "syscall=62", "syscall=6\x012", 1), target(1, 100), title(1)},
		"no target":             {syscall(1, "64", "9"), title(1)},
		"no target, refused":    {failed(syscall(1, "64", "9"), "-1"), title(1)},
		"cut call":              {cut(syscall(1, "64", "9"), " comm="), target(1, 100), title(1)},
		"cut target":            {syscall(1, "64", "9"), cut(target(1, 100), " ocomm="), title(1)},
		"cut command line":      {syscall(1, "64", "9"), target(1, 100), title(1) + "4"},
		"success contradicts":   {strings.Replace(syscall(1, "64", "9"), "exit=0", "exit=-1", 1), target(1, 100), title(1)},
		"failure without errno": {strings.Replace(syscall(1, "64", "9"), "success=yes exit=0", "success=no", 1), target(1, 100), title(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(lines...)
			b.Flush()
			e := b.only(t)
			assert.False(t, e.Complete)
			assert.Equal(t, int64(1), b.Counts().Incomplete)
			assert.Zero(t, b.Counts().Evicted)
		})
	}
}

// rt_sigqueueinfo and pidfd_send_signal may be refused before the kernel has searched for the
// target, so that none is missing.
func TestRefusedBeforeLookup(t *testing.T) {
	t.Parallel()
	for name, number := range map[string]string{"rt_sigqueueinfo": "129", "pidfd_send_signal": "424"} {
		b := newBench(Config{})
		b.feed(strings.Replace(failed(syscall(1, "64", "9"), "-1"), "syscall=62", "syscall="+number, 1), title(1))
		assert.Empty(t, b.events, "in another order, a target may still come")
		b.Flush()
		e := b.only(t)
		assert.Equal(t, name, e.Syscall)
		assert.True(t, e.Complete, name)
		assert.Zero(t, e.TargetCount, name)
	}
}

func TestNotOurs(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"another call":                 {other(1), title(1)},
		"another call, backward":       {title(1), other(1)},
		"ptrace names a target":        {other(1), target(1, 100), title(1)},
		"ptrace, backward":             {title(1), target(1, 100), other(1)},
		"command line alone":           {title(1)},
		"end of event alone":           {eoe(1)},
		"architecture nobody knows":    {strings.Replace(syscall(1, "64", "9"), "arch=c000003e", "arch=12345", 1), title(1)},
		"seccomp that only logs":       {"type=SECCOMP msg=" + stamp(1) + `: auid=1 uid=1 gid=1 ses=1 pid=7 comm="x" exe="/x" sig=0 arch=c000003e syscall=41 compat=0 ip=0x7 code=0x7ffc0000`},
		"other records of other types": {"type=CWD msg=" + stamp(1) + `: cwd="/"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(lines...)
			b.Flush()
			assert.Empty(t, b.events)
			assert.Zero(t, b.Counts())
		})
	}
}

// A command line that only adds to an event of no interest is skipped.
func TestPasses(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	passes := func(line string) bool {
		return b.AddLine([]byte(line), false, 0, b.now) == Ignored
	}
	assert.False(t, passes(title(1)), "nothing is known yet")
	b.feed(other(1))
	assert.True(t, passes(title(1)))
	assert.False(t, passes(title(2)))
	assert.False(t, passes("node=db1 "+title(1)))
	b.feed("node=db1 " + other(1))
	assert.False(t, passes(title(1)))
	assert.False(t, passes("node=db1 "+title(1)))
}

func TestAddLine(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	for _, tt := range []struct {
		line string
		want Verdict
	}{
		{"", NoRecord},
		{"hello", NoRecord},
		{"type=CWD msg=audit(now): whatever", Ignored},
		{"node=db1 type=CWD msg=audit(now): whatever", Ignored},
		{"type=SYSCALL msg=audit(now): arch=c000003e syscall=62", NoRecord},
		{"type=UNKNOWN[1999] msg=" + stamp(1) + ": a=b", Ignored},
		{"type=SYSCALL msg=" + stamp(1) + ": arch=c000003e sysc", Broken},
		{other(2), Taken},
		{title(2), Ignored},
		{syscall(3, "64", "9"), Taken},
		{target(3, 100), Taken},
		{title(3) + "\r", Taken},
	} {
		assert.Equal(t, tt.want, b.AddLine([]byte(tt.line), false, 0, b.now), tt.line)
	}
	assert.True(t, b.only(t).Complete)
}

func TestAddMessage(t *testing.T) {
	t.Parallel()
	b := newBench(Config{KeepOriginal: true})
	_, verdict := b.AddMessage(auditrecord.TypeSyscall, []byte("audit(now): a"), false, 0, b.now)
	assert.Equal(t, NoRecord, verdict)
	serial, verdict := b.AddMessage(1302, []byte(stamp(5)+": item=0"), false, 0, b.now)
	assert.Equal(t, Ignored, verdict)
	assert.EqualValues(t, 5, serial)
	for _, line := range []string{syscall(6, "64", "9"), target(6, 100), title(6)} {
		kind, _, message := auditrecord.Split([]byte(line))
		serial, verdict = b.AddMessage(kind, bytes.TrimPrefix(message, []byte("msg=")), false, 0, b.now)
		assert.Equal(t, Taken, verdict)
		assert.EqualValues(t, 6, serial)
	}
	e := b.only(t)
	assert.Equal(t, syscall(6, "64", "9")+"\n"+title(6), e.Original)
	assert.Equal(t, target(6, 100), e.Targets[0].Original)
}

// The serial restarts at boot, and other hosts have serials of their own.
func TestSameSerial(t *testing.T) {
	t.Parallel()
	later := func(line string) string { return strings.Replace(line, "audit(1450214919", "audit(1450299999", 1) }
	on := func(node, line string) string { return "node=" + node + " " + line }
	b := newBench(Config{})
	b.feed(
		syscall(1, "64", "9"), later(syscall(1, "65", "f")), on("db1", syscall(1, "66", "9")), on("db2", syscall(1, "67", "9")),
		on("db2", target(1, 103)), later(target(1, 101)), target(1, 100), on("db1", target(1, 102)),
		title(1), on("db1", title(1)), later(title(1)), on("db2", title(1)),
	)
	events := b.take()
	require.Len(t, events, 4)
	for i, want := range []struct {
		pid  int
		node string
	}{{100, ""}, {102, "db1"}, {101, ""}, {103, "db2"}} {
		assert.Equal(t, []int{want.pid}, pids(events[i]))
		assert.Equal(t, want.pid, events[i].Requested)
		assert.Equal(t, want.node, events[i].Audit.Node)
	}
}

func TestOldest(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	_, ok := b.Oldest()
	assert.False(t, ok)
	b.feed(
		"type=OBJ_PID msg=audit(1450214919.813:148): opid=3936 oauid=500 ouid=102 oses=1 ocomm=\"mysqld\"",
		"type=OBJ_PID msg=audit(1450214920.000:149): opid=3937 oauid=500 ouid=102 oses=1 ocomm=\"mysqld\"",
	)
	oldest, ok := b.Oldest()
	assert.True(t, ok)
	assert.Equal(t, time.UnixMilli(1450214919813).UTC(), oldest.UTC())
	b.Flush()
	_, ok = b.Oldest()
	assert.False(t, ok)
}

func TestEviction(t *testing.T) {
	t.Parallel()
	t.Run("the oldest goes, incomplete", func(t *testing.T) {
		t.Parallel()
		b := newBench(Config{MaxPending: 3})
		for n := 1; n <= 5; n++ {
			b.feed(syscall(n, "64", "9"), target(n, n))
		}
		assert.Equal(t, 3, b.Pending())
		events := b.take()
		require.Len(t, events, 2)
		assert.Equal(t, []int{1}, pids(events[0]))
		assert.Equal(t, []int{2}, pids(events[1]))
		assert.False(t, events[0].Complete)
		assert.Equal(t, Counts{Incomplete: 2, Evicted: 2}, b.Counts())
		b.Flush()
		for _, e := range b.take() {
			assert.True(t, e.Complete)
		}
	})
	t.Run("settled ones go first", func(t *testing.T) {
		t.Parallel()
		b := newBench(Config{MaxPending: 2})
		b.feed(syscall(1, "64", "9"), syscall(2, "ffffa839", "9"), target(2, 2), title(2), syscall(3, "64", "9"))
		e := b.only(t)
		assert.Equal(t, []int{2}, pids(e))
		assert.True(t, e.Complete)
		assert.Zero(t, b.Counts())
	})
	t.Run("without a bound of one's own", func(t *testing.T) {
		t.Parallel()
		for _, none := range []int{0, -1} {
			b := newBench(Config{MaxPending: none})
			b.feed(syscall(1, "64", "9"), target(1, 1), syscall(2, "64", "9"), target(2, 2))
			assert.Equal(t, 2, b.Pending())
			assert.Equal(t, DefaultMaxPending, b.config.MaxPending)
		}
	})
	t.Run("memory is bounded as well", func(t *testing.T) {
		t.Parallel()
		b := newBench(Config{})
		b.feed(syscall(1, "ffffffff", "9"))
		for pid := range 300_000 {
			b.feed(target(1, pid+1))
			require.LessOrEqual(t, b.table.bytes, maxBytes)
		}
		b.Flush()
		events := b.take()
		seen := 0
		for _, e := range events {
			seen += len(e.Targets)
			assert.False(t, e.Complete)
		}
		assert.Equal(t, 300_000, seen, "no target is lost")
		assert.Less(t, len(events), 10, "and it is kept together as far as it fits")
	})
}

// While catching up, the clock shows nothing: a paused reader must not close events whose records
// it has not read yet.
func TestCatchingUp(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(syscall(1, "64", "9"))
	b.now = b.now.Add(time.Hour)
	b.feed(other(3_600_000), other(3_600_001))
	assert.Empty(t, b.events, "few records since, even if an hour later")
	b.feed(target(1, 100), title(1))
	assert.True(t, b.only(t).Complete)

	b.feed(syscall(3_600_002, "64", "9"), target(3_600_002, 7))
	for range quietRecords {
		b.feed(other(3_600_003))
	}
	assert.Empty(t, b.events, "many records since, but at the same time")
	b.feed(other(3_603_000))
	assert.True(t, b.only(t).Complete)
}

// A log may come from several hosts whose clocks differ, or the clock may be set back. Neither
// closes an event before its records have arrived.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	for n := range 2000 {
		b.feed(other(10_000_000+n), syscall(n, "64", "9"), other(10_000_000+n), target(n, 100), title(n))
	}
	assert.Zero(t, b.Counts())
	assert.Len(t, b.take(), 2000)
}

// The same lines twice, as in two joined logs, change nothing.
func TestRepeatedRecords(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(syscall(1, "ffffa839", "9"), syscall(1, "ffffa839", "9"), target(1, 5), target(1, 6), target(1, 5), title(1), title(1))
	b.Flush()
	e := b.only(t)
	assert.Equal(t, []int{5, 6}, pids(e))
	assert.Equal(t, 2, e.TargetCount)
}

// Records that appear again after their event was closed are not another event; a whole event that appears again is.
func TestRepeatedAfterClosing(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	event := []string{syscall(1, "64", "9"), target(1, 100), title(1)}
	b.feed(event...)
	b.feed(event[1], event[2])
	b.Flush()
	require.Len(t, b.take(), 1)
	b.feed(event...)
	assert.True(t, b.only(t).Complete)
}

// A text may be very long; it counts, too.
func TestMemoryOfLongRecords(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	for n := range 1000 {
		b.feed(title(n) + strings.Repeat("41", 30_000))
		require.LessOrEqual(t, b.table.bytes, maxBytes)
	}
	assert.Less(t, b.Pending(), 1000)
}

// A target that arrives after its event was closed is emitted nevertheless.
func TestLateTarget(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(syscall(1, "ffffa839", "9"), target(1, 5), title(1))
	b.Expire(b.now.Add(time.Second))
	assert.Equal(t, []int{5}, pids(b.only(t)))
	b.feed(target(1, 6))
	b.Expire(b.now.Add(time.Hour))
	late := b.only(t)
	assert.Equal(t, []int{6}, pids(late))
	assert.False(t, late.Complete)
	assert.False(t, late.SignalKnown)
	assert.Equal(t, kill.OriginUser, late.Origin)
}
