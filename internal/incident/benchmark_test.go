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
		"hosts": {func(n int) *Record {
			return at(0, fmt.Sprint(n, long), 1, login("alice", "10.0.0.5", ""))
		}, 2304},
	} {
		t.Run(name, func(t *testing.T) {
			config := usual()
			config.MaxMembers = 10_000
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
