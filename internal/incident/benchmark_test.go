// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// BenchmarkAdd takes in a rolling restart over more hosts than one incident has room for.
func BenchmarkAdd(b *testing.B) {
	records := rolling(1000, "alice", "10.0.0.5")
	config := usual()
	config.MaxMembers, config.MaxDuration, config.MaxOpen = 10_000, 24*time.Hour, 10_000
	table := NewTable(config)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		r := *records[n%len(records)]
		r.UserName, r.UID = fmt.Sprint("user", n/2000), strconv.Itoa(n)
		r.Requester.PID, r.Initiator.PID, r.Target.PID = int64(n), int64(n), int64(n)
		table.Add(&r, noon)
		n++
	}
}

// BenchmarkFull takes in signals that have nothing in common, on as many hosts as there is room for incidents, or on one.
func BenchmarkFull(b *testing.B) {
	for _, hosts := range []int{1, 20_000} {
		b.Run(strconv.Itoa(hosts), func(b *testing.B) {
			config := usual()
			config.MaxMembers, config.MaxOpen = 10_000, 10_000
			table := NewTable(config)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				table.Add(at(0, fmt.Sprint("h", n%hosts), int64(n+2), sentBy(int64(n+2), "kill", "1000")), noon)
				n++
			}
		})
	}
}

// TestMemory measures what a member takes, in incidents of 1,000 processes on as many hosts.
func TestMemory(t *testing.T) { // not in parallel: others would allocate meanwhile
	config := usual()
	config.MaxMembers, config.MaxDuration = 10_000, 24*time.Hour
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := NewTable(config)
	const incidents, hosts = 10, 1000
	for n := range incidents {
		for _, r := range rolling(hosts, fmt.Sprint("user", n), "10.0.0.5") {
			r.Requester.PID += int64(n) * 1000
			r.Initiator.PID += int64(n) * 1000
			r.Session += strconv.Itoa(n)
			r.Target.PID += int64(n)
			r.UID += strconv.Itoa(n)
			table.Add(r, noon)
			o := *r
			outcome("exited", false)(&o)
			o.UID += "end"
			table.Add(&o, noon)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Equal(t, incidents*hosts, table.Counts().Members)
	each := (after.HeapAlloc - before.HeapAlloc) / (incidents * hosts)
	t.Logf("%d bytes for a member", each)
	const most = 1024
	require.Less(t, each, uint64(most))
}

// TestMemoryOfLongTexts measures what a process takes whose records have texts as long as somebody likes.
func TestMemoryOfLongTexts(t *testing.T) { // not in parallel: others would allocate meanwhile
	long := strings.Repeat("x", 2*longest)
	for name, tt := range map[string]struct {
		record func(n int) *Record
		most   uint64
	}{
		"signals of several sources": {func(n int) *Record {
			return at(float64(n%maxRecent), "a", int64(n/maxRecent+1), sentBy(50, "kill", "1000"), source(fmt.Sprint(n, long)), func(r *Record) {
				r.Target.Name = fmt.Sprint(n, long)
			})
		}, 256},
		"pods in namespaces with long names": {func(n int) *Record {
			return at(0, "node", int64(n+1), pod(fmt.Sprint(n, long), "web-0"), askedBy(100, "x"), func(r *Record) {
				r.Target.PodUID, r.Target.Container = strconv.Itoa(n), ""
			})
		}, 1024},
		"single signals": {func(n int) *Record { return singleOf(n, strings.Repeat("x", longest)) }, 10_240},
		"single signals with names as long as names can be": {func(n int) *Record { return singleOf(n, strings.Repeat("x", longestText-5)) }, 11_264},
		"hosts": {func(n int) *Record {
			return at(0, fmt.Sprint(n, long), 1, login("alice", "10.0.0.5", ""))
		}, 2304},
	} {
		t.Run(name, func(t *testing.T) {
			config := usual()
			config.MaxMembers, config.MaxOpen = 10_000, 10_000
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			table := NewTable(config)
			const records = 8000
			for n := range records {
				table.Add(tt.record(n), noon)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			each := (after.HeapAlloc - before.HeapAlloc) / records
			t.Logf("%d bytes for a record", each)
			assert.Less(t, each, tt.most)
			assert.Positive(t, table.Counts().Members)
		})
	}
}

// singleOf is a signal with all texts that a record can have, which has nothing in common with others.
func singleOf(n int, long string) *Record {
	text := func(field string) string { return strconv.Itoa(n) + field + long }
	return at(0, fmt.Sprint("h", n), 1, func(r *Record) {
		r.SignalName, r.Cause, r.UserID, r.UserName, r.Client, r.Session = text(""), text("a"), text("b"), text("c"), text("d"), text("e")
		r.Target = Target{
			PID: 1, Start: text(""), Name: text("f"), Executable: text("g"), Unit: text("h"), Cgroup: text(""), Container: text("i"), ContainerName: text("j"),
			PodUID: text("k"), PodName: text("l"), PodNamespace: text("m"),
		}
		r.Sender = Sender{PID: 2, Name: text("n"), Path: text("o"), UserID: text("p"), UserName: text("q")}
		r.Requester = Requester{
			PID: 2, Name: text("r"), Path: text("s"), Title: text("t"), Unit: text("u"), UserID: text("v"), UserName: text("w"),
		}
		r.Initiator, r.OOMCgroup = Initiator{PID: 3, Name: text("x"), Title: text("y")}, text("z")
	})
}
